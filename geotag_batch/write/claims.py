"""Who commits a chunk, where several workers may come to: the one that made its claim, and nobody else.

A claim is an empty file `staging/<run_id>/claims/<chunk>`, created exclusively and locked while its owner commits. So a
chunk that is done twice, because its first worker was taken for lost, is committed once. And whoever removes the folder
of claims has ended the run: nobody can claim any more, and those that had are waited for by their locks. The next run
does that before it plans, so that a worker that outlives its run commits nothing behind its back.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from geotag_batch.atomic import make_folder
from geotag_batch.errors import LockedError, StorageError
from geotag_batch.workspace import Workspace

__all__ = ["claim_chunk", "end_claims", "is_claimed", "open_claims", "wait_for_claim"]

_TICK = 0.05  # seconds between two attempts at a lock
_PATIENCE = 30.0  # seconds: a commit takes a fraction of one, on a slow disk a few


def open_claims(workspace: Workspace, run_id: str) -> None:
    """Let the chunks of a run be claimed. Raises StorageError."""
    try:
        make_folder(_folder(workspace, run_id))
    except OSError as error:
        raise StorageError(
            f"cannot write {workspace.staging}: {error.strerror or error}", hint="mend permissions or the disk"
        ) from error


@contextmanager
def claim_chunk(workspace: Workspace, run_id: str, number: int) -> Iterator[bool]:
    """Claim a chunk for the length of a `with` block; yields whether it is ours to commit.

    It is not if another worker has claimed it, or the run has ended. Raises StorageError.
    """
    path = _path(workspace, run_id, number)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOENT, errno.ESTALE):  # the last is NFS's word for a removed folder
            yield False
            return
        raise StorageError(f"cannot write {path}: {error.strerror or error}", hint="mend the disk") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield os.fstat(descriptor).st_nlink > 0  # else the run was ended before it was locked
    finally:
        os.close(descriptor)


def is_claimed(workspace: Workspace, run_id: str, number: int) -> bool:
    """Return whether some worker has claimed a chunk."""
    return _path(workspace, run_id, number).exists()


def wait_for_claim(workspace: Workspace, run_id: str, number: int, give_up: Callable[[], bool]) -> None:
    """Wait until whoever has claimed a chunk is done with it, or gone, or `give_up` says so."""
    with contextlib.suppress(FileNotFoundError):  # the run has ended
        _wait(_path(workspace, run_id, number), give_up)


def end_claims(workspace: Workspace, run_id: str) -> None:
    """Let nobody claim a chunk of that run any more, and wait for those who commit just now.

    Raises LockedError if one takes longer than half a minute, StorageError.
    """
    folder = _folder(workspace, run_id)
    deadline = time.monotonic() + _PATIENCE
    try:
        while folder.exists():
            for path in sorted(folder.iterdir()):
                if not _wait(path, lambda: time.monotonic() > deadline, path.unlink):
                    raise LockedError(
                        f"a worker of run {run_id} is still committing chunk {path.name}",
                        hint="look for it on the cluster's machines; when it has ended, start again",
                    )
            with contextlib.suppress(OSError):  # one more was claimed meanwhile
                folder.rmdir()
    except OSError as error:
        raise StorageError(
            f"cannot remove {folder}: {error.strerror or error}", hint="mend permissions or the disk"
        ) from error


def _wait(path: Path, give_up: Callable[[], bool], then: Callable[[], object] = bool) -> bool:
    """Wait for the lock on `path`, do `then` under it; return whether the lock was had. Raises FileNotFoundError."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                then()
                return True
            except BlockingIOError:
                if give_up():
                    return False
                time.sleep(_TICK)
    finally:
        os.close(descriptor)


def _folder(workspace: Workspace, run_id: str) -> Path:
    return workspace.staging / run_id / "claims"


def _path(workspace: Workspace, run_id: str, number: int) -> Path:
    return _folder(workspace, run_id) / f"{number:06d}"
