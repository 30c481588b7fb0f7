"""Where images come from: what a photo's reference is, and the folder or server that holds the images."""

from pathlib import Path
from typing import Protocol

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ConfigError
from geotag_batch.locations import StorePath, is_store_url, location
from geotag_batch.read.http import HttpSource
from geotag_batch.read.images import FetchedImage
from geotag_batch.read.local import LocalSource

__all__ = [
    "TRANSIENT_FETCHES",
    "FetchedImage",
    "HttpSource",
    "ImageSource",
    "LocalSource",
    "image_reference",
    "open_source",
]

TRANSIENT_FETCHES = frozenset({"io_error", "fetch_timeout", "fetch_error"})
"""Failures that say nothing about the image itself, only that it could not be had just now."""


class ImageSource(Protocol):
    """Reads images by reference; any number of threads may do so at a time."""

    def check_root(self) -> None:
        """Raise ImageRootError unless the images as a whole are there."""

    def signature(self, reference: str) -> str:
        """Return what tells an image's present version from others, without reading it. Raises PhotoFailure."""

    def fetch(self, reference: str) -> FetchedImage:
        """Read an image. Raises PhotoFailure."""

    def close(self) -> None:
        """Give up what is under way, promptly."""


def image_reference(images: ImagesConfig, gridimage_id: int, column_value: str | None) -> str | None:
    """Return a photo's reference: what the catalogue's column says, None where it says nothing, or the template.

    Raises ConfigError if the template cannot be filled in.
    """
    if images.column is not None:
        return column_value or None
    try:
        return images.template.format(bucket=gridimage_id // 10000, gridimage_id=gridimage_id)
    except (AttributeError, LookupError, ValueError) as error:
        raise ConfigError(
            f"images.template = {images.template!r} cannot be filled in: {error}",
            hint="it may use {gridimage_id} and {bucket}, with formats as in {bucket:05d}",
        ) from error


def open_source(images: ImagesConfig, workspace_root: Path) -> ImageSource:
    """Return the source that images.root names: a LocalSource, an HttpSource or a StoreSource.

    Raises ConfigError if it names neither a folder nor an http(s) nor an object store's URL.
    """
    place = _stored(images.root, workspace_root)
    if place is not None:
        from geotag_batch.read.bucket import StoreSource  # noqa: PLC0415  nothing that a folder needs

        return StoreSource(place, images)
    if images.root.lower().startswith(("http://", "https://")):
        return HttpSource(images)
    if "://" in images.root:
        raise ConfigError(
            f"images.root = {images.root!r} is neither a folder nor an http(s) or s3 URL",
            hint="mount the store as a folder, or serve it over http(s)",
        )
    try:
        folder = Path(images.root).expanduser()
    except RuntimeError as error:  # ~name of nobody
        raise ConfigError(
            f"images.root = {images.root!r} names no folder: {error}", hint="write its path out"
        ) from error
    return LocalSource(workspace_root / folder, images.max_bytes)


def _stored(root: str, workspace_root: Path) -> StorePath | None:
    """Return the place in an object store that images.root names, itself or relative to a workspace in one."""
    relative = "://" not in root and not root.startswith(("/", "~"))
    if is_store_url(root) or (relative and isinstance(workspace_root, StorePath)):
        place = location(root) if is_store_url(root) else location(f"{workspace_root}/{root}")
        return place if isinstance(place, StorePath) else None
    return None
