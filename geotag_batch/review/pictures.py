"""Photos as the review page shows them: made when first looked at, kept in cache/thumbnails.

They are decoded in the processes, and within the limits, in which a run decodes images: one that hangs, or kills its
decoder, costs its own picture.
"""

import io
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from PIL import Image

from geotag_batch.atomic import write_bytes
from geotag_batch.config import Config
from geotag_batch.errors import StorageError
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.loader import ImageLoader, ImageRequest, LoadedImage
from geotag_batch.read.sources import image_reference
from geotag_batch.review.index import PhotoRow
from geotag_batch.run.capacity import decoding_workers
from geotag_batch.workspace import Workspace

__all__ = ["Picture", "Pictures"]

SIZE = 640
"""Pixels of the longer side: a card's width on a screen of double density."""

_QUALITY = 80
_REMEMBER = 300.0  # seconds for which a picture that could not be made is not tried again
_MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A photo as JPEG, or why there is none: a class of schemas/failures.v1.json."""

    gridimage_id: int
    jpeg: bytes | None
    problem: str | None


class Pictures:
    """Makes pictures and keeps them; any thread may ask. To be closed, which ends the decoding processes."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        """Prepare `run.workers` decoding processes, which start when first needed. Raises ConfigError."""
        self._folder = workspace.cache / "thumbnails"
        self._images = config.images
        shape = Preprocess(SIZE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), resize_mode="inside")
        scaled = replace(config.images, decode="scaled")  # faster, and nobody sees the difference
        self._loader = ImageLoader(scaled, workspace.root, shape, decoding_workers(config.run, "cpu"))
        self._failed: dict[tuple[int, str], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def get(self, photo: PhotoRow) -> Picture:
        """Return a photo's picture, from the cache or made now."""
        (picture,) = self.get_all([photo])
        return picture

    def get_all(self, photos: Iterable[PhotoRow]) -> Iterator[Picture]:
        """Yield the photos' pictures in order, made side by side where they have to be."""
        photos = list(photos)
        known = {photo.gridimage_id: found for photo in photos if (found := self._known(photo)) is not None}
        missing = [photo for photo in photos if photo.gridimage_id not in known]
        made = self._loader.load(
            ImageRequest(photo.gridimage_id, image_reference(self._images, photo.gridimage_id, photo.image))
            for photo in missing
        )
        for photo in photos:
            found = known.get(photo.gridimage_id)
            if found is None:
                loaded = next(made, None)
                if loaded is None:  # closed meanwhile
                    return
                found = self._keep(photo, loaded)
            yield found

    def close(self) -> None:
        """End the decoding processes."""
        self._loader.close()

    def _known(self, photo: PhotoRow) -> Picture | None:
        with self._lock:
            at, problem = self._failed.get((photo.gridimage_id, photo.version), (0.0, ""))
        if problem and time.monotonic() - at < _REMEMBER:
            return Picture(photo.gridimage_id, None, problem)
        try:
            return Picture(photo.gridimage_id, (self._folder / _name(photo)).read_bytes(), None)
        except OSError:
            return None

    def _keep(self, photo: PhotoRow, loaded: LoadedImage) -> Picture:
        if loaded.pixels is None:
            problem = "no picture" if loaded.failure is None else loaded.failure.error_class
            with self._lock:
                if len(self._failed) >= _MOST_REMEMBERED:
                    self._failed.clear()
                self._failed[photo.gridimage_id, photo.version] = (time.monotonic(), problem)
            return Picture(photo.gridimage_id, None, problem)
        file = io.BytesIO()
        Image.fromarray(loaded.pixels).save(file, "JPEG", quality=_QUALITY, progressive=True)
        jpeg = file.getvalue()
        final = self._folder / _name(photo)
        try:
            # Staged by thread, since two of them may make the same picture at the same time.
            staging = self._folder / "staging" / f"{threading.get_native_id()}"
            write_bytes(jpeg, final, staging, replace=True)
        except StorageError:  # a full disk, or one that is only read: the picture is made again next time
            pass
        return Picture(photo.gridimage_id, jpeg, None)


def _name(photo: PhotoRow) -> str:
    return f"{photo.gridimage_id // 10000:05d}/{photo.gridimage_id}-{photo.version}.jpg"
