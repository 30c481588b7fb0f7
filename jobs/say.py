"""The one way to the terminal: what is printed has passed `printable`."""

import click

from geotag_batch.printable import printable

__all__ = ["say"]


def say(text: str, *, err: bool = False) -> None:
    """Print `text`, which may hold anything, such that a terminal obeys none of it; JSON stays the same JSON."""
    click.echo(printable(text), err=err)
