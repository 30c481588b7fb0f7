"""Hands chunks to the run and their images to the loader, which reads ahead across the end of a chunk."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import PhotoFailure
from geotag_batch.read.loader import ImageRequest
from geotag_batch.read.sources import ImageSource, image_reference
from geotag_batch.run.plan import Plan
from geotag_batch.run.work import Chunk

__all__ = ["ChunkFeed"]


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

    def chunks(self) -> Iterator[Chunk]:
        """Yield each chunk once."""
        while self._ready or self._advance():
            yield self._ready.popleft()

    def requests(self) -> Iterator[ImageRequest]:
        """Yield the images that the chunks need, in the order in which they need them."""
        while self._requests or self._advance():
            if self._requests:
                yield self._requests.popleft()

    def _advance(self) -> bool:
        rows = next(self._chunks, None)
        if rows is None:
            return False
        references = [
            image_reference(self._images, gridimage_id, value)
            for gridimage_id, value in zip(rows["gridimage_id"].to_pylist(), rows["image"].to_pylist(), strict=True)
        ]
        chunk = Chunk.of(rows, self._needs_image(rows, references), self._dim)
        self._ready.append(chunk)
        self._requests.extend(
            ImageRequest(int(chunk.ids[row]), references[row]) for row in np.flatnonzero(chunk.needs_image)
        )
        return True

    def _needs_image(self, rows: pa.Table, references: list[str | None]) -> NDArray[np.bool_]:
        """Tell which rows' images are to be encoded: missing ones, and those that look different now."""
        work = rows["image_work"].to_pylist()
        signatures = rows["image_signature"].to_pylist()
        return np.array(
            [
                kind == "encode" or (kind == "check" and self._looks_different(reference, signature))
                for kind, reference, signature in zip(work, references, signatures, strict=True)
            ],
            np.bool_,
        )

    def _looks_different(self, reference: str | None, signature: str | None) -> bool:
        try:
            return reference is None or self._source.signature(reference) != signature
        except PhotoFailure:
            return True  # the loader meets the same trouble and says what it is
