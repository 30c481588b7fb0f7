"""Too little memory for decoder and encoder."""

from pathlib import Path

import pytest

from tests.corpus.memory import memory_faults
from tests.faults.trial import Bed


@pytest.mark.slow
def test_too_little_memory_costs_a_photo_or_halves_the_batch(tmp_path: Path) -> None:
    assert memory_faults(Bed(tmp_path, 30)).outcome == "clean"
