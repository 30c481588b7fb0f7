"""Claims in an object store: an object for each chunk, `claims/<run_id>/<chunk>`, that says what names its files.

It is made under If-None-Match; then the worker looks whether the run's lease is still its driver's, and only then
commits. So whoever has taken the lease over sees the claim of every worker that may still commit, however long it
was paused, and occupies the names that it has not committed (fence.py). A chunk whose sums are there is committed.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from geotag_batch.errors import StorageError
from geotag_batch.lease import read_holder
from geotag_batch.locations import StorePath
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName
from geotag_batch.write.fence import fence

__all__ = ["StoreClaims"]

_TICK = 0.5  # seconds between two looks at whether a chunk is committed
_PATIENCE = 30.0  # seconds: a commit is four PUTs


class StoreClaims:
    """Follows the Claims protocol."""

    def __init__(self, workspace: Workspace, run_id: str, lease: str | None) -> None:
        """Claim under the lease of this token."""
        self._workspace, self._run_id, self._lease = workspace, run_id, lease

    def open(self) -> None:
        """Do nothing: a store has no folders."""

    @contextmanager
    def claim(self, name: ChunkName, dim: int) -> Iterator[bool]:
        """Make the object, then look at the lease."""
        path = self._path(name.number)
        data = json.dumps({"name": asdict(name), "dim": dim, "by": secrets.token_hex(8)}).encode()
        try:
            path.store.put_new(path.key, data)
        except FileExistsError:
            yield False
            return
        lock = self._workspace.lock_file
        holder = read_holder(lock) if isinstance(lock, StorePath) else None
        yield holder is not None and holder.token == self._lease

    def is_claimed(self, number: int) -> bool:
        """Look for the object."""
        return self._path(number).is_file()

    def settle(self, number: int, give_up: Callable[[], bool]) -> bool:
        """Wait for the sums, which are committed last; then occupy what is missing, so that it cannot be claimed."""
        deadline = time.monotonic() + _PATIENCE
        while not self._is_committed(number):
            if time.monotonic() > deadline:
                self._occupy(self._path(number))
                break
            time.sleep(_TICK)
        return False

    def end(self) -> None:
        """Occupy the names of what was claimed and not committed, and remove the claims."""
        for path in sorted((self._workspace.claims / self._run_id).glob("*")):
            assert isinstance(path, StorePath)
            if not self._is_committed(int(path.name)):
                self._occupy(path)
            path.store.delete(path.key)

    def _occupy(self, path: StorePath) -> None:
        try:
            claim = json.loads(path.read_bytes())
            committing = {**claim["name"], "dim": claim["dim"]}
        except (ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: is not a claim: {error}", hint="remove it, then start again") from error
        fence(self._workspace, committing)

    def _is_committed(self, number: int) -> bool:
        return (self._workspace.sums / f"{self._run_id}-{number:06d}.sha256").is_file()

    def _path(self, number: int) -> StorePath:
        path = self._workspace.claims / self._run_id / f"{number:06d}"
        assert isinstance(path, StorePath)
        return path
