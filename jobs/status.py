"""`geotag status`: what is done, pending and failed."""

from pathlib import Path

import click

from geotag_batch.run.metrics import write_status_metrics
from geotag_batch.run.status import get_status
from geotag_batch.run.status_text import status_json, status_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, stored_workspace_option
from .say import say


@click.command()
@stored_workspace_option
@click.option("--by-block", is_flag=True, help="Also by blocks of 50,000 ids.")
@click.option(
    "--metrics-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the counts to FILE too, for Prometheus (node_exporter's textfile).",
)
@format_option("text", "json")
def command(workspace: Workspace, by_block: bool, metrics_file: Path | None, format_: str) -> None:
    """Show what is done, pending and failed, and what the last runs did."""
    status = get_status(workspace, configured(workspace), by_block=by_block)
    if metrics_file is not None:
        write_status_metrics(workspace, status, metrics_file)
    say(status_json(status) if format_ == "json" else status_text(status))
