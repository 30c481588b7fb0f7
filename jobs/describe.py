"""`geotag describe`: what the catalogue holds, in numbers and pictures."""

import json
from pathlib import Path

import click

from geotag_batch.run.describe import describe, description_text
from geotag_batch.workspace import Workspace

from .options import configured, format_option, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of numbers and figures; by "
              "default reports/describe in the workspace.")  # fmt: skip
@format_option("text", "json")
def command(workspace: Workspace, out: Path | None, format_: str) -> None:
    """Draw what the catalogue holds, and print the numbers.

    Tags per photo, photos per tag, title lengths and words, a map by grid square, tags that go together, and a photo
    of each tag.
    """
    found = describe(workspace, configured(workspace), out)
    if format_ == "json":
        say(json.dumps(found.document, indent=1, ensure_ascii=False))
        return
    say(description_text(found.document))
    say("\n" + "\n".join(f"written: {path}" for path in found.files))
