"""Catalogues that are not what they should be, in short; `make test-faults` has the long form."""

from pathlib import Path

from tests.corpus.catalogues import catalogues_at_rest, catalogues_changed, damaged_catalogues, truncate
from tests.faults.trial import Bed


def test_odd_and_damaged_catalogues_are_planned_over_or_refused_by_name(tmp_path: Path) -> None:
    bed = Bed(tmp_path, 12)
    assert catalogues_at_rest(bed).outcome == "clean"
    assert damaged_catalogues(bed, 30).outcome == "clean"


def test_a_catalogue_broken_during_a_run_does_not_stop_it(tmp_path: Path) -> None:
    assert catalogues_changed(Bed(tmp_path, 12), [truncate]).outcome == "clean"
