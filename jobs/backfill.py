"""`geotag backfill`: tag pending photos, chunk by chunk."""

import sys
from typing import Any

import click

from geotag_batch.run.backfill import run_backfill
from geotag_batch.workspace import Workspace

from .options import stored_workspace_option
from .selecting import run_and_tell, running_options, selecting_options


@click.command()
@stored_workspace_option
@selecting_options
@running_options
@click.option("--missing-image", type=click.Choice(["fail", "score"]), help="A photo whose image cannot be had "
              "fails, or is scored by a bundle's other heads (run.missing_image).")  # fmt: skip
def command(workspace: Workspace, **flags: Any) -> None:  # noqa: ANN401
    """Tag pending photos with the current head, chunk by chunk.

    An interrupted run goes on where it stopped: start the same command again. SIGTERM or SIGINT commits the finished
    part of the chunk and stops; a second signal stops at once.
    """
    sys.exit(run_and_tell(workspace, "backfill", run_backfill, flags))
