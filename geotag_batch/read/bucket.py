"""Images in an object store: whole objects below one prefix, with their ETag for a signature."""

import threading

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ImageRootError, PhotoFailure, StoreError
from geotag_batch.locations import StorePath
from geotag_batch.read.images import FetchedImage
from geotag_batch.read.urls import is_url
from geotag_batch.store import Entry, open_store

__all__ = ["StoreSource"]


class StoreSource:
    """Reads images below `root`; a reference is a path relative to it, or the URL of an object below it."""

    def __init__(self, root: StorePath, images: ImagesConfig) -> None:
        """Prepare; nothing is fetched yet. Raises ConfigError without the extra for such a URL."""
        self._root, self._images = root, images
        self._store = open_store("//".join(root.parts[:2]), images.fetch_attempts, images.fetch_timeout)
        self._closed = threading.Event()

    def check_root(self) -> None:
        """Raise ImageRootError unless the store answers and there is something below the root."""
        hint = "check the store and its credentials, or set images.root in geotag.toml"
        try:
            empty = not self._store.any(f"{self._root.key}/" if self._root.key else "")
        except StoreError as error:
            raise ImageRootError(f"image root {self._root}: {error.message}", hint=hint) from error
        if empty:
            raise ImageRootError(f"image root {self._root} is empty", hint=hint)

    def signature(self, reference: str) -> str:
        """Return an image's ETag. Raises PhotoFailure."""
        return self._head(self._key(reference)).etag

    def fetch(self, reference: str) -> FetchedImage:
        """Read an image. Raises PhotoFailure (missing, outside_root, too_large, fetch_timeout, fetch_error)."""
        key = self._key(reference)
        most = self._images.max_bytes
        try:
            blob = self._store.read(key, most)
        except FileNotFoundError as error:
            raise PhotoFailure("missing", "no such object") from error
        except StoreError as error:
            raise _failure(error) from error
        if blob.entry.size > most:
            raise PhotoFailure(
                "too_large",
                f"{blob.entry.size} bytes, more than images.max_bytes = {most}",
                image_signature=blob.entry.etag,
            )
        return FetchedImage(blob.data, blob.entry.etag)

    def close(self) -> None:
        """Begin nothing more; what is under way ends within images.fetch_timeout."""
        self._closed.set()

    def _head(self, key: str) -> Entry:
        try:
            return self._store.head(key)
        except FileNotFoundError as error:
            raise PhotoFailure("missing", "no such object") from error
        except StoreError as error:
            raise _failure(error) from error

    def _key(self, reference: str) -> str:
        if self._closed.is_set():
            raise PhotoFailure("fetch_timeout", "fetching was given up")
        below = reference.removeprefix(f"{self._root}/")
        if is_url(below) or below.startswith("/") or {"..", "."} & set(below.split("/")):
            raise PhotoFailure("outside_root", f"{reference!r} leads out of the image root")
        if not below or "\0" in below or "//" in below:
            raise PhotoFailure("missing", f"{reference!r} cannot be the name of an object")
        return f"{self._root.key}/{below}" if self._root.key else below


def _failure(error: StoreError) -> PhotoFailure:
    late = "in time" in error.message
    return PhotoFailure("fetch_timeout" if late else "fetch_error", error.message)
