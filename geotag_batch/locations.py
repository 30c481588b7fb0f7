"""Places in a folder or in an object store: `location("s3://bucket/prefix")` is a Path like any other to read from.

What reads the workspace calls `/`, `glob`, `exists`, `stat`, `read_bytes` and the like, and need not know where it is.
Whatever would hand such a path to the operating system is refused, and only `atomic.py` writes.
"""

import io
import os
import re
import stat
from collections.abc import Iterator
from fnmatch import translate
from functools import lru_cache
from pathlib import Path, PosixPath
from typing import IO, TYPE_CHECKING, Any, NoReturn

from geotag_batch.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from geotag_batch.store import Entry, Store

__all__ = ["StorePath", "is_store_url", "location", "matches", "seen_schemes"]

_URL = re.compile(r"s3://", re.IGNORECASE)
_OTHERS = re.compile(r"(gs|gcs|az|abfss?|adl|wasbs?)://", re.IGNORECASE)

seen_schemes: set[str] = set()
"""Schemes of the locations that this process has met: DuckDB's connections learn to read these (duck.py)."""


def is_store_url(text: str) -> bool:
    """Tell an object store's URL from a path and from any other URL."""
    return _URL.match(text) is not None


def location(text: str | Path) -> Path:
    """Return the place that `text` names: a StorePath for an object store's URL, else a Path as it is written.

    Raises ConfigError for a URL without a bucket, or with a user or password in it, which it does not repeat, and for
    one of another kind of store.
    """
    if not isinstance(text, Path) and _OTHERS.match(text):
        raise ConfigError(
            f"{text.partition(':')[0]}:// is not supported, s3:// is",
            hint="its conditional writes are other ones than S3's; mount or copy it, or use a store that speaks S3",
        )
    if isinstance(text, Path) or not is_store_url(text):
        return Path(text)
    scheme, _, rest = text.partition("://")
    bucket, _, key = rest.partition("/")
    if ":" in bucket or "@" in bucket:  # a password may hold a slash, and hide the @
        raise ConfigError(
            f"a {scheme} URL has a user or password in it",
            hint="take it out: credentials come from the environment, a profile or the machine's role",
        )
    if not bucket or "?" in text or "#" in text:
        raise ConfigError(f"{scheme}://{bucket}: names no bucket, or more than a bucket and a prefix")
    if any(part in (".", "..") for part in key.split("/")):
        raise ConfigError(f"{text}: has . or .. in it", hint="write the prefix out")
    seen_schemes.add(scheme.lower())
    return StorePath(f"{scheme.lower()}:", bucket, *(part for part in key.split("/") if part))


class StorePath(PosixPath):
    """A place in an object store, with pathlib's verbs for reading; all its state is its parts: s3:, bucket, names.

    As in every object store, a folder is there while something is in it. Reading raises FileNotFoundError, and
    StoreError where the store refuses or does not answer.
    """

    def __str__(self) -> str:
        """Return the URL; of a path relative to another, that."""
        rooted = len(self.parts) > 1 and self.parts[0] == "s3:"
        return f"{self.parts[0]}//{'/'.join(self.parts[1:])}" if rooted else super().__str__()

    def __fspath__(self) -> NoReturn:
        """Refuse to be taken for a file of this machine."""
        raise UsageError(
            f"{self} is in an object store, and this needs a folder",
            hint="README.md, `Object storage`, lists the commands that can work in a bucket",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to other processes as text."""
        return location, (str(self),)

    @property
    def store(self) -> "Store":
        """Return the bucket. Raises ConfigError without the extra or without credentials."""
        from geotag_batch.store import open_store  # noqa: PLC0415

        return open_store("//".join(self.parts[:2]))

    @property
    def key(self) -> str:
        """Return the object's name in its bucket."""
        return "/".join(self.parts[2:])

    def is_absolute(self) -> bool:
        """Return True."""
        return True

    def resolve(self, strict: bool = False) -> "StorePath":
        """Return the path: nothing in a store leads elsewhere."""
        return self

    def expanduser(self) -> "StorePath":
        """Return the path."""
        return self

    def exists(self, **_: bool) -> bool:
        """Return whether there is such an object, or one below."""
        return self.is_file() or self.is_dir()

    def is_file(self, **_: bool) -> bool:
        """Return whether there is such an object."""
        try:
            self.store.head(self.key)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, **_: bool) -> bool:
        """Return whether there is an object below."""
        return self.store.any(f"{self.key}/" if self.key else "")

    def is_symlink(self) -> bool:
        """Return False."""
        return False

    def stat(self, **_: bool) -> os.stat_result:
        """Return size and time of an object; its number (st_ino) is made of its version."""
        entry = self.store.head(self.key)
        seconds = entry.modified.timestamp()
        number = int.from_bytes(entry.etag.encode()[-8:].rjust(8, b"\0"))
        values = (stat.S_IFREG | 0o644, number, 0, 1, 0, 0, entry.size, int(seconds), int(seconds), int(seconds))
        return os.stat_result(values, {"st_mtime": seconds, "st_mtime_ns": int(seconds * 1e6) * 1000})

    def read_bytes(self) -> bytes:
        """Return the whole object."""
        return self.store.read(self.key).data

    def read_text(self, encoding: str | None = None, errors: str | None = None, **_: str | None) -> str:
        """Return the whole object as text."""
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def open(self, mode: str = "r", *_: Any, **options: Any) -> IO[Any]:  # type: ignore[override]  # noqa: ANN401
        """Return the whole object as a file to read."""
        if mode == "rb":
            return io.BytesIO(self.read_bytes())
        if mode == "r":
            return io.StringIO(self.read_text(options.get("encoding")))
        raise UsageError(f"{self}: is only ever written whole, by atomic.py")

    def iterdir(self) -> Iterator["StorePath"]:  # type: ignore[override]
        """Yield the objects and folders right below."""
        return self.glob("*")

    def glob(self, pattern: str, **_: Any) -> Iterator["StorePath"]:  # type: ignore[override]  # noqa: ANN401
        """Yield the objects below that match, part by part, and for a pattern of one part the folders too."""
        if "/" not in pattern:
            for name in self.store.folders(f"{self.key}/"):
                if matches(name, pattern):
                    yield self / name
        for entry in self._below():
            if matches(entry.name[len(self.key) + 1 if self.key else 0 :], pattern):
                yield self._at(entry)

    def rglob(self, pattern: str, **_: Any) -> Iterator["StorePath"]:  # type: ignore[override]  # noqa: ANN401
        """Yield the objects at any depth whose last part matches."""
        for entry in self._below():
            if matches(entry.name.rpartition("/")[2], pattern):
                yield self._at(entry)

    def unlink(self, missing_ok: bool = False) -> NoReturn:
        """Refuse: `atomic.remove_committed` removes."""
        raise UsageError(f"{self}: is only removed by atomic.py")

    def _below(self) -> list["Entry"]:
        return self.store.entries(f"{self.key}/" if self.key else "")

    def _at(self, entry: "Entry") -> "StorePath":
        return StorePath(*self.parts[:2], *entry.name.split("/"))


def matches(name: str, pattern: str) -> bool:
    """Return whether a name of some parts matches a glob of as many; `*` passes no slash."""
    return _compiled(pattern).fullmatch(name) is not None


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (translate(part).removeprefix("(?s:").removesuffix(r")\Z") for part in pattern.split("/"))
    return re.compile("/".join(part.replace(".*", "[^/]*") for part in parts), re.DOTALL)
