"""`geotag review`: people look at predictions and decide, in a browser."""

from pathlib import Path
from typing import Any

import click

from geotag_batch.review.filters import ORDERS, parse_filter
from geotag_batch.review.gallery import publish_gallery
from geotag_batch.review.server import Listening, serve_review
from geotag_batch.workspace import Workspace

from .options import Command, configured, workspace_option
from .say import say

_FILTERS = (
    click.option("--tag", help="Photos for which this tag is suggested."),
    click.option("--low", help="With a score of at least this, of that tag or the greatest."),
    click.option("--high", help="With a score of at most this."),
    click.option("--square", help="In this square: SU, SU31 or SU3814."),
    click.option("--contributor", help="By this contributor: a part of the name, or a user_id."),
    click.option("--head", help="Predicted by this head; by default that in use."),
    click.option("--order", type=click.Choice(ORDERS), default=ORDERS[0], show_default=True, help="Which come first."),
)

_LISTENING = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--port", type=click.IntRange(0, 65535), default=8020, show_default=True, help="0: any free one."),
    click.option("--token", envvar="GEOTAG_TOKEN", help="Ask for this token; made up for a --host that others reach."),
    click.option("--name", "names", multiple=True, help="Another name that browsers call this server by; repeatable."),
)


def _options(command: Command) -> Command:
    for option in reversed(_FILTERS + _LISTENING):
        command = option(command)
    return command


@click.command()
@workspace_option
@click.option("--reviewer", help="Whose decisions they are, by default the login name; the page can change it.")
@_options
@click.option(
    "--static", type=click.Path(file_okay=False, path_type=Path), help="Write plain files for any web server there."
)
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="With --static: photos in it.")
def command(workspace: Workspace, reviewer: str | None, static: Path | None, limit: int, **flags: Any) -> None:  # noqa: ANN401
    """Look at predictions and decide, in a browser: accept, reject, add tags. Press ? in the page for its keys.

    Decisions are kept in decisions/ as they are made; a run may go on meanwhile. The options from --tag to --order say
    what is shown first, or with --static at all.
    """
    asked = parse_filter({name: value for name, value in flags.items() if value and isinstance(value, str)})
    if static is None:
        listening = Listening(flags["host"], flags["port"], flags["token"], flags["names"])
        serve_review(workspace, configured(workspace), listening, asked, reviewer, say)
        return
    made = publish_gallery(workspace, configured(workspace), static, asked, limit)
    pages = "1 page" if made.pages == 1 else f"{made.pages:,} pages"
    say(f"{made.photos:,} photos on {pages}, {made.without_picture:,} without picture")
    say(f"written: {made.index}")
