"""Holding a lock on a file: gone with the process that holds it, however that ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout, UnixFileLock

from geotag_batch.atomic import make_folder
from geotag_batch.errors import LockedError, StorageError

__all__ = ["hold_file"]


@contextmanager
def hold_file(path: Path, patience: float, busy: LockedError) -> Iterator[None]:
    """Hold the lock on `path`, which is made with its folder, for the length of a `with` block.

    Raises `busy` if another process still holds it after `patience` seconds, StorageError if the file system cannot
    lock.
    """
    # No fallback to a marker file: that would outlive a killed process.
    lock = UnixFileLock(path, timeout=patience, fallback_to_soft=False)
    try:
        make_folder(path.parent)
        lock.acquire()
    except Timeout as error:
        raise busy from error
    except (OSError, NotImplementedError) as error:
        raise StorageError(f"cannot lock {path}: {error}", hint="check the disk and permissions") from error
    try:
        yield
    finally:
        lock.release()
