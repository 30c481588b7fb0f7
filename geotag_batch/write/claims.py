"""Who commits a chunk, where several workers may come to: the one that made its claim, and nobody else.

So a chunk that is done twice, because its first worker was taken for lost, is committed once. Whoever ends the claims
of a run makes sure that none of its workers commits anything from then on: a run does so at its end, and the next
run, for one that was killed, before it plans.

In a folder a claim is an empty file `staging/<run_id>/claims/<chunk>`, locked while its owner commits: the lock tells
who is busy from who is gone. Whoever has it commits if nothing of the chunk is committed. In an object store, see
store_claims.py.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from geotag_batch.atomic import make_folder
from geotag_batch.errors import LockedError, StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, chunk_files

__all__ = ["Claims", "FolderClaims", "claims_of", "end_all_claims"]

_TICK = 0.05  # seconds between two attempts at a lock
_PATIENCE = 30.0  # seconds: a commit takes a fraction of one, on a slow disk a few


class Claims(Protocol):
    """The claims of one run. Each method raises StorageError where the disk or the store refuses."""

    def open(self) -> None:
        """Let the chunks of the run be claimed."""

    def claim(self, name: ChunkName, dim: int) -> AbstractContextManager[bool]:
        """Claim a chunk for the length of a `with` block; yields whether it is ours to commit.

        It is not if another worker has committed something of it, or the run has ended. `dim` is the length of an
        embedding.
        """

    def is_claimed(self, number: int) -> bool:
        """Return whether some worker has claimed a chunk."""

    def settle(self, number: int, give_up: Callable[[], bool]) -> bool:
        """Wait until whoever has claimed a chunk is done with it, or gone; or until `give_up` says so.

        Returns whether it can be claimed again, if nothing of it is committed.
        """

    def end(self) -> None:
        """Let nobody claim or commit a chunk of the run any more. Raises LockedError if one does not come to an end."""


def claims_of(workspace: Workspace, run_id: str, lease: str | None = None) -> Claims:
    """Return the claims of a run; `lease` is the token of the lease under which it commits, in a store."""
    if workspace.in_store:
        from geotag_batch.write.store_claims import StoreClaims  # noqa: PLC0415  nothing that a folder needs

        return StoreClaims(workspace, run_id, lease)
    return FolderClaims(workspace, run_id)


def end_all_claims(workspace: Workspace) -> None:
    """End the claims of all runs; the caller holds the lock, so that none of them goes on."""
    claims = workspace.claims if workspace.in_store else workspace.staging
    for folder in claims.glob("[0-9]*Z-*"):
        claims_of(workspace, folder.name).end()


class FolderClaims:
    """Follows the Claims protocol on a file system whose locks work."""

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        """Use the run's folder in staging/."""
        self._workspace, self._run_id = workspace, run_id
        self._folder = workspace.staging / run_id / "claims"

    def open(self) -> None:
        """Make the folder."""
        try:
            make_folder(self._folder)
        except OSError as error:
            raise StorageError(
                f"cannot write {self._folder}: {error.strerror or error}", hint="mend permissions or the disk"
            ) from error

    @contextmanager
    def claim(self, name: ChunkName, dim: int) -> Iterator[bool]:
        """Lock the claim, which is created if it is not there, and look whether the chunk's names are free."""
        path = self._path(name.number)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):  # the run has ended; the latter is NFS's word for it
                yield False
                return
            raise StorageError(f"cannot write {path}: {error.strerror or error}", hint="mend the disk") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            ended = not os.fstat(descriptor).st_nlink  # before it was locked
            yield not ended and not any(final.exists() for final in chunk_files(self._workspace, name))
        finally:
            os.close(descriptor)

    def is_claimed(self, number: int) -> bool:
        """Look for the file."""
        return self._path(number).exists()

    def settle(self, number: int, give_up: Callable[[], bool]) -> bool:
        """Wait for the lock."""
        try:
            return _wait(self._path(number), give_up)
        except FileNotFoundError:  # the run has ended
            return False

    def end(self) -> None:
        """Remove each claim under its lock, then the folder, in which nobody can create a file any more."""
        deadline = time.monotonic() + _PATIENCE
        try:
            while self._folder.exists():
                for path in sorted(self._folder.iterdir()):
                    if not _wait(path, lambda: time.monotonic() > deadline, path.unlink):
                        raise LockedError(
                            f"a worker of run {self._run_id} is still committing chunk {path.name}",
                            hint="look for it on the cluster's machines; when it has ended, start again",
                        )
                with contextlib.suppress(OSError):  # one more was claimed meanwhile
                    self._folder.rmdir()
        except OSError as error:
            raise StorageError(
                f"cannot remove {self._folder}: {error.strerror or error}", hint="mend permissions or the disk"
            ) from error

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}"


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
