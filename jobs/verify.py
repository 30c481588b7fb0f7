"""`geotag verify`: re-read everything committed."""

import json
from dataclasses import asdict

import click

from geotag_batch.errors import VerifyError
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace

from .options import format_option, workspace_option


@click.command()
@workspace_option
@format_option("text", "json")
def command(workspace: Workspace, format_: str) -> None:
    """Re-read everything committed and list what is wrong; exit code 1 if anything is.

    Checks schemas, page checksums, ids, values, counts against run records, fingerprints, heads, and that nothing
    lies among the committed files that was not committed. An interrupted run is not wrong.
    """
    report = verify(workspace)
    if format_ == "json":
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        for problem in report.problems:
            click.echo(f"WRONG {problem.where}: {problem.what}")
        rows = ", ".join(f"{count:,} {dataset}" for dataset, count in report.rows.items()) or "no rows"
        click.echo(f"{report.files:,} files read: {rows}; {len(report.problems) or 'nothing'} wrong")
    if report.problems:
        raise VerifyError(
            f"{len(report.problems)} things are wrong in {workspace.root}",
            hint="move broken files out of the workspace; the next backfill redoes their photos",
        )
