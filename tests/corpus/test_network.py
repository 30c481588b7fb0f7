"""Servers that misbehave and image roots that go away, in short; `make test-faults` has the long form."""

from pathlib import Path

from tests.corpus.network import network_faults, roots_gone
from tests.faults.trial import Bed


def test_a_server_that_misbehaves_costs_what_it_does_not_serve(tmp_path: Path) -> None:
    assert network_faults(Bed(tmp_path, 170, chunk_size=50)).outcome == "clean"


def test_an_image_root_that_goes_away_marks_no_photo_as_failed(tmp_path: Path) -> None:
    assert roots_gone(Bed(tmp_path, 200, chunk_size=20), short=True).outcome == "clean"
