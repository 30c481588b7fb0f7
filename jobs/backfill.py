"""`geotag backfill`: tag pending photos, chunk by chunk."""

import sys
from typing import Any

import click

from geotag_batch.run.backfill import run_backfill
from geotag_batch.run.report import configure_logging, summary
from geotag_batch.workspace import Workspace

from .options import stored_workspace_option
from .say import say
from .selecting import job_of, run_config, running_options, selecting_options


@click.command()
@stored_workspace_option
@selecting_options
@running_options
@click.option("--missing-image", type=click.Choice(["fail", "score"]), help="A photo whose image cannot be had "
              "fails, or is scored by a bundle's other heads (run.missing_image).")  # fmt: skip
def command(workspace: Workspace, log_format: str, **flags: Any) -> None:  # noqa: ANN401
    """Tag pending photos with the current head, chunk by chunk.

    An interrupted run goes on where it stopped: start the same command again. SIGTERM or SIGINT commits the finished
    part of the chunk and stops; a second signal stops at once.
    """
    configure_logging(log_format)
    record = run_backfill(workspace, run_config(workspace, flags), job_of("backfill", flags))
    say(summary(record))
    sys.exit(record.exit_code)
