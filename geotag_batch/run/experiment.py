"""Training the paper's grid of heads on one archive, and one table of how they compare, beside the paper's numbers.

All heads are trained together over the same photos and batches. Each has its checkpoint, written after each of its
epochs, so that an interrupted experiment goes on head by head. The checkpoints are removed when the table is there.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.config import Config
from geotag_batch.draw.training import draw_experiment
from geotag_batch.predict.features import MODALITIES
from geotag_batch.predict.policy import PLAIN
from geotag_batch.run.lock import hold_training_lock
from geotag_batch.run.report_folder import ReportFolder
from geotag_batch.run.stop import Stop
from geotag_batch.run.train import Lesson, facts_of, read_photos, save_trained
from geotag_batch.run.train_report import TrainReporter
from geotag_batch.train.checkpoint import Checkpoints
from geotag_batch.train.dataset import TrainingSet
from geotag_batch.train.grid import PAPER, paper_grid
from geotag_batch.train.learner import Learner
from geotag_batch.train.recipe import Recipe
from geotag_batch.train.trainer import train
from geotag_batch.workspace import Workspace

__all__ = ["Experiment", "ExperimentReport", "run_experiment"]

_NAME = "experiment-paper"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What the recipes of the grid have in common; `out` is where the table goes."""

    out: Path
    changes: dict[str, Any]
    encoder_id: str | None = None
    validation_ids: tuple[int, ...] | None = None
    restart: bool = False
    decisions: bool = True


@dataclass(frozen=True, slots=True)
class ExperimentReport:
    """The table's rows, one a head, and the photos; `signal` is what ended the experiment before its end."""

    photos: TrainingSet
    rows: list[dict[str, Any]]
    files: list[Path]
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """Return the process's exit code."""
        return 0 if self.signal is None else 128 + self.signal


def run_experiment(workspace: Workspace, config: Config, experiment: Experiment) -> ExperimentReport:
    """Train the grid, save each head, and write experiment.parquet, .md and .png.

    Heads stop early on validation subset accuracy, and are compared, as the paper does: without the at-least-one
    rule. Raises as `train_head` does.
    """
    recipes = paper_grid(**experiment.changes)
    checkpoints = Checkpoints(workspace.cache / "training" / _NAME)
    with hold_training_lock(workspace, _NAME):
        if experiment.restart:
            for recipe in recipes:
                checkpoints.remove(recipe.name)
        lesson = Lesson(
            recipes[0], None, experiment.encoder_id, experiment.validation_ids, decisions=experiment.decisions
        )
        encoder, photos = read_photos(workspace, config, lesson, MODALITIES)
        examples = photos.examples
        facts = facts_of(recipes[0], encoder, photos)
        learners = [Learner(recipe, examples.widths(recipe.modalities), examples.labels.shape[1]) for recipe in recipes]
        for learner in learners:
            checkpoints.resume(learner.recipe.name, learner, _facts(facts, learner.recipe))
        stop = Stop()

        def write_down(learner: Learner) -> None:
            checkpoints.save(learner.recipe.name, learner, _facts(facts, learner.recipe))

        names = [(learner.recipe.name, learner) for learner in learners]
        with stop.listening(), TrainReporter(names).running() as reporter:
            done = train(learners, examples, PLAIN, reporter.watch(stop, write_down))
        if not done:
            return ExperimentReport(photos, [], [], stop.signal)
        rows = [_row(workspace, learner, encoder, photos) for learner in learners]
        files = _write_report(experiment.out, rows, photos)
        for recipe in recipes:
            checkpoints.remove(recipe.name)
    return ExperimentReport(photos, rows, files)


def _facts(facts: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    return facts | {"recipe": recipe.to_json()}


def _row(workspace: Workspace, learner: Learner, encoder: tuple[str, int], photos: TrainingSet) -> dict[str, Any]:
    recipe, trained = learner.recipe, learner.result()
    info = save_trained(workspace, recipe.name, encoder, recipe, trained, photos)
    paper = PAPER[recipe.name]
    return {
        "recipe": recipe.name,
        "head": recipe.head,
        "modalities": list(recipe.modalities),
        "mixup": recipe.mixup,
        "head_id": info.head_id,
        "epochs": len(trained.history),
        "best_epoch": trained.best.number,
        "macro_f1": trained.best.macro_f1,
        "subset_accuracy": trained.best.subset_accuracy,
        "production_macro_f1": info.metrics["validation_macro_f1"],
        "production_subset_accuracy": info.metrics["validation_subset_accuracy"],
        "photos_to_train": len(photos.examples.training),
        "photos_to_validate": len(photos.examples.validation),
        **{f"paper_{name}": value for name, value in asdict(paper).items()},
    }


def _write_report(folder: Path, rows: Sequence[dict[str, Any]], photos: TrainingSet) -> list[Path]:
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=_SCHEMA), parquet, compression="zstd")
    named = [(row["recipe"], (row["macro_f1"], row["subset_accuracy"]), (row["paper_macro_f1"],
              row["paper_subset_accuracy"])) for row in rows]  # fmt: skip
    with ReportFolder(folder) as report:
        return [
            report.write_bytes("experiment.parquet", parquet.getvalue()),
            report.write_text("experiment.md", _markdown(rows, photos)),
            report.write_figure("experiment.png", draw_experiment(named)),
        ]


_SCHEMA = pa.schema(
    [
        ("recipe", pa.string()),
        ("head", pa.string()),
        ("modalities", pa.list_(pa.string())),
        ("mixup", pa.bool_()),
        ("head_id", pa.string()),
        ("epochs", pa.int32()),
        ("best_epoch", pa.int32()),
        *((name, pa.float64()) for name in ("macro_f1", "subset_accuracy")),
        *((f"production_{name}", pa.float64()) for name in ("macro_f1", "subset_accuracy")),
        ("photos_to_train", pa.int64()),
        ("photos_to_validate", pa.int64()),
        *((f"paper_{name}", pa.float64()) for name in ("macro_f1", "subset_accuracy", "kaggle")),
    ]
)


def _markdown(rows: Sequence[dict[str, Any]], photos: TrainingSet) -> str:
    lines = [
        "# Experiment: modalities, kinds of head, MixUp",
        "",
        f"{len(photos.examples.training):,} photos to train on, {len(photos.examples.validation):,} to validate on. "
        "Macro F1 (over the tags that occur) and subset",
        "accuracy are of the best epoch on the validation photos, tags over 0.5 and no at-least-one rule, as in the "
        "paper;",
        '"production" has the at-least-one rule. The paper\'s numbers are for 517,679 and 129,420 Geograph photos.',
        "",
        "| recipe | macro F1 | subset accuracy | production F1 | production accuracy | epochs | best | paper F1 | "
        "paper accuracy | paper Kaggle |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        numbers = [f"{row[name]:.3f}" for name in ("macro_f1", "subset_accuracy", "production_macro_f1",
                                                    "production_subset_accuracy")]  # fmt: skip
        kaggle = "-" if row["paper_kaggle"] is None else f"{row['paper_kaggle']:.3f}"
        paper = [f"{row['paper_macro_f1']:.3f}", f"{row['paper_subset_accuracy']:.3f}", kaggle]
        lines.append(f"| {' | '.join([row['recipe'], *numbers, str(row['epochs']), str(row['best_epoch']), *paper])} |")
    return "\n".join(lines)
