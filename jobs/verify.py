"""`geotag verify`: re-read everything committed; with --repair, set aside what is broken."""

import click

from geotag_batch.errors import VerifyError
from geotag_batch.run.repair import repair
from geotag_batch.run.verify import verify
from geotag_batch.run.verify_text import verify_json, verify_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, stored_workspace_option
from .say import say


@click.command()
@stored_workspace_option
@click.option(
    "--repair", "mend", is_flag=True, help="Move what is broken to quarantine/, so that the next run redoes it."
)
@format_option("text", "json")
def command(workspace: Workspace, mend: bool, format_: str) -> None:
    """Re-read everything committed and list what is wrong; exit code 1 if anything is.

    Checks each file's SHA-256, schemas, page checksums, ids, values, counts against run records, fingerprints, heads,
    and that nothing lies among the committed files that was not committed. An interrupted run is not wrong.

    With --repair nothing is deleted: what is broken moves to quarantine/ with a record of what and why, run records of
    killed runs are marked interrupted, the views are rebuilt; then it says what is still wrong.
    """
    done = repair(workspace, configured(workspace)) if mend else None
    report = done.report if done else verify(workspace)
    say(verify_json(report, done) if format_ == "json" else verify_text(report, done))
    if report.problems:
        raise VerifyError(
            f"{len(report.problems)} things are wrong in {workspace.root}",
            hint="look at what is named" if mend else "`geotag verify --repair` sets it aside; the next run redoes it",
        )
