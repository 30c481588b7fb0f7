"""Hands chunks to the run and their images to the loader, which reads ahead across the end of a chunk."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import PhotoFailure
from geotag_batch.read.loader import ImageRequest
from geotag_batch.read.sources import ImageSource, image_reference
from geotag_batch.run.plan import Plan
from geotag_batch.run.work import Chunk

__all__ = ["ChunkFeed", "read_chunk"]

_Read = tuple[Chunk, list[ImageRequest]]


class ChunkFeed:
    """The chunks of a plan, in order; `dim` is the length of an embedding.

    Both iterators draw on one queue: a chunk that the loader has reached first is kept for the run.
    """

    def __init__(self, plan: Plan, images: ImagesConfig, source: ImageSource, dim: int) -> None:
        """Read chunks from `plan`; `source` tells whether an image that may have changed really has."""
        self._chunks = plan.iter_chunks()
        self._images = images
        self._source = source
        self._dim = dim
        self._ready: deque[Chunk] = deque()
        self._requests: deque[ImageRequest] = deque()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="chunks")
        self._ahead: Future[_Read | None] | None = None

    def chunks(self) -> Iterator[Chunk]:
        """Yield each chunk once; while the caller works on one, the next is read."""
        while self._ready or self._advance():
            chunk = self._ready.popleft()
            if not self._ready:
                self._ahead = self._ahead or self._reader.submit(self._read)
            yield chunk

    def requests(self) -> Iterator[ImageRequest]:
        """Yield the images that the chunks need, in the order in which they need them."""
        while self._requests or self._advance():
            if self._requests:
                yield self._requests.popleft()

    def close(self) -> None:
        """Wait for what is being read, which needs the plan's connection; what was read ahead is given up."""
        self._reader.shutdown(cancel_futures=True)

    def _advance(self) -> bool:
        ahead, self._ahead = self._ahead or self._reader.submit(self._read), None
        read = ahead.result()
        if read is None:
            return False
        chunk, requests = read
        self._ready.append(chunk)
        self._requests.extend(requests)
        return True

    def _read(self) -> _Read | None:
        rows = next(self._chunks, None)
        return None if rows is None else read_chunk(rows, self._images, self._source, self._dim)


def read_chunk(rows: pa.Table, images: ImagesConfig, source: ImageSource, dim: int) -> _Read:
    """Return the chunk of a plan's rows, with the vectors that are stored, and the images that it needs, in order.

    `source` tells whether an image that may have changed really has; `dim` is the length of an embedding. Raises
    StorageError if a file of embeddings cannot be read.
    """
    looked_at = pc.not_equal(rows["image_work"], "none").to_numpy()
    references: list[str | None] = [None] * rows.num_rows
    for row in np.flatnonzero(looked_at).tolist():
        references[row] = image_reference(images, rows["gridimage_id"][row].as_py(), rows["image"][row].as_py())
    chunk = Chunk.of(rows, _needs_image(rows, references, source), dim)
    needed = np.flatnonzero(chunk.needs_image)
    return chunk, [ImageRequest(int(chunk.ids[row]), references[row]) for row in needed]


def _needs_image(rows: pa.Table, references: list[str | None], source: ImageSource) -> NDArray[np.bool_]:
    """Tell which rows' images are to be encoded: missing ones, and those that look different now."""
    work = rows["image_work"].to_pylist()
    signatures = rows["image_signature"].to_pylist()
    return np.array(
        [
            kind == "encode" or (kind == "check" and _looks_different(source, reference, signature))
            for kind, reference, signature in zip(work, references, signatures, strict=True)
        ],
        np.bool_,
    )


def _looks_different(source: ImageSource, reference: str | None, signature: str | None) -> bool:
    try:
        return reference is None or source.signature(reference) != signature
    except PhotoFailure:
        return True  # the loader meets the same trouble and says what it is
