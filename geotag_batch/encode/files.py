"""Where a model's files are on this machine."""

import hashlib
from pathlib import Path

from geotag_batch.atomic import publish
from geotag_batch.errors import StoreError
from geotag_batch.locations import StorePath
from geotag_batch.workspace import Workspace

__all__ = ["model_file"]

_BLOCK = 8 * 2**20


def model_file(root: Path, name: str) -> Path:
    """Return the file that `name` means, which may be relative to the workspace at `root`; it need not be there.

    Of a file in a store it is a copy in the workspace's cache, one for each version; the weights in it are hashed
    whenever they are loaded. Raises StoreError.
    """
    path = Path(name).expanduser()
    if not isinstance(root, StorePath):
        return root / path
    if path.is_absolute():
        return path
    from geotag_batch.store import ChangedError  # noqa: PLC0415  nothing that a folder needs

    place = root / name
    cache = Workspace(root).cache / "models"
    try:
        entry = place.store.head(place.key)
    except FileNotFoundError:
        return cache / "none" / path.name
    copy = cache / hashlib.sha256(f"{place} {entry.etag}".encode()).hexdigest()[:16] / path.name

    def write(staged: Path) -> None:
        with staged.open("wb") as file:
            for start in range(0, entry.size, _BLOCK):
                end = min(start + _BLOCK, entry.size)
                try:
                    file.write(place.store.read_range(place.key, start, end, entry.etag))
                except ChangedError as error:
                    raise StoreError(f"{place}: was replaced while it was read", hint="start again") from error

    if not copy.is_file():
        publish(write, copy, cache / "staging")
    return copy
