"""The paper's grid on a small archive, and what is written of it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from geotag_batch.predict.head import read_head_info
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.experiment import Experiment, run_experiment
from geotag_batch.run.plan import Selection
from geotag_batch.train.checkpoint import Checkpoints
from geotag_batch.train.grid import PAPER, paper_grid
from geotag_batch.train.learner import Learner
from tests.run.conftest import Archive


@pytest.fixture
def learning(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 40 photos, all tagged and embedded; the title tells the tag."""
    made = archive(40)
    for photo in made.photos:
        tag = ("Coastal", "Uplands")[photo["gridimage_id"] % 2]
        photo.update(title=tag, tags=[tag])
    made.write()
    run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    return made


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_28_heads_are_trained_and_compared_with_the_paper(learning: Archive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run_experiment(learning.workspace, learning.config, Experiment(out, {"epochs": 2}))
    assert report.exit_code == 0
    table = pq.read_table(out / "experiment.parquet").to_pylist()
    assert len({row["recipe"] for row in table}) == 28
    assert {(row["head"], tuple(row["modalities"]), row["mixup"]) for row in table} == {
        (recipe.head, recipe.modalities, recipe.mixup) for recipe in paper_grid()
    }
    row = next(row for row in table if row["recipe"] == "mlp-img-txt-mixup")
    assert (row["paper_macro_f1"], row["paper_subset_accuracy"], row["paper_kaggle"]) == (0.526, 0.315, 0.355)
    info = read_head_info(learning.workspace, row["head_id"])
    assert info.type == "mlp"
    assert info.metrics["validation_macro_f1"] == row["production_macro_f1"]
    text = (out / "experiment.md").read_text()
    assert all(f"| {recipe} |" in text for recipe in PAPER)
    with Image.open(out / "experiment.png") as picture:
        assert picture.width > 800
    assert sorted(path.name for path in out.iterdir()) == ["experiment.md", "experiment.parquet", "experiment.png"]


def test_an_interrupted_experiment_goes_on_to_the_same_table(
    learning: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run_experiment(learning.workspace, learning.config, Experiment(whole, {"epochs": 2}))
    saved: list[str] = []
    save = Checkpoints.save

    def crash(self: Checkpoints, name: str, learner: Learner, facts: dict[str, object]) -> None:
        if len(saved) == 34:
            raise KeyboardInterrupt
        save(self, name, learner, facts)
        saved.append(name)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, "save", crash)
        run_experiment(learning.workspace, learning.config, Experiment(resumed, {"epochs": 2}))
    assert not resumed.exists()
    run_experiment(learning.workspace, learning.config, Experiment(resumed, {"epochs": 2}))
    assert _files(resumed) == _files(whole)


def test_the_papers_grid_has_its_recipes_and_its_numbers() -> None:
    assert {recipe.name for recipe in paper_grid()} == set(PAPER)
    assert len(PAPER) == 28
    best = max(PAPER, key=lambda name: PAPER[name].macro_f1)
    assert (best, PAPER[best].macro_f1, PAPER[best].subset_accuracy) == ("linear-img-txt-loc-mixup", 0.597, 0.328)
    assert {recipe.learning_rate for recipe in paper_grid() if recipe.head == "mlp"} == {3e-3}
    assert {recipe.weight_decay for recipe in paper_grid() if recipe.head == "linear"} == {1e-5}
