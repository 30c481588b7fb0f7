"""Training a head from the workspace's labelled photos: read, split, train, save with everything that made it.

Training reads committed files and holds no lock of the workspace, so that a night's run may go on beside it; only
saving the head takes the lock. After each epoch a checkpoint is written to `cache/training/`: an interrupted training
goes on from there, to the same head as if nothing had happened.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from geotag_batch.config import Config
from geotag_batch.fingerprint import safe_name, software_versions
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import HeadDraft, HeadInfo, save_head
from geotag_batch.predict.policy import Policy
from geotag_batch.predict.scoring import make_layers, score
from geotag_batch.run.lock import hold_lock, hold_training_lock
from geotag_batch.run.model_card import write_model_card
from geotag_batch.run.stop import Stop
from geotag_batch.run.train_report import TrainReporter
from geotag_batch.train.checkpoint import Checkpoints
from geotag_batch.train.dataset import Split, TrainingSet, Wanted, choose_encoder, read_training_set
from geotag_batch.train.examples import Examples
from geotag_batch.train.learner import Learner, Trained
from geotag_batch.train.recipe import Recipe
from geotag_batch.train.tally import Tally
from geotag_batch.train.trainer import train
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import utc_now

__all__ = ["Lesson", "TrainReport", "facts_of", "read_photos", "save_trained", "train_head"]

_WAIT = 24 * 3600.0  # seconds for a run under way to end, before a trained head is saved
_JUDGED_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Lesson:
    """What to train: `name` and `encoder_id` may be None for the recipe's name and the only stored encoder.

    Without `decisions` the head learns from contributors' tags alone.
    """

    recipe: Recipe = field(default_factory=Recipe)
    name: str | None = None
    encoder_id: str | None = None
    validation_ids: tuple[int, ...] | None = None
    restart: bool = False
    decisions: bool = True


@dataclass(frozen=True, slots=True)
class TrainReport:
    """A trained head and what it learned from; `head` is None if `signal` ended the training before."""

    photos: TrainingSet
    epochs: int
    head: HeadInfo | None = None
    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """Return the process's exit code."""
        return 0 if self.signal is None else 128 + self.signal


def train_head(workspace: Workspace, config: Config, lesson: Lesson) -> TrainReport:
    """Train a head on the stored embeddings of the tagged photos and save it; it is not made the current one.

    Raises InputError if there is too little to learn from, or an interrupted training under the same name had another
    recipe or other photos; CatalogueError, StorageError or LockedError.
    """
    name, recipe, policy = safe_name(lesson.name or lesson.recipe.name), lesson.recipe, Policy()
    checkpoints = Checkpoints(workspace.cache / "training")
    with hold_training_lock(workspace, name):
        if lesson.restart:
            checkpoints.remove(name)
        encoder, photos = read_photos(workspace, config, lesson, recipe.modalities)
        examples = photos.examples
        facts = facts_of(recipe, encoder, photos)
        learner = Learner(recipe, examples.widths(recipe.modalities), examples.labels.shape[1])
        checkpoints.resume(name, learner, facts)
        stop = Stop()
        with stop.listening(), TrainReporter([(name, learner)]).running() as reporter:
            done = train(
                [learner], examples, policy, reporter.watch(stop, lambda _: checkpoints.save(name, learner, facts))
            )
        if not done:
            return TrainReport(photos, len(learner.history), signal=stop.signal)
        info = save_trained(workspace, name, encoder, recipe, learner.result(), photos)
        checkpoints.remove(name)
    return TrainReport(photos, len(learner.history), info)


def read_photos(
    workspace: Workspace, config: Config, lesson: Lesson, modalities: Sequence[str]
) -> tuple[tuple[str, int], TrainingSet]:
    """Return encoder_id and dim, and the photos to learn from; both parts have some, and all values are finite."""
    encoder_id, dim = choose_encoder(workspace, lesson.encoder_id)
    wanted = Wanted(
        encoder_id, dim, tuple(modalities), DEFAULT_RULE, lesson.recipe.max_tags, decisions=lesson.decisions
    )
    photos = read_training_set(
        workspace, config, wanted, Split(lesson.recipe.seed, validation_ids=lesson.validation_ids)
    )
    photos.examples.check()
    return (encoder_id, dim), photos


def facts_of(recipe: Recipe, encoder: tuple[str, int], photos: TrainingSet) -> dict[str, Any]:
    """Return everything that a training depends on, for its checkpoint."""
    return {
        "recipe": recipe.to_json(),
        "encoder_id": encoder[0],
        "photos to train": len(photos.examples.training),
        "photos to validate": len(photos.examples.validation),
        "decided photos": photos.decisions.photos if photos.decisions else 0,
        "sha256 of decisions": photos.decisions.sha256 if photos.decisions else None,
        "sha256 of photos, tags and vectors": photos.sha256,
        "versions": {name: software_versions()[name] for name in ("geotag-batch", "torch", "numpy")},
    }


def save_trained(
    workspace: Workspace,
    name: str,
    encoder: tuple[str, int],
    recipe: Recipe,
    trained: Trained,
    photos: TrainingSet,
) -> HeadInfo:
    """Save a trained head with its metrics, curves and model card; waits for a run under way to end."""
    examples = photos.examples
    draft = HeadDraft(
        name=name,
        modalities=recipe.modalities,
        dim=encoder[1],
        location=DEFAULT_RULE if "location" in recipe.modalities else None,
        encoder_id=encoder[0],
        encoder_declared="trained",
        policy=Policy(),
        metrics=_metrics(trained, examples, recipe, Policy()),
        provenance={
            "trained_at": f"{utc_now().isoformat(timespec='seconds')}Z",
            "recipe": recipe.to_json(),
            "best_epoch": trained.best.number,
            "epochs": len(trained.history),
            "photos_to_train": len(examples.training),
            "photos_to_validate": len(examples.validation),
            "photos_left_out": dict(photos.left_out),
            "decisions": asdict(photos.decisions) if photos.decisions else None,
            "tags_without_photos": photos.untaught,
            "photos_sha256": photos.sha256,
            "split": photos.split,
            "software": software_versions(),
        },
    )
    with hold_lock(workspace, patience=_WAIT):
        info = save_head(workspace, draft, trained.tensors)
        write_model_card(workspace, info, trained.history)
    return info


def _metrics(trained: Trained, examples: Examples, recipe: Recipe, policy: Policy) -> dict[str, float]:
    """Return how production will do on the validation part: with its own arithmetic, block by block."""
    layers, tags = make_layers(trained.tensors), examples.labels.shape[1]
    tally = Tally(tags)
    for start in range(0, len(examples.validation), _JUDGED_AT_ONCE):
        rows = examples.validation[start : start + _JUDGED_AT_ONCE]
        scores = score(layers, [examples.features(rows, recipe.modalities)], tags)
        tally.add(examples.labels[rows], policy.choose(scores))
    return {
        "validation_subset_accuracy": tally.subset_accuracy,
        "validation_macro_f1": tally.macro_f1,
        "validation_micro_f1": tally.micro_f1,
    }
