"""Encoding what a chunk lacks: images in batches as the loader brings them, titles once each.

The work goes in slices of a few batches, titles first, so that a stop finds a finished first part of the chunk
within seconds: the rows up to the last encoded batch have both their embeddings.
"""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from geotag_batch.encode.encoder import Encoder, EncoderMemoryError
from geotag_batch.errors import PhotoFailure
from geotag_batch.read.loader import LoadedImage
from geotag_batch.run.work import Chunk

__all__ = ["Embedder"]

_SLICE = 256  # photos; at the slowest measured rate about ten seconds of images
_TITLES_KEPT = 20_000  # 20 MB of vectors; a contributor's series often shares one title


class Embedder:
    """Encodes for a whole run, and counts what it did.

    `images_encoded`, `titles_encoded` and `seconds` (by stage) grow over the run; `stop` is asked after each batch.
    """

    def __init__(self, encoder: Encoder, batch_size: int, stop: Callable[[], bool]) -> None:
        """Use `encoder` with up to `batch_size` images at a time, halved for good when memory runs out."""
        self.encoder = encoder
        self.batch_size = batch_size
        self.images_encoded = 0
        self.titles_encoded = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._stop = stop
        self._titles: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def embed(self, chunk: Chunk, images: Iterator[LoadedImage]) -> int:
        """Fill in the chunk's missing vectors and failures; return how many leading photos are finished.

        That is all of them unless the run was asked to stop.
        """
        for start in range(0, len(chunk), step := max(_SLICE, 2 * self.batch_size)):
            end = min(start + step, len(chunk))
            rows = np.arange(start, end)
            self._embed_titles(chunk, rows[chunk.needs_title[start:end]])
            finished = self._embed_images(chunk, rows[chunk.needs_image[start:end]], images)
            if self._stop():
                return end if finished is None else finished
        return len(chunk)

    def _embed_images(self, chunk: Chunk, rows: NDArray[np.int64], images: Iterator[LoadedImage]) -> int | None:
        """Encode the images of `rows`; if asked to stop early, return the number of finished leading photos."""
        waiting = [int(row) for row in rows]
        while waiting:
            batch, waiting = waiting[: self.batch_size], waiting[self.batch_size :]
            started = time.monotonic()
            loaded = list(islice(images, len(batch)))
            self.seconds["wait_images"] += time.monotonic() - started
            if len(loaded) < len(batch) and self._stop():  # the loader was asked to stop too
                return batch[0]
            if [image.gridimage_id for image in loaded] != chunk.ids[batch].tolist():
                raise AssertionError("the loader's images are not those that the chunk asked for")
            self._encode_batch(chunk, batch, loaded)
            if waiting and self._stop():
                return batch[-1] + 1
        return None

    def _encode_batch(self, chunk: Chunk, batch: Sequence[int], loaded: Sequence[LoadedImage]) -> None:
        usable = []
        for row, image in zip(batch, loaded, strict=True):
            chunk.vectors.has_image[row] = False
            chunk.signatures[row] = image.signature
            if image.failure is not None:
                chunk.failures[row] = image.failure
            else:
                usable.append((row, image))
        started = time.monotonic()
        for row, vector in self._encode_images(usable):
            if vector is None:
                chunk.failures[row] = PhotoFailure(
                    "out_of_memory", "the encoder ran out of memory", image_signature=chunk.signatures[row]
                )
            else:
                self._store(chunk, row, chunk.vectors.image, chunk.vectors.has_image, vector)
        self.seconds["encode_images"] += time.monotonic() - started

    def _encode_images(self, usable: list[tuple[int, LoadedImage]]) -> Iterator[tuple[int, NDArray[np.float16] | None]]:
        """Yield each row with its vector, or None where even a single image takes too much memory."""
        while usable:
            size = min(self.batch_size, len(usable))
            try:
                pixels = np.stack([image.pixels for _, image in usable[:size] if image.pixels is not None])
                vectors = _as_stored(self.encoder.encode_images(pixels))
            except EncoderMemoryError:
                if size == 1:
                    yield usable[0][0], None
                    usable = usable[1:]
                else:
                    self.batch_size = size // 2
                continue
            self.images_encoded += size
            yield from zip((row for row, _ in usable[:size]), vectors, strict=True)
            usable = usable[size:]

    def _embed_titles(self, chunk: Chunk, rows: NDArray[np.int64]) -> None:
        """Give `rows` their title vectors; each distinct title is encoded once."""
        if not len(rows):
            return
        started = time.monotonic()
        titles = chunk.rows.column("title").take(rows).to_pylist()
        new = [title for title in dict.fromkeys(titles) if title not in self._titles]
        self._encode_titles(new)
        for row, title in zip(rows, titles, strict=True):
            if title not in self._titles:
                chunk.failures[int(row)] = PhotoFailure("out_of_memory", "the encoder ran out of memory at the title")
                continue
            self._titles.move_to_end(title)
            self._store(chunk, int(row), chunk.vectors.title, chunk.vectors.has_title, self._titles[title])
        while len(self._titles) > _TITLES_KEPT:
            self._titles.popitem(last=False)
        self.seconds["encode_titles"] += time.monotonic() - started

    def _encode_titles(self, titles: list[str]) -> None:
        """Add the vectors of `titles` to those kept, but for a title that takes too much memory all by itself."""
        try:
            vectors = _as_stored(self.encoder.encode_titles(titles)) if titles else ()
        except EncoderMemoryError:
            half = len(titles) // 2
            if half:
                self._encode_titles(titles[:half])
                self._encode_titles(titles[half:])
            return
        self._titles.update(zip(titles, vectors, strict=True))
        self.titles_encoded += len(titles)

    def _store(
        self,
        chunk: Chunk,
        row: int,
        target: NDArray[np.float16],
        has: NDArray[np.bool_],
        vector: NDArray[np.float16],
    ) -> None:
        if np.isfinite(vector).all():
            target[row] = vector
            has[row] = True
        else:
            chunk.failures[row] = PhotoFailure(
                "bad_embedding",
                f"encoder {self.encoder.encoder_id} gave values that are not finite as float16",
                image_signature=chunk.signatures[row],
            )


def _as_stored(vectors: NDArray[np.float32]) -> NDArray[np.float16]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is found by `_store`
        return vectors.astype(np.float16)
