"""Images by request: read or fetched ahead, decoded in processes of their own, handed out in order.

Local files are read by the decoding processes; only their references travel. What comes over http(s) is fetched by
threads here, `images.connections` at a time, and its bytes travel.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from threading import BoundedSemaphore
from types import TracebackType

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import PhotoFailure
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.images import ImageLimits
from geotag_batch.read.process import DecodeProcess
from geotag_batch.read.sources import TRANSIENT_FETCHES, ImageSource, LocalSource, open_source
from geotag_batch.read.worker import DecodeJob, DecodeSettings, LoadedImage

__all__ = ["ROOT_SUSPECT", "ImageLoader", "ImageRequest", "LoadedImage", "while_root_answers"]

ROOT_SUSPECT = TRANSIENT_FETCHES | {"missing"}
"""Failures that may be the image root's and not the photo's."""

_BATCH = 8  # local files sent to a process together, which saves it the waiting for this one to answer
_ROW_OF_FAILURES = 16  # after which the root is asked whether it is there
_TICK = 0.1  # seconds between two looks at whether to stop


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A photo's image to load; `reference` as `image_reference` gives it, None if the catalogue names none."""

    gridimage_id: int
    reference: str | None


class ImageLoader:
    """Loads images; to be used in a `with` block, at whose end processes are gone and fetches given up."""

    def __init__(self, images: ImagesConfig, workspace_root: Path, preprocess: Preprocess, workers: int) -> None:
        """Prepare `workers` decoding processes, which start when first used. Raises ConfigError."""
        self._source = open_source(images, workspace_root)
        files = self._source if isinstance(self._source, LocalSource) else None
        limits = ImageLimits(images.max_bytes, images.max_pixels)
        settings = DecodeSettings(files, preprocess, limits, images.decode_memory, images.decode == "scaled")
        self._processes = [DecodeProcess(settings, images.decode_timeout) for _ in range(workers)]
        self._idle: SimpleQueue[DecodeProcess] = SimpleQueue()
        for process in self._processes:
            self._idle.put(process)
        self._fetching = None if files is not None else BoundedSemaphore(images.connections)
        self._batch = _BATCH if files is not None else 1
        threads = workers if files is not None else images.connections + workers
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="images")
        self._stopped = False

    def __enter__(self) -> "ImageLoader":
        """Return the loader."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the loader."""
        self.close()

    def load(self, requests: Iterable[ImageRequest], look_ahead: int = 256) -> Iterator[LoadedImage]:
        """Begin to load, and return an iterator over one LoadedImage a request, in order.

        `requests` is drawn from in the caller's thread, never more than `look_ahead` ahead of what has been yielded.
        Ends early, and soon, after `stop`. Raises ConfigError if no decoding process can be started.
        """
        if look_ahead < 1:
            raise ValueError(f"look_ahead = {look_ahead} should be at least 1")
        source = iter(requests)
        size = min(self._batch, look_ahead)
        ahead: deque[Future[list[LoadedImage]]] = deque()

        def fill() -> None:
            while size * (len(ahead) + 1) <= look_ahead and (batch := list(islice(source, size))):
                ahead.append(self._threads.submit(self._load_batch, batch))

        fill()
        return self._in_order(ahead, fill)

    def _in_order(self, ahead: deque[Future[list[LoadedImage]]], fill: Callable[[], None]) -> Iterator[LoadedImage]:
        try:
            while ahead and self._is_done(ahead[0]):
                yield from ahead.popleft().result()
                fill()
        finally:
            for future in ahead:
                future.cancel()

    def stop(self) -> None:
        """Make `load` end early; safe in a signal handler (it takes no lock)."""
        self._stopped = True

    def close(self) -> None:
        """End everything: kill the processes, give up fetches. Takes no longer than a second or two."""
        self._stopped = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._source.close()
        for process in self._processes:
            process.close()

    def _is_done(self, future: Future[list[LoadedImage]]) -> bool:
        """Wait for `future`; return False if asked to stop meanwhile."""
        while not self._stopped:
            if wait([future], timeout=_TICK).done:
                return True
        return False

    def _load_batch(self, requests: Sequence[ImageRequest]) -> list[LoadedImage]:
        loaded: dict[int, LoadedImage] = {}
        jobs: dict[int, DecodeJob] = {}
        for position, request in enumerate(requests):
            try:
                jobs[position] = self._job(request)
            except PhotoFailure as failure:
                loaded[position] = LoadedImage.failed(request.gridimage_id, failure)
        if jobs:
            process = self._idle.get()
            try:
                loaded.update(zip(jobs, process.decode(list(jobs.values())), strict=True))
            finally:
                self._idle.put(process)
        return [loaded[position] for position in range(len(requests))]

    def _job(self, request: ImageRequest) -> DecodeJob:
        if request.reference is None:
            raise PhotoFailure("missing", "the catalogue names no image")
        if self._fetching is None:
            return DecodeJob(request.gridimage_id, request.reference)
        with self._fetching:
            return DecodeJob(request.gridimage_id, self._source.fetch(request.reference))


def while_root_answers(images: Iterator[LoadedImage], source: ImageSource) -> Iterator[LoadedImage]:
    """Yield `images`, and after each so many in a row that cannot be had ask whether the root is there at all.

    A server that is down would otherwise be waited for, image by image, to the end of a chunk. Raises ImageRootError.
    """
    row = 0
    for image in images:
        row = row + 1 if image.failure is not None and image.failure.error_class in ROOT_SUSPECT else 0
        if row and row % _ROW_OF_FAILURES == 0:
            source.check_root()
        yield image
