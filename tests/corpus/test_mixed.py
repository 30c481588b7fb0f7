"""All of the corpus at once, in the installed job."""

from pathlib import Path

from tests.corpus.mixed import CASES, run_mixed


def test_each_bad_photo_ends_as_stated_and_good_ones_beside_it_are_untouched(tmp_path: Path) -> None:
    mixed = run_mixed(tmp_path)
    wrong = {
        f"{case.kind}: {case.name}": (case.expected, seen)
        for case, seen in mixed.seen
        if seen != case.expected and case.name not in mixed.impossible
    }
    assert wrong == {}
    assert len(CASES) > 200
    assert len(mixed.impossible) <= 2
    assert mixed.twice == 0
    assert mixed.canaries == []
    assert "Traceback" not in mixed.errors
    assert len(mixed.scores) > 70
    assert mixed.scores == mixed.undisturbed
