"""One chunk: read, encode, predict; what comes out is what one commit writes.

Every photo that enters a chunk leaves it once, as a prediction (or, when only embedding, as an embedding) or as a
failure with its class.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.errors import PhotoFailure
from geotag_batch.predict.features import fuse
from geotag_batch.predict.head import Head
from geotag_batch.read.loader import LoadedImage
from geotag_batch.read.stored import read_scores
from geotag_batch.run.embed import Embedder
from geotag_batch.run.tables import Scored, Stamp, embeddings_table, failures_table, predictions_table
from geotag_batch.run.work import Chunk
from geotag_batch.write.dataset import ChunkTables

__all__ = ["ChunkResult", "tag_chunk"]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk has come to: the tables to commit, and counts that add up."""

    tables: ChunkTables
    photos: int
    failures: Counter[str]
    first_attempts: int
    first_failures: int


def tag_chunk(
    chunk: Chunk, head: Head | None, embedder: Embedder | None, images: Iterator[LoadedImage], stamp: Stamp
) -> ChunkResult:
    """Embed what is missing, score, decide, and lay out the tables to commit.

    `embedder` may be None where nothing is to be encoded; without `head` the chunk is only embedded. If the embedder
    was asked to stop, the result covers the first part of the chunk, which may be empty; the rest stays pending.
    """
    if chunk.needs_encoder:
        assert embedder is not None, "the plan said that nothing is to be encoded"
        chunk = chunk.head_rows(embedder.embed(chunk, images))
    scored = score_chunk(chunk, head) if head is not None else None
    predictions = predictions_table(chunk, scored, stamp)
    embeddings = embeddings_table(chunk, stamp, everything=head is None)
    failures = failures_table(chunk, stamp)

    left = np.concatenate([(predictions if head is not None else embeddings)["gridimage_id"], failures["gridimage_id"]])
    if not np.array_equal(np.sort(left), np.sort(chunk.ids)):
        raise AssertionError(f"{len(chunk)} photos entered the chunk and {len(left)} left it, or not the same ones")
    first = chunk.rows.column("attempts").to_numpy() == 0
    return ChunkResult(
        tables=ChunkTables(embeddings, failures, predictions, chunk.vectors.image.shape[1]),
        photos=len(chunk),
        failures=Counter(failure.error_class for failure in chunk.failures.values()),
        first_attempts=int(first.sum()),
        first_failures=int(first[list(chunk.failures)].sum()),
    )


def score_chunk(chunk: Chunk, head: Head) -> Scored:
    """Score the photos that have not failed, from the embeddings as stored, or take the stored scores.

    Photos whose scores are not finite become failures.
    """
    rows = np.setdiff1d(np.arange(len(chunk)), list(chunk.failures))
    decide_only = chunk.rows.column("only_decide").to_numpy(zero_copy_only=False)[rows]
    scores = np.empty((len(rows), len(head.info.tags)), np.float32)
    if decide_only.any():
        scores[decide_only] = stored_scores(chunk, rows[decide_only])
    fresh = rows[~decide_only]
    if len(fresh):
        scores[~decide_only] = head.scores(features_of(chunk, head, fresh))
    finite = np.isfinite(scores).all(axis=1)
    for row in rows[~finite]:
        chunk.failures[int(row)] = PhotoFailure(
            "bad_scores", f"head {head.info.head_id} gave scores that are not finite"
        )
    return Scored(rows[finite], scores[finite], head.info)


def features_of(chunk: Chunk, head: Head, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the head's input for `rows`, float32 (len(rows), d), from the vectors as they are stored."""
    vectors, info = chunk.vectors, head.info
    for modality, has in (("image", vectors.has_image), ("title", vectors.has_title)):
        if modality in info.modalities and not has[rows].all():
            raise AssertionError(f"photos without {modality} embedding reached the head")
    location = info.location.scale(chunk.locations[rows]) if info.location is not None else None
    return fuse(
        info.modalities, vectors.image[rows].astype(np.float32), vectors.title[rows].astype(np.float32), location
    )


def stored_scores(chunk: Chunk, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the scores that the newest predictions of `rows` hold."""
    files = chunk.rows.column("prediction_file").take(pa.array(rows)).to_pylist()
    column = read_scores(chunk.ids[rows], files, ["scores"]).column("scores").combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(rows), -1)
