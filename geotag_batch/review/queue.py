"""The queue as it is now: the index, kept up with decisions and runs of other processes.

Decisions of others are looked for each time somebody asks, by a look at the folder. New predictions, or another
catalogue, make a head's queue be read anew beside its use; while a run is committing chunk after chunk that happens
now and then only, so that it takes a small part of the time.
"""

import contextlib
import os
import threading
import time

from geotag_batch.catalogue import catalogue_files
from geotag_batch.config import Config
from geotag_batch.duck import connect
from geotag_batch.errors import CatalogueError, GeotagError, HeadError, StorageError
from geotag_batch.predict.head import find_head_id
from geotag_batch.review.index import Index
from geotag_batch.workspace import Workspace
from geotag_batch.write.compaction import compact_decisions
from geotag_batch.write.decisions import committed_names

__all__ = ["Queue"]

_LOOK_EVERY = 30.0  # seconds between two looks for new predictions
_SHARE = 10  # reading a queue anew waits for this many times what it took
_MOST_FILES = 500  # of decisions, of which each step adds one; more are merged
_MOST_HEADS = 3  # whose queues are kept; the one looked at longest ago goes


class Queue:
    """An Index of a workspace that follows what is committed; any thread may use it."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        """Begin with nothing read; `open` reads a head."""
        self._workspace = workspace
        self._config = config
        self.index = Index(workspace, config)
        self._heard: set[str] = set()
        self._hearing = threading.Lock()
        self._reading = threading.Lock()
        self._seen: dict[str, object] = {}  # head -> what its queue was read from
        self._used: dict[str, float] = {}
        self._next_look = 0.0
        self.trouble: GeotagError | None = None

    @property
    def heads(self) -> list[str]:
        """Return the heads that have predictions, the configured one first."""
        found = sorted(path.name.removeprefix("head=") for path in self._workspace.predictions.glob("head=*"))
        return sorted(found, key=lambda head: head != self._config.head.current)

    def open(self, head_id: str | None = None) -> str:
        """Make a head's queue ready, by default that in use, and return its id; it may be called as in any command.

        The first time its predictions are read. Raises HeadError if it has none; CatalogueError, StorageError.
        """
        chosen = head_id or self._config.head.current
        if head_id is not None and head_id not in self.heads:
            chosen = find_head_id(self._workspace, head_id)
        if chosen is None or chosen not in self.heads:
            raise HeadError(
                "no head is in use" if chosen is None else f"there are no predictions by a head {chosen!r}",
                hint=f"run `geotag backfill`, or name one with --head: {', '.join(self.heads) or 'none has any'}",
            )
        self.hear()
        if chosen not in self.index.heads:
            with self._reading:
                if chosen not in self.index.heads:
                    self._read(chosen)
        self._used[chosen] = time.monotonic()
        return chosen

    def hear(self) -> None:
        """Take in decisions that were committed since the last time, whoever made them. Raises StorageError."""
        with self._hearing:
            for last_try in (False, True):
                names = set(committed_names(self._workspace))
                try:
                    self.index.hear([self._workspace.decisions / name for name in sorted(names - self._heard)])
                except StorageError:  # merged into another file between the two looks?
                    if last_try or names == set(committed_names(self._workspace)):
                        raise
                    continue
                self._heard = names
                return

    def tidy(self) -> None:
        """Merge the small files of decisions where there are many. Raises LockedError, StorageError."""
        if len(committed_names(self._workspace)) > _MOST_FILES:
            compact_decisions(self._workspace)

    def follow(self) -> None:
        """Read anew, in a thread, the queues whose predictions or catalogue have changed; not all the time."""
        now = time.monotonic()
        if now < self._next_look or not self._reading.acquire(blocking=False):
            return
        self._next_look = now + _LOOK_EVERY
        threading.Thread(target=self._catch_up, name="queue", daemon=True).start()

    def _catch_up(self) -> None:
        """Hold `_reading`, which `follow` took."""
        started = time.monotonic()
        try:
            self.tidy()
            for head_id in self.index.heads:
                if self._signature(head_id) != self._seen.get(head_id):
                    self._read(head_id)
            self.trouble = None
        except GeotagError as error:  # shown on the page; what was read before is still good
            self.trouble = error
        finally:
            now = time.monotonic()
            self._next_look = now + max(_LOOK_EVERY, _SHARE * (now - started))
            self._reading.release()

    def _read(self, head_id: str) -> None:
        while len(self.index.heads) >= _MOST_HEADS and head_id not in self.index.heads:
            self.index.forget_head(min(self.index.heads, key=lambda head: self._used.get(head, 0.0)))
        signature = self._signature(head_id)  # before reading: what comes meanwhile is seen next time
        self.index.read_head(head_id)
        self._seen[head_id] = signature

    def _signature(self, head_id: str) -> object:
        """Return something that differs when a head's predictions or the catalogue do."""
        folder = self._workspace.predictions / f"head={head_id}"
        files = [str(path) for path in folder.glob("run_date=*/*.parquet")]
        with contextlib.suppress(CatalogueError), connect() as connection:
            files += catalogue_files(connection, self._workspace, self._config)
        found = set()
        for file in files:
            with contextlib.suppress(FileNotFoundError):  # pruned between the two looks
                found.add((file, os.stat(file).st_mtime_ns))
        return found
