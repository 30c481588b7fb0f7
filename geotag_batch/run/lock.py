"""The workspace's lock: held by every command that writes, gone with the process that holds it.

In an object store it is a lease (lease.py), gone some time after its process.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from geotag_batch.errors import LockedError, StorageError
from geotag_batch.locations import StorePath
from geotag_batch.locks import hold_file
from geotag_batch.workspace import Workspace
from geotag_batch.write.fence import fence

__all__ = ["hold_lock", "hold_training_lock", "is_locked"]


_PATIENCE = 0.5  # seconds: longer than another command needs to ask whether the workspace is locked


@contextmanager
def hold_lock(workspace: Workspace, patience: float = _PATIENCE) -> Iterator[None]:
    """Hold the lock for the length of a `with` block.

    Raises LockedError if another process still holds it after `patience` seconds, StorageError if the file system
    cannot lock, StoreError.
    """
    if isinstance(workspace.lock_file, StorePath):
        with _hold_lease(workspace, workspace.lock_file):
            yield
        return
    busy = LockedError(
        f"another geotag command is writing to {workspace.root}",
        hint="wait for it to end (`geotag status` shows the run), then start again",
    )
    with hold_file(workspace.lock_file, patience, busy):
        yield


@contextmanager
def _hold_lease(workspace: Workspace, path: StorePath) -> Iterator[None]:
    from geotag_batch.lease import Holder, acquire  # noqa: PLC0415  nothing that a folder needs

    def busy(holder: Holder) -> LockedError:
        return LockedError(
            f"another geotag command is writing to {workspace.root}: {holder}",
            hint=f"wait for it to end; if it was killed, its lease is over after {holder.seconds:g} seconds of silence",
        )

    lease, lost = acquire(path, busy)
    try:
        if lost is not None:
            fence(workspace, lost.committing)
        yield
    finally:
        lease.release()


@contextmanager
def hold_training_lock(workspace: Workspace, name: str) -> Iterator[None]:
    """Hold the lock of the training of this name, which a run of the workspace does not mind, in a `with` block.

    Raises LockedError if another process is training under that name, StorageError if the file system cannot lock.
    """
    path = workspace.cache / "training" / f"{name}.lock"
    busy = LockedError(
        f"another command is training {name} in {workspace.root}",
        hint="wait for it to end, or give this training another --name",
    )
    with hold_file(path, 0, busy):
        yield


def is_locked(workspace: Workspace) -> bool:
    """Return whether another process is writing to the workspace now."""
    if isinstance(workspace.lock_file, StorePath):
        from geotag_batch.lease import read_holder  # noqa: PLC0415

        return read_holder(workspace.lock_file) is not None
    if not workspace.lock_file.exists():
        return False
    try:
        with hold_lock(workspace, patience=0):
            return False
    except LockedError:
        return True
    except StorageError:
        return False
