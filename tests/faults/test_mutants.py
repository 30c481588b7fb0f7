"""The harness is tested too: it catches each of the deliberately wrong writers, and not the right one."""

from pathlib import Path

import pytest

from tests.faults.cuts import power_cuts
from tests.faults.mutants import MUTANTS
from tests.faults.trial import Bed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mistakes"),
    [("straight", {"unreadable"}), ("marker_after", {"unreadable", "doubled"}), ("random_name", {"doubled"})],
)
def test_a_wrong_writer_is_caught(tmp_path: Path, name: str, mistakes: set[str]) -> None:
    made = power_cuts(Bed(tmp_path, 3, mutant=name), at_once=1, every=3, until_caught=True)
    assert any(getattr(made.tally, mistake) for mistake in mistakes), made.outcome


def test_each_wrong_writer_is_tested() -> None:
    assert sorted(MUTANTS) == ["marker_after", "random_name", "straight"]
