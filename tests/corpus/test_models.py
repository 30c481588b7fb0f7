"""Model files that are damaged or hostile."""

from pathlib import Path

from tests.corpus.models import model_faults
from tests.faults.trial import Bed


def test_model_files_that_are_no_models_are_refused_and_run_nothing(tmp_path: Path) -> None:
    made = model_faults(Bed(tmp_path, 3))
    assert made.outcome == "clean"
    assert made.cases > 100
