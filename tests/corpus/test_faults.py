"""The rows of bad input in their short form; `make test-faults` has the long one."""

from pathlib import Path

import pytest

from tests.corpus.catalogues import catalogues_at_rest, catalogues_changed, damaged_catalogues, truncate
from tests.corpus.fuzz import TARGETS, fuzzed
from tests.corpus.models import model_faults
from tests.corpus.network import network_faults, roots_gone
from tests.faults.trial import Bed


@pytest.fixture
def bed(tmp_path: Path) -> Bed:
    return Bed(tmp_path, 12)


def test_odd_catalogues_are_planned_over_or_refused_by_name(bed: Bed) -> None:
    assert catalogues_at_rest(bed).outcome == "clean"


def test_damaged_catalogues_are_planned_over_or_refused_by_name(bed: Bed) -> None:
    assert damaged_catalogues(bed, 30).outcome == "clean"


def test_a_catalogue_broken_during_a_run_does_not_stop_it(bed: Bed) -> None:
    assert catalogues_changed(bed, [truncate]).outcome == "clean"


def test_model_files_that_are_no_models_are_refused_and_run_nothing(bed: Bed) -> None:
    assert model_faults(bed).outcome == "clean"


def test_a_server_that_misbehaves_costs_what_it_does_not_serve(tmp_path: Path) -> None:
    assert network_faults(Bed(tmp_path, 170, chunk_size=50)).outcome == "clean"


def test_an_image_root_that_goes_away_marks_no_photo_as_failed(tmp_path: Path) -> None:
    assert roots_gone(Bed(tmp_path, 200, chunk_size=20), short=True).outcome == "clean"


@pytest.mark.parametrize("name", TARGETS)
def test_only_the_outcomes_that_are_stated_come_out(name: str) -> None:
    made = fuzzed(name, 200)
    assert made.outcome == "clean"
    assert made.cases >= 190
