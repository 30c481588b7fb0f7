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
from geotag_batch.train.dataset import Split, Wanted, choose_encoder, read_training_set
from geotag_batch.workspace import Workspace

__all__ = ["Judged", "judge", "seed_of", "split_warning"]

_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Judged:
    """n labelled photos: `ids` (n,), `truth` bool (n, 49), and for each head what it gave, (n, 49).

    `left_out` counts by reason the labelled photos that are not among them, `split` says which were taken.
    """

    ids: NDArray[np.int64]
    truth: NDArray[np.bool_]
    given: list[NDArray[Any]]
    left_out: dict[str, int]
    unknown_tags: dict[str, int]
    split: str


def judge(
    workspace: Workspace,
    config: Config,
    heads: Sequence[Head],
    split: Split,
    max_tags: int = 5,
    ask: Callable[[Head, NDArray[np.float32]], NDArray[Any]] = Head.scores,
) -> Judged:
    """Return the photos that `split` holds out, and the scores (or what else is asked of) each of the heads.

    Only photos that every head can score are taken. Vectors are read block by block. Raises InputError if nothing
    is left, the embeddings of a head's encoder are not there, or a vector is not finite; CatalogueError, StorageError.
    """
    tables = [_judge_one(workspace, config, head, split, max_tags, ask) for head in heads]
    first = tables[0]
    common = first.ids
    for other in tables[1:]:
        common = np.intersect1d(common, other.ids)
    if not len(common):
        raise InputError(
            f"there is no photo to judge by: none of the labelled and embedded photos is among {split.describe()}",
            hint="embed more tagged photos with `geotag embed --tagged`, or name labelled ones with --ids",
        )
    rows = [np.searchsorted(table.ids, common) for table in tables]
    given = [table.given[0][row] for table, row in zip(tables, rows, strict=True)]
    return Judged(common, first.truth[rows[0]], given, first.left_out, first.unknown_tags, split.describe())


def _judge_one(
    workspace: Workspace,
    config: Config,
    head: Head,
    split: Split,
    max_tags: int,
    ask: Callable[[Head, NDArray[np.float32]], NDArray[Any]],
) -> Judged:
    info = head.info
    encoder_id, dim = choose_encoder(workspace, info.encoder_id)
    wanted = Wanted(encoder_id, dim, info.modalities, info.location or DEFAULT_RULE, max_tags, only_validation=True)
    photos = read_training_set(workspace, config, wanted, split)
    examples, rows = photos.examples, photos.examples.validation
    examples.check_finite()
    given = [np.empty((0, len(info.tags)), np.float32)]
    for start in range(0, len(rows), _AT_ONCE):
        given.append(ask(head, examples.features(rows[start : start + _AT_ONCE], info.modalities)))
    return Judged(
        examples.ids[rows],
        examples.labels[rows],
        [np.concatenate(given)],
        dict(photos.left_out),
        dict(photos.unknown_tags),
        photos.split,
    )


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
