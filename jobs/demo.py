"""`geotag demo`: draw a small archive and run the whole job on it."""

import sys
from pathlib import Path

import click

from geotag_batch.run.demo.story import Demo, prepare_folder

from .say import say


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("geotag-demo"))
@click.option("--photos", type=click.IntRange(min=300), default=600, show_default=True, help="Photos to draw.")
def command(folder: Path, photos: int) -> None:
    """Draw a small archive in FOLDER (default: geotag-demo) and run the whole job on it.

    Takes about a minute and downloads nothing. A folder that an earlier demo made is drawn anew; any other must be
    empty.
    """
    workspace = prepare_folder(folder)
    Demo(workspace, [sys.executable, "-m", __package__], say).run(photos)
