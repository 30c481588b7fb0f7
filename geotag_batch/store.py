"""An object store in few verbs: what reading, committing and locking need, and nothing else.

An object appears whole or not at all. Writing says what must be there before: nothing (`put_new`, one PUT under
If-None-Match), a known version (`put_if`, If-Match), or it does not matter (`put`). Credentials come from the library's
chain (docs/architecture.md) and are in nothing that this module raises or returns.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from geotag_batch.errors import ConfigError, StoreError
from geotag_batch.store_options import STORE_HINT, store_options

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["Blob", "ChangedError", "Entry", "Store", "open_store"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An object's name below the store's root, its size in bytes, version and time of writing by the store's clock."""

    name: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Blob:
    """A whole object."""

    data: bytes
    entry: Entry


class ChangedError(Exception):
    """The object is not of the version that was asked for; nothing was read or written."""


class Store(Protocol):
    """One bucket; any number of threads may use it, a forked process may not.

    Each method raises StoreError where the store refuses, or does not answer after some tries.
    """

    url: str

    def entries(self, prefix: str) -> list[Entry]:
        """Return the objects whose names begin with `prefix`, sorted by name."""

    def folders(self, prefix: str) -> list[str]:
        """Return what stands between `prefix`, which ends with a slash, and the next slash, sorted."""

    def any(self, prefix: str) -> bool:
        """Return whether there is an object below `prefix`, which ends with a slash or is empty."""

    def head(self, name: str) -> Entry:
        """Return what is known of an object. Raises FileNotFoundError."""

    def read(self, name: str, most: int | None = None) -> Blob:
        """Return a whole object; of one larger than `most` bytes, nothing but its entry. Raises FileNotFoundError."""

    def read_range(self, name: str, start: int, end: int, etag: str) -> bytes:
        """Return bytes `start` to `end` (exclusive) of that version of an object. Raises ChangedError."""

    def put_new(self, name: str, data: bytes) -> str:
        """Make an object and return its version. Raises FileExistsError if there is another."""

    def put_if(self, name: str, data: bytes, etag: str) -> str:
        """Replace that version of an object and return the new one. Raises ChangedError."""

    def put(self, name: str, data: bytes) -> str:
        """Make or replace an object and return its version."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is gone already is no error."""


@lru_cache
def open_store(root: str, tries: int = 6, patience: float = 30.0) -> Store:
    """Return the store at `root`, "s3://bucket"; a request that may be repeated is tried up to `tries` times.

    A try is given up after `patience` seconds: a chunk's file of 8 MB needs 2 Mbit/s. All take at most twice that.

    Raises ConfigError if the extra is not installed or no credentials can be made out.
    """
    try:
        from obstore import store as library  # noqa: PLC0415  an extra, and nothing that a local workspace needs
    except ImportError as error:
        raise ConfigError(
            f"{root} is in an object store, which needs the extra `s3`", hint="pip install 'geotag-batch[s3]'"
        ) from error
    backoff = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2}
    retries: Any = {"max_retries": tries - 1, "backoff": backoff, "retry_timeout": timedelta(seconds=2 * patience)}
    options = store_options(root)
    client: Any = {
        "timeout": timedelta(seconds=patience),
        "connect_timeout": timedelta(seconds=min(5.0, patience)),
        "allow_http": options.get("endpoint", "").startswith("http://"),
    }
    try:
        made = library.from_url(root, client_options=client, retry_config=retries, **options)
    except Exception as error:
        raise ConfigError(f"{root}: {_reason(error)}", hint=STORE_HINT) from error
    return _ObjectStore(root, made)


class _ObjectStore:
    """obstore behind the verbs of Store; its errors become ours, without the request that they quote."""

    def __init__(self, url: str, made: "ObjectStore") -> None:
        self.url, self._made, self._process = url, made, os.getpid()

    def entries(self, prefix: str) -> list[Entry]:
        import obstore  # noqa: PLC0415

        # The library lists by whole folders; what stands after the last slash is compared here.
        folder = prefix.rpartition("/")[0]
        with self._trouble(prefix):
            found = obstore.list(self._made, folder or None).collect()
        return sorted((entry for entry in map(_entry, found) if entry.name.startswith(prefix)), key=_name)

    def folders(self, prefix: str) -> list[str]:
        import obstore  # noqa: PLC0415

        with self._trouble(prefix):
            found = obstore.list_with_delimiter(self._made, prefix.rstrip("/") or None)["common_prefixes"]
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def any(self, prefix: str) -> bool:
        import obstore  # noqa: PLC0415

        with self._trouble(prefix):
            return next(iter(obstore.list(self._made, prefix.rstrip("/") or None, chunk_size=1)), None) is not None

    def head(self, name: str) -> Entry:
        import obstore  # noqa: PLC0415

        with self._trouble(name):
            return _entry(obstore.head(self._made, name))

    def read(self, name: str, most: int | None = None) -> Blob:
        import obstore  # noqa: PLC0415

        with self._trouble(name):
            result = obstore.get(self._made, name)
            entry = _entry(result.meta)
            if most is not None and entry.size > most:
                return Blob(b"", entry)
            data = bytes(result.bytes())
        if len(data) != entry.size:
            raise StoreError(f"{self._at(name)}: {len(data)} bytes came, not the {entry.size} announced", hint=_AGAIN)
        return Blob(data, entry)

    def read_range(self, name: str, start: int, end: int, etag: str) -> bytes:
        import obstore  # noqa: PLC0415

        with self._trouble(name):
            result = obstore.get(self._made, name, options={"range": (start, end), "if_match": etag})
            data = bytes(result.bytes())
        if _entry(result.meta).etag != etag:  # a store that does not know If-Match
            raise ChangedError(self._at(name))
        if len(data) != end - start:
            raise StoreError(f"{self._at(name)}: {len(data)} bytes came of {end - start} asked for", hint=_AGAIN)
        return data

    def put_new(self, name: str, data: bytes) -> str:
        try:
            return self._put(name, data, "create")
        except FileExistsError:
            with self._trouble(name):
                found = self.read(name)
            if found.data == data:  # our own: the answer to an earlier try was lost
                return found.entry.etag
            raise

    def put_if(self, name: str, data: bytes, etag: str) -> str:
        return self._put(name, data, {"e_tag": etag})

    def put(self, name: str, data: bytes) -> str:
        return self._put(name, data, "overwrite")

    def delete(self, name: str) -> None:
        import obstore  # noqa: PLC0415

        try:
            with self._trouble(name):
                obstore.delete(self._made, name)
        except FileNotFoundError:
            return

    def _put(self, name: str, data: bytes, mode: Any) -> str:  # noqa: ANN401
        import obstore  # noqa: PLC0415

        with self._trouble(name):
            # One PUT whatever its size: an upload in parts may stay behind when it is killed.
            return str(obstore.put(self._made, name, data, mode=mode, use_multipart=False)["e_tag"])

    def _at(self, name: str) -> str:
        return f"{self.url}/{name}"

    @contextmanager
    def _trouble(self, name: str) -> Iterator[None]:
        """Turn the library's errors into FileNotFoundError, FileExistsError, ChangedError, StoreError."""
        from obstore import exceptions  # noqa: PLC0415

        if os.getpid() != self._process:  # its threads are not here, and it would wait for them for ever
            raise AssertionError("an object store was used in a forked process")
        try:
            yield
        except (FileNotFoundError, exceptions.NotFoundError) as error:
            if "NoSuchBucket" in str(error):
                raise StoreError(f"{self.url}: there is no such bucket", hint=STORE_HINT) from error
            raise FileNotFoundError(2, "no such object", self._at(name)) from error
        except exceptions.AlreadyExistsError as error:
            raise FileExistsError(17, "there is such an object already", self._at(name)) from error
        except (exceptions.PreconditionError, exceptions.NotModifiedError) as error:
            raise ChangedError(self._at(name)) from error
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise StoreError(f"{self._at(name)}: {_reason(error)}", hint=_hint(error)) from error


def _entry(meta: Any) -> Entry:  # noqa: ANN401
    return Entry(meta["path"], meta["size"], meta["e_tag"] or "", meta["last_modified"])


def _name(entry: Entry) -> str:
    return entry.name


_AGAIN = "start again: what is committed stays valid"


def _hint(error: Exception) -> str:
    return STORE_HINT if re.search(r"\b(401|403)\b|credential", str(error), re.IGNORECASE) else _AGAIN


def _reason(error: Exception) -> str:
    """Say what happened in our own words: the library's quote requests and answers, which name keys."""
    text = str(error)
    status, code = re.search(r"status code: (\d{3})", text), re.search(r"<Code>(\w{1,60})</Code>", text)
    if status is not None:
        return f"the store answered {status[1]}{f' ({code[1]})' if code else ''}"
    for pattern, reason in _REASONS:
        if re.search(pattern, text, re.IGNORECASE):
            return reason
    return f"the store does not answer as it should ({type(error).__name__})"


_REASONS = (
    (r"credential|token|IMDS|metadata", "there are no credentials that work"),
    (r"timed? ?out", "the store did not answer in time"),
    (r"response body", "the answer was cut off"),
    (r"error sending request|connect", "the store cannot be reached"),
    (r"unable to recogni[sz]e|missing|invalid", "the URL or the variables beside it do not describe a store"),
)
