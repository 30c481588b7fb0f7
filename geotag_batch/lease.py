"""The lock of a workspace in an object store: one object that is replaced, version by version, by whoever holds it.

A lease is held for some seconds and renewed by a thread. Nothing else tells a living holder from a dead one, so that
there are three guards against a holder that was paused past its lease and goes on (docs/decisions.md says what each
can do): before each commit the lease is renewed under If-Match, which fails once it is another's; a lease that is not
renewed in time is given up by its holder; and its successor is told what was being committed, to occupy those names.
"""

import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn

from geotag_batch.errors import ConfigError, LockedError, StorageError, StoreError
from geotag_batch.locations import StorePath
from geotag_batch.store import ChangedError

__all__ = ["Holder", "Lease", "acquire", "guard_of", "read_holder"]

_MOST_SKEW = 900.0  # seconds; S3 refuses requests whose time is further from its own
_RESOLUTION = 1.0  # seconds; a store's times are whole ones

logger = logging.getLogger("geotag")


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lease object says. `generation` counts the holders; `committing` is what its chunk's files are made of.

    `seconds` is how long the lease lasts from when it was last written.
    """

    generation: int
    token: str
    host: str
    process: int
    since: str
    seconds: float
    released: bool = False
    committing: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Say who it is."""
        return f"process {self.process} on {self.host}, since {self.since}"


_held: dict[str, "Lease"] = {}
"""The leases of this process by the URL of what they guard."""


def guard_of(path: StorePath) -> "Lease | None":
    """Return the lease of this process under which `path` is written, None if it holds none there."""
    return next((lease for folder in path.parents if (lease := _held.get(str(folder)))), None)


def lease_seconds() -> float:
    """Return how long a lease lasts. Raises ConfigError."""
    text = os.environ.get("GEOTAG_LEASE_SECONDS", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise ConfigError(f"GEOTAG_LEASE_SECONDS = {text!r} should be 1 to 3600", hint="60 is a good value")
    return seconds


def read_holder(path: StorePath) -> Holder | None:
    """Return who holds the lease at `path` now, by the store's clock and ours; None if nobody does."""
    try:
        blob = path.store.read(path.key)
    except FileNotFoundError:
        return None
    holder = _parse(path, blob.data)
    return None if holder.released or _age(blob.entry.modified) > holder.seconds + _RESOLUTION else holder


def acquire(path: StorePath, busy: Callable[[Holder], LockedError]) -> tuple["Lease", Holder | None]:
    """Take the lease at `path`, and begin to renew it; return it with the holder who did not give it back, if any.

    A lease that seems to be over is watched for its whole length by this machine's own clock before it is taken, unless
    it has been over for longer than clocks can differ. Raises what `busy` makes of its holder, StoreError.
    """
    seconds = lease_seconds()
    mine = Holder(1, secrets.token_hex(8), socket.gethostname(), os.getpid(), _now(), seconds)
    store = path.store
    try:
        blob = store.read(path.key)
    except FileNotFoundError:
        try:
            return Lease(path, mine, _clock(), store.put_new(path.key, _bytes(mine))).start(), None
        except FileExistsError:
            blob = store.read(path.key)
    before = _parse(path, blob.data)
    if not before.released:
        age = _age(blob.entry.modified)
        if age <= before.seconds:
            raise busy(before)
        if age <= before.seconds + _MOST_SKEW:
            logger.warning(
                "%s was left by %s; it is taken if that one is silent for %g s", path, before, before.seconds
            )
            time.sleep(before.seconds)
            after = store.head(path.key)
            if after.etag != blob.entry.etag:
                raise busy(_parse(path, store.read(path.key).data))
    mine = replace(mine, generation=before.generation + 1)
    started = _clock()
    try:
        etag = store.put_if(path.key, _bytes(mine), blob.entry.etag)
    except ChangedError as error:
        raise busy(_parse(path, store.read(path.key).data)) from error
    return Lease(path, mine, started, etag).start(), None if before.released else before


class Lease:
    """A lease that this process holds until `release`, or until it has lost it."""

    def __init__(self, path: StorePath, holder: Holder, renewed: float, etag: str) -> None:
        """Take what was just written at `path`; `acquire` makes leases."""
        self.holder = holder
        self._path, self._etag, self._renewed = path, etag, renewed
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def start(self) -> "Lease":
        """Begin to renew."""
        _held[str(self._path.parent)] = self
        self._thread.start()
        return self

    def confirm(self, committing: Mapping[str, Any] | None = None) -> None:
        """Renew now, so that what is written next is written under the lease; say what `committing` is, if it changes.

        Raises LockedError if another process has taken it, or it has run out, StoreError if it cannot be renewed.
        """
        with self._lock:
            self._renew(self.holder if committing is None else replace(self.holder, committing=committing))

    def release(self) -> None:
        """Stop renewing and let the next one have it; it is left to run out where that is not possible."""
        self._ended.set()
        self._thread.join()
        _held.pop(str(self._path.parent), None)
        with self._lock:
            try:
                self._renew(replace(self.holder, released=True, committing=None))
            except (LockedError, StoreError):
                return

    def _keep(self) -> None:
        while not self._ended.wait(self.holder.seconds / 3):
            try:
                self.confirm()
            except LockedError:
                return
            except StoreError:
                continue  # until it runs out

    def _renew(self, holder: Holder) -> None:
        """Write the lease anew; the caller holds the lock."""
        while True:
            started = _clock()
            if self._lost or started - self._renewed > self.holder.seconds:
                self._lose()
            try:
                self._etag = self._path.store.put_if(self._path.key, _bytes(holder), self._etag)
            except ChangedError:
                self._adopt()
                continue
            self.holder, self._renewed = holder, started
            if _clock() - started < holder.seconds / 2:  # else paused meanwhile
                return

    def _adopt(self) -> None:
        """Take over the version that is there if it is ours: the answer to an earlier try was lost."""
        try:
            blob = self._path.store.read(self._path.key)
        except FileNotFoundError:
            self._lose()
        if _parse(self._path, blob.data).token != self.holder.token or blob.entry.etag == self._etag:
            self._lose()
        self._etag = blob.entry.etag

    def _lose(self) -> NoReturn:
        self._lost = True
        raise LockedError(
            f"{self._path.parent}: this command was paused for longer than its lease, and has lost it; nothing more "
            "was committed",
            hint="start again: what was committed before stays valid, and the next run goes on from there",
        )


def _clock() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps, as time.monotonic does not


def _age(modified: datetime) -> float:
    return (datetime.now(UTC) - modified).total_seconds()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _bytes(holder: Holder) -> bytes:
    # Each version differs from the last, so that a lease that is renewed never looks the same to who watches it.
    return json.dumps({**asdict(holder), "renewed": _now(), "nonce": secrets.token_hex(4)}, indent=1).encode()


def _parse(path: StorePath, data: bytes) -> Holder:
    try:
        values = json.loads(data)
        return Holder(**{name: values[name] for name in Holder.__dataclass_fields__})
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{path}: is not a lease: {error}", hint="remove it if no command is writing there, then start again"
        ) from error
