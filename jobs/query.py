"""`geotag query`: one SELECT over the views."""

import sys

import click

from geotag_batch.run.query import FORMATS, query
from geotag_batch.workspace import Workspace

from .options import configured, format_option, workspace_option


@click.command()
@workspace_option
@click.argument("sql")
@format_option(*FORMATS)
def command(workspace: Workspace, sql: str, format_: str) -> None:
    """Run one SELECT over the views of review.duckdb; "-" reads it from standard input.

    \b
    geotag query "SELECT tag, predicted FROM tag_counts LIMIT 10"
    geotag query "SHOW TABLES"
    geotag query "DESCRIBE predictions"
    """
    text = sys.stdin.read() if sql == "-" else sql
    for line in query(workspace, configured(workspace), text, format_):  # type: ignore[arg-type]  # click checked it
        click.echo(line)
