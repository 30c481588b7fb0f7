"""`geotag status`: what is done, pending and failed."""

import click

from geotag_batch.run.status import get_status
from geotag_batch.run.status_text import status_json, status_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, stored_workspace_option
from .say import say


@click.command()
@stored_workspace_option
@click.option("--by-block", is_flag=True, help="Also by blocks of 50,000 ids.")
@format_option("text", "json")
def command(workspace: Workspace, by_block: bool, format_: str) -> None:
    """Show what is done, pending and failed, and what the last runs did."""
    status = get_status(workspace, configured(workspace), by_block=by_block)
    say(status_json(status) if format_ == "json" else status_text(status))
