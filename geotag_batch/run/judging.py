"""Labelled photos and what heads make of them: the ground of evaluation, of fitted thresholds and of calibration."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.errors import InputError
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import Head
from geotag_batch.train.dataset import Split, TrainingSet, Wanted, choose_encoder, read_training_set
from geotag_batch.workspace import Workspace

__all__ = ["Judged", "Labelling", "Reviewed", "judge", "seed_of", "split_warning"]

_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Judged:
    """n labelled photos: `ids` (n,), `truth` bool (n, 49), and for each head what it gave, (n, 49).

    `left_out` counts by reason the labelled photos that are not among them, `split` says which were taken. `reviewed`
    are the photos on which people decided, these and those with rejected tags alone; None where there are none.
    """

    ids: NDArray[np.int64]
    truth: NDArray[np.bool_]
    given: list[NDArray[Any]]
    left_out: dict[str, int]
    unknown_tags: dict[str, int]
    split: str
    reviewed: "Reviewed | None" = None


@dataclass(frozen=True, slots=True)
class Reviewed:
    """m photos on which people decided: `decided` and `truth` bool (m, 49), and what each head gave, (m, 49).

    A decided tag that is not true was rejected; what is not decided is not known.
    """

    decided: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    given: list[NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Labelling:
    """What counts as the truth: photos with at most `max_tags`, with or without what people decided."""

    max_tags: int = 5
    decisions: bool = True


@dataclass(frozen=True, slots=True)
class _Given:
    """What one head gives to photos `ids` (n,), ascending; `decided` marks what people decided of their `labels`."""

    ids: NDArray[np.int64]
    labels: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    given: NDArray[Any]
    photos: TrainingSet


def judge(
    workspace: Workspace,
    config: Config,
    heads: Sequence[Head],
    split: Split,
    labelling: Labelling = Labelling(),
    ask: Callable[[Head, NDArray[np.float32]], NDArray[Any]] = Head.scores,
) -> Judged:
    """Return the photos that `split` holds out, and the scores (or what else is asked of) each of the heads.

    Only photos that every head can score are taken. Vectors are read block by block. Raises InputError if nothing
    is left, the embeddings of a head's encoder are not there, or a vector is not finite; CatalogueError, StorageError.
    """
    tables = [_judge_one(workspace, config, head, split, labelling, ask) for head in heads]
    first = tables[0]
    common = first.ids
    for other in tables[1:]:
        common = np.intersect1d(common, other.ids)
    rows = [np.searchsorted(table.ids, common) for table in tables]
    given = [table.given[row] for table, row in zip(tables, rows, strict=True)]
    truth, decided = first.labels[rows[0]], first.decided[rows[0]]
    whole, reviewed = truth.any(axis=1), decided.any(axis=1)
    if not whole.any():
        raise InputError(
            f"there is no photo to judge by: none of the labelled and embedded photos is among {split.describe()}",
            hint="embed more tagged photos with `geotag embed --tagged`, or name labelled ones with --ids",
        )
    return Judged(
        ids=common[whole],
        truth=truth[whole],
        given=[values[whole] for values in given],
        left_out=dict(first.photos.left_out),
        unknown_tags=dict(first.photos.unknown_tags),
        split=split.describe(),
        reviewed=Reviewed(decided[reviewed], truth[reviewed], [values[reviewed] for values in given])
        if reviewed.any()
        else None,
    )


def _judge_one(
    workspace: Workspace,
    config: Config,
    head: Head,
    split: Split,
    labelling: Labelling,
    ask: Callable[[Head, NDArray[np.float32]], NDArray[Any]],
) -> _Given:
    info = head.info
    encoder_id, dim = choose_encoder(workspace, info.encoder_id)
    wanted = Wanted(
        encoder_id,
        dim,
        info.modalities,
        info.location or DEFAULT_RULE,
        labelling.max_tags,
        only_validation=True,
        decisions=labelling.decisions,
    )
    photos = read_training_set(workspace, config, wanted, split)
    examples = photos.examples
    rows = np.sort(np.concatenate([examples.validation, examples.only_rejected]))
    examples.check_finite()
    given = [np.empty((0, len(info.tags)), np.float32)]
    for start in range(0, len(rows), _AT_ONCE):
        given.append(ask(head, examples.features(rows[start : start + _AT_ONCE], info.modalities)))
    labels = examples.labels[rows]
    decided = np.zeros_like(labels) if examples.decided is None else examples.decided[rows]
    return _Given(examples.ids[rows], labels, decided, np.concatenate(given), photos)


def seed_of(head: Head) -> int:
    """Return the seed of the split that a head was trained with; 0 where its head.json does not say."""
    recipe = head.info.provenance.get("recipe")
    return int(recipe["seed"]) if isinstance(recipe, dict) and "seed" in recipe else 0


def split_warning(head: Head, split: Split) -> str | None:
    """Return in words that a head may have learned from the photos that it is judged by, None if it has not."""
    learned = head.info.provenance.get("split")
    if learned is None:
        return f"nothing is known of what {head.info.head_id} learned from: it may have seen these photos"
    if learned != split.describe():
        return f"{head.info.head_id} was trained with another split ({learned}): it has seen many of these photos"
    return None
