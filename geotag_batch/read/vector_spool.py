"""Vectors put in order of their ids on disk: read once, in whatever order a file has them, and taken range by range.

Images and titles of one photo may stand anywhere in a file of millions of lines, and what is committed must lie in
order of ids, or reading it back would open every file for each chunk. Memory holds some megabytes, whatever the file.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.errors import StorageError
from geotag_batch.read.vector_batch import VectorBatch

__all__ = ["VectorSpool", "read_spooled"]

_HELD = (
    48 * 2**20
)  # bytes of vectors that are collected before they are written: appends are then some kilobytes at least


class VectorSpool:
    """Vectors as float16 in files of `folder`, one for each range of ids that begins at one of `starts` (ascending)."""

    def __init__(self, folder: Path, starts: NDArray[np.int64]) -> None:
        """Begin empty; the folder must be there."""
        self._folder, self.starts = folder, starts
        self._parts: list[pa.RecordBatch] = []
        self._bytes = 0
        self._used: set[int] = set()

    def add(self, batch: VectorBatch) -> None:
        """Take the vectors of a batch, which are float16. Raises StorageError if the disk is full."""
        vectors = np.ascontiguousarray(batch.vectors, np.float16)
        columns = {
            "range": pa.array((np.searchsorted(self.starts, batch.ids, "right") - 1).astype(np.int32)),
            "gridimage_id": pa.array(batch.ids),
            "is_title": pa.array(batch.is_title),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
            "title_hash": pa.array(batch.title_hashes, pa.string()),
            "image_signature": pa.array(batch.signatures, pa.string()),
            "precision": pa.array(batch.precisions, pa.string()),
        }
        self._parts.append(pa.record_batch(columns))
        self._bytes += vectors.nbytes
        if self._bytes >= _HELD:
            self.flush()

    def flush(self) -> None:
        """Write what is held. Raises StorageError if the disk is full."""
        if not self._parts:
            return
        table = pa.Table.from_batches(self._parts)
        ranges = table.column("range").to_numpy()
        if (np.diff(ranges) < 0).any():
            order = np.argsort(ranges, kind="stable")
            table, ranges = table.take(pa.array(order)), ranges[order]
        edges = np.flatnonzero(np.diff(ranges, prepend=-1, append=np.iinfo(np.int32).max))
        try:
            for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                self._append(int(ranges[first]), table.slice(first, last - first))
        except OSError as error:
            raise StorageError(
                f"{self._folder}: cannot be written: {error.strerror or error}",
                hint="free space, as much as the vectors take in float16, then start again",
            ) from error
        self._parts, self._bytes = [], 0

    def ranges(self) -> Iterator[tuple[int, int, Path]]:
        """Yield first and last id and the file of each range that has vectors, in order of ids; after `flush`."""
        for number in sorted(self._used):
            last = int(self.starts[number + 1]) - 1 if number + 1 < len(self.starts) else np.iinfo(np.int64).max
            yield int(self.starts[number]), int(last), self._path(number)

    def _append(self, number: int, table: pa.Table) -> None:
        self._used.add(number)
        with self._path(number).open("ab") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table.combine_chunks())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:09d}.arrows"


def read_spooled(path: Path) -> pa.Table:
    """Return what one file of a spool holds, in the order in which it was added. Raises StorageError."""
    tables = []
    try:
        with pa.memory_map(str(path)) as file:
            while file.tell() < file.size():
                tables.append(pa.ipc.open_stream(file).read_all())
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="start again") from error
    return pa.concat_tables(tables).combine_chunks()
