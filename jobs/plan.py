"""`geotag plan`: what a backfill would do and why."""

from typing import Any

import click

from geotag_batch.run.plan import make_plan
from geotag_batch.run.report import plan_json, plan_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, stored_workspace_option
from .say import say
from .selecting import selecting_options, selection_of


@click.command()
@stored_workspace_option
@selecting_options
@format_option("text", "json")
def command(workspace: Workspace, format_: str, **flags: Any) -> None:  # noqa: ANN401
    """Show what a backfill would do and why, without doing it.

    Lists the pending photos by reason, the chunks, the disk that they need and the time that they would take.
    """
    config = configured(workspace, run__chunk_size=flags["chunk_size"])
    with make_plan(workspace, config, selection_of(flags)) as plan:
        say(plan_json(plan) if format_ == "json" else plan_text(plan))
