"""`geotag embed`: embed photos without a head."""

import sys
from typing import Any

import click

from geotag_batch.run.backfill import run_embed
from geotag_batch.workspace import Workspace

from .options import stored_workspace_option
from .selecting import run_and_tell, running_options, selecting_options


@click.command()
@stored_workspace_option
@selecting_options
@running_options
def command(workspace: Workspace, **flags: Any) -> None:  # noqa: ANN401
    """Embed the images and titles of the selected photos, without a head.

    For training: `geotag embed --tagged`. The same chunks, commits and failures as `geotag backfill`.
    """
    sys.exit(run_and_tell(workspace, "embed", run_embed, flags))
