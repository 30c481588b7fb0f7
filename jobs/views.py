"""`geotag views`: rebuild review.duckdb."""

import click

from geotag_batch.run.views import remake_views
from geotag_batch.workspace import Workspace

from .options import configured, stored_workspace_option
from .say import say


@click.command()
@stored_workspace_option
def command(workspace: Workspace) -> None:
    """Rebuild review.duckdb, the views over everything committed and the catalogue.

    A backfill does so too; this is for a workspace that was moved, or a catalogue that has got other columns.
    """
    for name in remake_views(workspace, configured(workspace)):
        say(name)
    say(f"in {workspace.database}; it opens in the plain duckdb shell too")
