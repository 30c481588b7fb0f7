"""A finished chunk as the tables of schemas/: embeddings, predictions and failures."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.predict.head import HeadInfo
from geotag_batch.run.work import Chunk
from geotag_batch.schema import error_classes, load_schema

__all__ = ["Scored", "Stamp", "embeddings_table", "failures_table", "predictions_table", "vector_column"]

_LONGEST_WAIT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every row of a chunk says of its making; `at` is UTC without zone."""

    run_id: str
    at: datetime
    precision: str
    encoder_id: str | None
    head_id: str | None
    retry_after: timedelta


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the photos in `rows` (m,) of a chunk: float32 (m, 49), by `head`.

    `used` bool (m, 3): which of image, title and location went into each photo's scores.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    head: HeadInfo
    used: NDArray[np.bool_]


def embeddings_table(chunk: Chunk, stamp: Stamp, *, everything: bool) -> pa.Table:
    """Return the embedding rows: of the photos encoded now, or of all that did not fail (`everything`).

    A row is complete: where only one of its vectors is new, the stored other one is in it too.
    """
    vectors = chunk.vectors
    wanted = (vectors.has_image | vectors.has_title) & (chunk.needs_image | chunk.needs_title | everything)
    wanted[[row for row, failure in chunk.failures.items() if failure.error_class != "bad_scores"]] = False
    rows = np.flatnonzero(wanted)
    hashes = chunk.rows.column("title_hash").take(rows).combine_chunks()
    has_image, has_title = vectors.has_image[rows], vectors.has_title[rows]
    signatures = [chunk.signatures[row] or "" for row in rows]
    columns = {
        "gridimage_id": pa.array(chunk.ids[rows]),
        "image_embedding": vector_column(vectors.image[rows], has_image),
        "title_embedding": vector_column(vectors.title[rows], has_title),
        "title_hash": pc.if_else(pa.array(has_title), hashes, None),
        "image_signature": pa.array(signatures, pa.string(), mask=~has_image),
        "precision": _constant(stamp.precision, len(rows)),
        "run_id": _constant(stamp.run_id, len(rows)),
    }
    return pa.table(columns, schema=load_schema("embeddings").arrow(vectors.image.shape[1]))


def predictions_table(chunk: Chunk, scored: Scored | None, stamp: Stamp) -> pa.Table:
    """Return the prediction rows: tags decided by the head's policy; none without scores."""
    schema = load_schema("predictions").arrow()
    if scored is None or not len(scored.rows):
        return schema.empty_table()
    rows, scores, head = scored.rows, scored.scores, scored.head
    decisions = head.policy.decide(scores)
    titles = chunk.rows.column("title").take(rows)
    locations = chunk.locations[rows]
    known = np.isfinite(locations).all(axis=1) & ("location" in head.modalities)
    photos = len(rows)
    has_image, takes_title, takes_location = scored.used.T
    columns = {
        "gridimage_id": pa.array(chunk.ids[rows]),
        "tags": _tag_lists(decisions.chosen, head.tags),
        "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1]),
        "top_tag": pa.array(np.asarray(head.tags, object)[decisions.top], pa.string()),
        "top_score": pa.array(scores[np.arange(photos), decisions.top]),
        "set_probability": pa.array(decisions.set_probability),
        "forced": pa.array(decisions.forced),
        "has_image": pa.array(has_image),
        "has_title": pc.and_(pc.not_equal(pc.utf8_trim_whitespace(titles), ""), pa.array(takes_title)),
        "has_location": pa.array(known & takes_location),
        "title_hash": chunk.rows.column("title_hash").take(rows),
        "image_signature": pa.array([chunk.signatures[row] or "" for row in rows], pa.string(), mask=~has_image),
        "latitude": pa.array(locations[:, 0], mask=~known),
        "longitude": pa.array(locations[:, 1], mask=~known),
        "policy_id": _constant(head.policy.policy_id, photos),
        "run_id": _constant(stamp.run_id, photos),
        "predicted_at": pa.array(np.full(photos, np.datetime64(stamp.at, "us"))),
    }
    return pa.table(columns, schema=schema)


def failures_table(chunk: Chunk, stamp: Stamp) -> pa.Table:
    """Return the failure rows: a transient one is due after `retry_after`, doubled with each attempt."""
    attempts = chunk.rows.column("attempts").to_pylist()
    records = []
    for row, failure in sorted(chunk.failures.items()):
        kind = error_classes()[failure.error_class]
        tried = attempts[row] + 1
        wait = min(stamp.retry_after * 2 ** min(tried - 1, 16), _LONGEST_WAIT)
        records.append(
            {
                "gridimage_id": int(chunk.ids[row]),
                "stage": kind.stage,
                "error_class": failure.error_class,
                "message": failure.message,
                "attempts": tried,
                "permanent": kind.permanent,
                "retry_after": None if kind.permanent else stamp.at + wait,
                "image_signature": failure.image_signature,
                "encoder_id": stamp.encoder_id if kind.stage == "encode" else None,
                "head": stamp.head_id if kind.stage == "predict" else None,
                "run_id": stamp.run_id,
                "failed_at": stamp.at,
            }
        )
    return pa.Table.from_pylist(records, schema=load_schema("failures").arrow())


def _constant(value: str, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), length)


def vector_column(vectors: NDArray[np.float16], valid: NDArray[np.bool_]) -> pa.FixedSizeListArray:
    """Return vectors (n, dim) as a column that is null where `valid` (n,) does not mark a row."""
    values = pa.array(np.ascontiguousarray(vectors).ravel())
    return pa.FixedSizeListArray.from_arrays(values, vectors.shape[1], mask=pa.array(~valid))


def _tag_lists(chosen: NDArray[np.bool_], names: tuple[str, ...]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))]).astype(np.int32)
    values = pa.array(np.asarray(names, object)[np.nonzero(chosen)[1]], pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), values)
