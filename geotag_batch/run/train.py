"""Training a head from the workspace's tagged photos: read, split, train, save."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from geotag_batch.config import Config
from geotag_batch.fingerprint import software_versions
from geotag_batch.predict.features import DEFAULT_RULE, MODALITIES
from geotag_batch.predict.head import HeadDraft, HeadInfo, save_head
from geotag_batch.predict.policy import Policy
from geotag_batch.predict.scoring import make_layers, score
from geotag_batch.run.lock import hold_lock
from geotag_batch.train.dataset import choose_encoder, in_validation, read_training_set
from geotag_batch.train.metrics import macro_f1, micro_f1, subset_accuracy
from geotag_batch.train.trainer import Epoch, Examples, Recipe, Trained, train_linear
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import utc_now

__all__ = ["Lesson", "TrainReport", "train_head"]

_SHORT = {"image": "img", "title": "txt", "location": "loc"}


@dataclass(frozen=True, slots=True)
class Lesson:
    """What to train: `name` and `encoder_id` may be None for the usual name and the only stored encoder."""

    modalities: tuple[str, ...] = MODALITIES
    recipe: Recipe = field(default_factory=Recipe)
    name: str | None = None
    encoder_id: str | None = None


@dataclass(frozen=True, slots=True)
class TrainReport:
    """A trained head, what it learned from, and why other tagged photos were left out."""

    head: HeadInfo
    training: int
    validation: int
    left_out: dict[str, int]
    epochs: int


def train_head(
    workspace: Workspace, config: Config, lesson: Lesson, on_epoch: Callable[[Epoch], None] = lambda epoch: None
) -> TrainReport:
    """Train a linear head on the stored embeddings of the tagged photos and save it; it is not made the current one.

    Raises InputError if there is too little to learn from, CatalogueError, StorageError or LockedError.
    """
    with hold_lock(workspace):
        encoder_id, dim = choose_encoder(workspace, lesson.encoder_id)
        photos = read_training_set(workspace, config, (encoder_id, dim), lesson.modalities, DEFAULT_RULE)
        examples = Examples(photos.features(lesson.modalities, DEFAULT_RULE), photos.labels)
        held_out = in_validation(photos.ids, lesson.recipe.seed)
        training, validation, policy = examples.where(~held_out), examples.where(held_out), Policy()
        trained = train_linear(training, validation, lesson.recipe, policy, on_epoch)
        draft = HeadDraft(
            name=lesson.name or "-".join(["linear", *(_SHORT[modality] for modality in lesson.modalities)]),
            modalities=lesson.modalities,
            dim=dim,
            location=DEFAULT_RULE if "location" in lesson.modalities else None,
            encoder_id=encoder_id,
            encoder_declared="trained",
            policy=policy,
            metrics=_metrics(trained, validation, policy),
            provenance={
                "trained_at": f"{utc_now().isoformat(timespec='seconds')}Z",
                "recipe": asdict(lesson.recipe),
                "best_epoch": trained.best.number,
                "photos_to_train": len(training),
                "photos_to_validate": len(validation),
                "photos_left_out": photos.left_out,
                "photos_sha256": photos.digest(),
                "versions": software_versions(),
            },
        )
        info = save_head(workspace, draft, trained.tensors)
    return TrainReport(info, len(training), len(validation), dict(photos.left_out), len(trained.history))


def _metrics(trained: Trained, validation: Examples, policy: Policy) -> dict[str, float]:
    scores = score(make_layers(trained.tensors), validation.features, validation.labels.shape[1])
    chosen = policy.decide(scores).chosen
    return {
        "validation_subset_accuracy": subset_accuracy(validation.labels, chosen),
        "validation_macro_f1": macro_f1(validation.labels, chosen),
        "validation_micro_f1": micro_f1(validation.labels, chosen),
    }
