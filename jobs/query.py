"""`geotag query`: one SELECT over the views."""

import sys

import click

from geotag_batch.run.query import FORMATS, query
from geotag_batch.workspace import Workspace

from .options import configured, format_option, stored_workspace_option
from .say import say


@click.command()
@stored_workspace_option
@click.argument("sql")
@format_option(*FORMATS)
@click.option("--raw", is_flag=True, help="CSV with every text as it is stored, also what a spreadsheet would compute.")
def command(workspace: Workspace, sql: str, format_: str, raw: bool) -> None:
    """Run one SELECT over the views of review.duckdb; "-" reads it from standard input.

    In CSV a text that a spreadsheet would compute (it begins with a tab or one of =+-@) gets an apostrophe before it,
    and control characters are written as \\u001b, unless --raw is given. JSON holds every value as it is.

    \b
    geotag query "SELECT tag, predicted FROM tag_counts LIMIT 10"
    geotag query "SHOW TABLES"
    geotag query "DESCRIBE predictions"
    """
    text = sys.stdin.read() if sql == "-" else sql
    rows = query(workspace, configured(workspace), text, format_, raw=raw)  # type: ignore[arg-type]  # click checked it
    for line in rows:
        click.echo(line) if raw else say(line)  # raw is asked for
