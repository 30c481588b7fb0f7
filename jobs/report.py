"""`geotag report`: tell what a run did, fit for a mail."""

import click

from geotag_batch.run.mail import report_run
from geotag_batch.workspace import Workspace

from .options import workspace_option
from .say import say


@click.command()
@workspace_option
@click.argument("run_id", required=False)
@click.option("--only-trouble", is_flag=True, help="Print nothing unless something needs a person.")
def command(workspace: Workspace, run_id: str | None, only_trouble: bool) -> None:
    """Tell what a run on record (by default the last one) did, what failed and what to do next, fit for a mail.

    That is what `geotag backfill --summary mail` prints at its end; of a run that was killed only this can tell.
    """
    if text := report_run(workspace, run_id, only_trouble=only_trouble):
        say(text)
