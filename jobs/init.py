"""`geotag init`: make a workspace."""

import click

from geotag_batch.run.init import init_workspace

from .say import say


@click.command()
@click.argument("folder", default=".")
def command(folder: str) -> None:
    """Make FOLDER (default: the current one) a workspace: a commented geotag.toml and the first folders.

    FOLDER may be a prefix in an object store: s3://bucket/archive.
    """
    workspace = init_workspace(folder)
    say(f"made {workspace.config_file}")
    say(f"next: put the catalogue under {workspace.root / 'photos'} or run `geotag ingest`, then `geotag plan`")
