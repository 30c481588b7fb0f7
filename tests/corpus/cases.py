"""What a case of the corpus is: one photo of a catalogue, odd in one respect, and what is to become of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.read.pictures import encoded, picture

__all__ = ["GOOD", "TITLE", "Case", "Impossible"]

GOOD = encoded(picture(64, 48))
TITLE = b"A title"


class Impossible(Exception):
    """This machine cannot make the file; the message says why."""


@dataclass(frozen=True, slots=True)
class Case:
    """One photo. `make` puts what it needs at the given path, which `reference` names unless it is given.

    `title` and `grid_reference` are bytes, for they need be no text. `expected` is "tagged" or a class of failure, with
    what else is looked at behind a comma (see `run.py`).
    """

    kind: str
    name: str
    expected: str
    make: Callable[[Path], object] = lambda path: path.write_bytes(GOOD)
    reference: bytes | None = b""  # empty: the path of what `make` made
    title: bytes | None = TITLE
    grid_reference: bytes | None = b"TQ3080"
