"""One chunk: read, encode, predict; what comes out is what one commit writes.

Every photo that enters a chunk leaves it once, as a prediction (or, when only embedding, as an embedding) or as a
failure with its class.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.errors import PhotoFailure
from geotag_batch.predict.bundle import Scorer
from geotag_batch.predict.features import MODALITIES, select
from geotag_batch.predict.head import Head
from geotag_batch.read.loader import LoadedImage
from geotag_batch.read.stored import read_scores
from geotag_batch.run.embed import Embedder
from geotag_batch.run.tables import Scored, Stamp, embeddings_table, failures_table, predictions_table
from geotag_batch.run.work import Chunk
from geotag_batch.schema import error_classes
from geotag_batch.write.dataset import ChunkTables

__all__ = ["ChunkResult", "tag_chunk"]


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk has come to: the tables to commit, and counts that add up.

    `without_image` counts, by error class, the photos that were scored although their image could not be used.
    """

    tables: ChunkTables
    photos: int
    failures: Counter[str]
    first_attempts: int
    first_failures: int
    without_image: Counter[str]


def tag_chunk(
    chunk: Chunk, scorer: Scorer | None, embedder: Embedder | None, images: Iterator[LoadedImage], stamp: Stamp
) -> ChunkResult:
    """Embed what is missing, score, decide, and lay out the tables to commit.

    `embedder` may be None where nothing is to be encoded; without `scorer` the chunk is only embedded. If the embedder
    was asked to stop, the result covers the first part of the chunk, which may be empty; the rest stays pending.
    """
    if chunk.needs_encoder:
        assert embedder is not None, "the plan said that nothing is to be encoded"
        chunk = chunk.head_rows(embedder.embed(chunk, images))
    without_image = forgive_images(chunk) if scorer is not None and scorer.takes_imageless else Counter()
    scored = score_chunk(chunk, scorer) if scorer is not None else None
    predictions = predictions_table(chunk, scored, stamp)
    embeddings = embeddings_table(chunk, stamp, everything=scorer is None)
    failures = failures_table(chunk, stamp)

    left = np.concatenate(
        [(predictions if scorer is not None else embeddings)["gridimage_id"], failures["gridimage_id"]]
    )
    if not np.array_equal(np.sort(left), np.sort(chunk.ids)):
        raise AssertionError(f"{len(chunk)} photos entered the chunk and {len(left)} left it, or not the same ones")
    first = chunk.rows.column("attempts").to_numpy() == 0
    return ChunkResult(
        tables=ChunkTables(embeddings, failures, predictions, chunk.vectors.image.shape[1]),
        photos=len(chunk),
        failures=Counter(failure.error_class for failure in chunk.failures.values()),
        first_attempts=int(first.sum()),
        first_failures=int(first[list(chunk.failures)].sum()),
        without_image=without_image,
    )


def forgive_images(chunk: Chunk) -> Counter[str]:
    """Take back the failures of images that are missing or can never be used; return how many, by class.

    Such photos are scored from what else is known of them. What may be mended by waiting stays a failure.
    """
    classes = error_classes()
    forgiven = {
        row: failure.error_class
        for row, failure in chunk.failures.items()
        if classes[failure.error_class].stage == "image"
        and (classes[failure.error_class].permanent or failure.error_class == "missing")
    }
    for row in forgiven:
        del chunk.failures[row]
        chunk.signatures[row] = None
    return Counter(forgiven.values())


def score_chunk(chunk: Chunk, scorer: Scorer) -> Scored:
    """Score the photos that have not failed, from the embeddings as stored, or take the stored scores.

    Photos whose scores are not finite become failures.
    """
    rows = np.setdiff1d(np.arange(len(chunk)), list(chunk.failures))
    decide_only = chunk.rows.column("only_decide").to_numpy(zero_copy_only=False)[rows]
    scores = np.empty((len(rows), len(scorer.info.tags)), np.float32)
    member = scorer.choose(available(chunk, rows))
    if decide_only.any():
        scores[decide_only] = stored_scores(chunk, rows[decide_only])
    for place, head in enumerate(scorer.members):
        fresh = ~decide_only & (member == place)
        if fresh.any():
            scores[fresh] = head.scores(*features_of(chunk, head, rows[fresh]))
    finite = np.isfinite(scores).all(axis=1)
    for row in rows[~finite]:
        chunk.failures[int(row)] = PhotoFailure(
            "bad_scores", f"head {scorer.info.head_id} gave scores that are not finite"
        )
    used = np.array([[name in head.info.modalities for name in MODALITIES] for head in scorer.members])
    return Scored(rows[finite], scores[finite], scorer.info, used[member[finite]])


def available(chunk: Chunk, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of image, title and location each of `rows` has, bool (len(rows), 3).

    An image counts where its embedding, or that of the scores that are decided on again, is there; a title where it
    is more than white space.
    """
    signatures, titles = chunk.signatures, chunk.rows.column("title").take(pa.array(rows))
    signed = np.array([signatures[row] is not None for row in rows], np.bool_)
    titled = pc.not_equal(pc.utf8_trim_whitespace(titles), "").to_numpy()
    located = np.isfinite(chunk.locations[rows]).all(axis=1)
    return np.stack([chunk.vectors.has_image[rows] | signed, titled, located], axis=1)


def features_of(chunk: Chunk, head: Head, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Return the head's input for `rows`, (len(rows), ...) each, from the vectors as they are stored."""
    vectors, info = chunk.vectors, head.info
    for modality, has in (("image", vectors.has_image), ("title", vectors.has_title)):
        if modality in info.modalities and not has[rows].all():
            raise AssertionError(f"photos without {modality} embedding reached the head")
    location = info.location.scale(chunk.locations[rows]) if info.location is not None else None
    if len(rows) == len(chunk):  # the usual case, without a copy
        return select(info.modalities, vectors.image, vectors.title, location)
    return select(info.modalities, vectors.image[rows], vectors.title[rows], location)


def stored_scores(chunk: Chunk, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the scores that the newest predictions of `rows` hold."""
    files = chunk.rows.column("prediction_file").take(pa.array(rows)).to_pylist()
    column = read_scores(chunk.ids[rows], files, ["scores"]).column("scores").combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(rows), -1)
