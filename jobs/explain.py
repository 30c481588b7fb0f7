"""`geotag explain`: the whole story of one photo."""

import click

from geotag_batch.run.explain import explain_photo, parse_id
from geotag_batch.run.explain_text import story_json, story_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, workspace_option
from .say import say


@click.command()
@workspace_option
@click.argument("photo_id", metavar="ID")
@click.option("--tags", type=click.IntRange(1, 49), default=5, show_default=True, help="How many of the best scores.")
@format_option("text", "json")
def command(workspace: Workspace, photo_id: str, tags: int, format_: str) -> None:
    """Tell what is known of the photo ID and why it was tagged so.

    Catalogue, image, embeddings, each head's predictions with what image, title and location added to the logit,
    decisions, failures with the next retry, runs.
    """
    story = explain_photo(workspace, configured(workspace), parse_id(photo_id), tags=tags)
    say(story_json(story) if format_ == "json" else story_text(story))
