"""Fuzzing in short; `make test-faults` has the long form."""

from tests.corpus.fuzz import fuzz


def test_only_the_outcomes_that_are_stated_come_out_of_fuzzing() -> None:
    for made in fuzz(200):
        assert made.outcome == "clean"
        assert made.cases >= 190
