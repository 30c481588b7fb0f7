"""The workspace's lock: held by every command that writes, gone with the process that holds it."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import Timeout, UnixFileLock

from geotag_batch.errors import LockedError, StorageError
from geotag_batch.workspace import Workspace

__all__ = ["hold_lock", "is_locked"]


_PATIENCE = 0.5  # seconds: longer than another command needs to ask whether the workspace is locked


@contextmanager
def hold_lock(workspace: Workspace, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the lock for the length of a `with` block.

    Raises LockedError if another process still holds it after `patience` seconds, StorageError if the file system
    cannot lock.
    """
    # No fallback to a marker file: that would outlive a killed process.
    lock = UnixFileLock(workspace.lock_file, timeout=patience, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise LockedError(
            f"another geotag command is writing to {workspace.root}",
            hint="wait for it to end (`geotag status` shows the run), then start again",
        ) from error
    except (OSError, NotImplementedError) as error:
        raise StorageError(
            f"cannot lock {workspace.lock_file}: {error}", hint="check the disk and permissions"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(workspace: Workspace) -> bool:
    """Return whether another process is writing to the workspace now."""
    if not workspace.lock_file.exists():
        return False
    try:
        with hold_lock(workspace, patience=0):
            return False
    except LockedError:
        return True
    except StorageError:
        return False
