"""`geotag init`: make a workspace."""

from pathlib import Path

import click

from geotag_batch.run.init import init_workspace

from .say import say


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
def command(folder: Path) -> None:
    """Make FOLDER (default: the current one) a workspace: a commented geotag.toml and the first folders."""
    workspace = init_workspace(folder)
    say(f"made {workspace.config_file}")
    say(f"next: put the catalogue under {workspace.root / 'photos'} or run `geotag ingest`, then `geotag plan`")
