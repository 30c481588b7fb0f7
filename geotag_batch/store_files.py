"""Objects as files that are read in parts: for DuckDB, which finds them by glob, and for the footers of Parquet.

An open file is one version of an object: a part of another version is an error, never mixed in.
"""

import re
from typing import Any, cast

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.spec import AbstractBufferedFile

from geotag_batch.errors import StoreError
from geotag_batch.locations import StorePath, location, matches
from geotag_batch.store import ChangedError, Entry

__all__ = ["StoreFiles", "open_stored_parquet", "stored_schema"]

_MAGIC = re.compile(r"[*?\[]")


class StoreFiles(fsspec.AbstractFileSystem):  # type: ignore[misc]
    """Object stores of one scheme as DuckDB's registered file system; read only.

    What was listed is kept for as long as the connection that it is registered with: all its statements see one state
    of the store, and DuckDB, which asks again for each view that it binds, does not ask the store.
    """

    cachable = False  # by fsspec, for the whole process

    def __init__(self, scheme: str) -> None:
        """Serve URLs that begin with `scheme`."""
        self.protocol = scheme
        self._globs: dict[str, list[str]] = {}
        self._known: dict[str, dict[str, Any]] = {}
        super().__init__()

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path

    def glob(self, path: str, **_: Any) -> list[str]:  # noqa: ANN401
        """Return the URLs of the objects that match, sorted."""
        if path not in self._globs:
            self._globs[path] = self._glob(path)
        return self._globs[path]

    def _glob(self, path: str) -> list[str]:
        parts = path.split("/")
        fixed = next((place for place, part in enumerate(parts) if _MAGIC.search(_unescaped(part))), len(parts))
        if fixed == len(parts):
            plain = "/".join(map(_literal, parts))
            return [plain] if self.exists(plain) else []
        place = cast(StorePath, location("/".join(map(_literal, parts[:fixed]))))
        pattern = "/".join(parts[fixed:])
        prefix = f"{place.key}/" if place.key else ""
        found = {f"{place}/{entry.name[len(prefix) :]}": entry for entry in place.store.entries(prefix)}
        urls = [url for url, entry in found.items() if matches(entry.name[len(prefix) :], pattern)]
        self._known.update((url, _info(url, found[url])) for url in urls)
        return urls

    def info(self, path: str, **_: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return name, size, version and time of an object. Raises FileNotFoundError."""
        if path not in self._known:
            place = cast(StorePath, location(path))
            self._known[path] = _info(path, place.store.head(place.key))
        return self._known[path]

    def exists(self, path: str, **_: Any) -> bool:  # noqa: ANN401
        """Return whether there is such an object."""
        return path in self._known or location(path).is_file()

    def modified(self, path: str) -> Any:  # noqa: ANN401
        """Return when an object was written."""
        return self.info(path)["modified"]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> "_StoreFile":  # noqa: ANN401
        return _StoreFile(self, path, mode, cache_type="none", block_size=1)


class _StoreFile(AbstractBufferedFile):  # type: ignore[misc]
    """One version of one object, read in the very parts that are asked for."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        place = cast(StorePath, location(self.path))
        end = min(end, self.size)
        if end <= start:
            return b""
        try:
            return place.store.read_range(place.key, start, end, self.details["etag"])
        except (ChangedError, FileNotFoundError) as error:
            raise StoreError(f"{self.path}: was replaced or removed while it was read", hint="start again") from error


def open_stored_parquet(path: StorePath) -> pq.ParquetFile:
    """Return a Parquet file that is read whole in one request, its page checksums compared."""
    return pq.ParquetFile(pa.BufferReader(path.read_bytes()), page_checksum_verification=True)


def stored_schema(path: StorePath) -> pa.Schema:
    """Return a Parquet file's schema with its metadata; only its footer is read."""
    files = StoreFiles(path.parts[0].rstrip(":"))
    return pq.read_schema(pa.PythonFile(files.open(str(path)), "r"))


def _info(path: str, entry: Entry) -> dict[str, Any]:
    return {"name": path, "size": entry.size, "type": "file", "etag": entry.etag, "modified": entry.modified}


def _unescaped(part: str) -> str:
    return re.sub(r"\[[*?\[]\]", "", part)


def _literal(part: str) -> str:
    return re.sub(r"\[([*?\[])\]", r"\1", part)
