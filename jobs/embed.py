"""`geotag embed`: embed photos without a head."""

import sys
from typing import Any

import click

from geotag_batch.run.backfill import run_embed
from geotag_batch.run.report import configure_logging, summary
from geotag_batch.workspace import Workspace

from .options import stored_workspace_option
from .say import say
from .selecting import job_of, run_config, running_options, selecting_options


@click.command()
@stored_workspace_option
@selecting_options
@running_options
def command(workspace: Workspace, log_format: str, **flags: Any) -> None:  # noqa: ANN401
    """Embed the images and titles of the selected photos, without a head.

    For training: `geotag embed --tagged`. The same chunks, commits and failures as `geotag backfill`.
    """
    configure_logging(log_format)
    record = run_embed(workspace, run_config(workspace, flags), job_of("embed", flags))
    say(summary(record))
    sys.exit(record.exit_code)
