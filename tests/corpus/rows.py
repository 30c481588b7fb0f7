"""The rows of bad input in the table of faults, in their long form."""

from collections.abc import Iterator
from pathlib import Path

from tests.corpus.catalogues import (
    CATALOGUES,
    LARGE_CATALOGUE,
    catalogues_at_rest,
    catalogues_changed,
    damaged_catalogues,
    flickering_catalogue,
)
from tests.corpus.fuzz import fuzz
from tests.corpus.memory import memory_faults
from tests.corpus.models import model_faults
from tests.corpus.network import network_faults, roots_gone
from tests.faults.row import Row
from tests.faults.trial import Bed

__all__ = ["input_rows"]

_FUZZED = 10_000


def input_rows(folder: Path) -> Iterator[Row]:
    """Yield each row as soon as it is done; takes some six minutes on two cores."""
    (folder / "large").mkdir(parents=True)
    bed, large = Bed(folder, 30), Bed(folder / "large", 240, chunk_size=20)
    yield memory_faults(bed)
    yield network_faults(large)
    yield catalogues_at_rest(bed, (*CATALOGUES, LARGE_CATALOGUE))
    yield damaged_catalogues(bed, 1000)
    yield catalogues_changed(bed)
    yield flickering_catalogue(bed, 100)
    yield model_faults(bed)
    yield roots_gone(large)
    yield from fuzz(_FUZZED)
