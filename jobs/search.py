"""`geotag search`: the photos whose stored embeddings are nearest to a text or a photo."""

from pathlib import Path
from typing import Any

import click

from geotag_batch.read.near import parse_place
from geotag_batch.run.explain import parse_id
from geotag_batch.run.search import Wish, search
from geotag_batch.run.search_text import answer_json, answer_text, cut_warning, write_answer_page
from geotag_batch.workspace import Workspace

from .options import Command, configured, format_option, workspace_option
from .say import say

_WHERE = (
    click.option(
        "--near", metavar="SQUARE", help="Only photos near the centre of this grid reference, such as TQ3080."
    ),
    click.option("--km", type=float, help="How near: within so many kilometres, 5 if not said."),
    click.option("--tag", help="Only photos that carry this tag, by people or predicted."),
)


def _options(command: Command) -> Command:
    for option in reversed(_WHERE):
        command = option(command)
    return command


@click.command()
@workspace_option
@click.argument("text", required=False)
@click.option("--like", metavar="ID", help="Instead of TEXT: like this photo. Needs no encoder.")
@click.option("--modality", type=click.Choice(["image", "title"]), default="image", show_default=True, help="Compare "
              "with the embeddings of images, or of titles.")  # fmt: skip
@_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many photos.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with the photos there too.")
@format_option("table", "json")
def command(workspace: Workspace, text: str | None, like: str | None, page: Path | None, **flags: Any) -> None:  # noqa: ANN401
    """Find the photos whose stored embeddings are nearest to TEXT, or to another photo's.

    Every embedding is compared, by cosine: the newest one of each photo, and of one encoder alone. TEXT is encoded as
    a title is, by the configured encoder; --like takes the encoder of the head in use.

    \b
    geotag search "stone bridge over a river" --near TQ3080 --km 5
    geotag search --like 7606259 --page like.html
    """
    format_, near, km = flags.pop("format_"), flags.pop("near"), flags.pop("km")
    if km is not None and near is None:
        raise click.UsageError("--km goes with --near")
    place = None if near is None else parse_place(near, 5.0 if km is None else km)
    config = configured(workspace)
    answer = search(workspace, config, Wish(text, None if like is None else parse_id(like), near=place, **flags))
    if warning := cut_warning(answer):
        say(f"geotag: {warning}", err=True)
    if format_ == "json":
        say(answer_json(answer))
    for line in answer_text(answer) if format_ == "table" else ():
        say(line)
    if page is not None:
        say(f"written: {write_answer_page(workspace, config, answer, page)}", err=format_ == "json")
