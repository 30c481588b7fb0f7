"""Reading back what earlier runs committed: vectors as stored, and scores, matched by id and never by position."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.atomic import make_folder
from geotag_batch.duck import connect, dataset_relation, sql_text, storage_trouble
from geotag_batch.errors import StorageError
from geotag_batch.locations import location
from geotag_batch.parquet import open_parquet, read_parquet_schema
from geotag_batch.workspace import Workspace

__all__ = [
    "Vectors",
    "find_embeddings",
    "list_values",
    "read_described",
    "read_scores",
    "read_vectors",
    "unreadable",
    "vector_length",
]


@dataclass(slots=True)
class Vectors:
    """Embeddings of n photos: `image` and `title` float16 (n, dim), valid in the rows that `has_*` (n,) marks."""

    image: NDArray[np.float16]
    title: NDArray[np.float16]
    has_image: NDArray[np.bool_]
    has_title: NDArray[np.bool_]

    @classmethod
    def empty(cls, n: int, dim: int) -> "Vectors":
        """Return n rows without vectors."""
        return cls(
            np.zeros((n, dim), np.float16), np.zeros((n, dim), np.float16), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
        )

    @classmethod
    def mapped(cls, n: int, dim: int, folder: Path) -> "Vectors":
        """Return n rows without vectors whose arrays lie in a file without a name in `folder`, mapped into memory.

        The system may put them out of memory and fetch them again; the file is gone with the last of the arrays.
        Raises StorageError if the disk has no room: it is all reserved here, for a mapped page that finds none
        would kill the process.
        """
        if not n:
            return cls.empty(n, dim)
        try:
            make_folder(folder)
            with tempfile.TemporaryFile(dir=folder) as file:
                os.posix_fallocate(file.fileno(), 0, 2 * n * dim * 2)
                vectors = np.asarray(np.memmap(file, np.float16, "r+", shape=(2, n, dim)))
        except OSError as error:
            raise StorageError(
                f"{folder}: no room for the vectors of {n:,} photos, {4 * n * dim / 1e6:,.0f} MB: {error.strerror}",
                hint="free space on that disk",
            ) from error
        return cls(vectors[0], vectors[1], np.zeros(n, np.bool_), np.zeros(n, np.bool_))


def find_embeddings(workspace: Workspace, encoder_id: str, ids: Sequence[int]) -> dict[int, str]:
    """Return the file with the newest embedding of each of `ids` that the encoder has embedded. Raises StorageError."""
    embeddings = dataset_relation(workspace, "embeddings", ("gridimage_id", "run_id"), filename=True)
    with storage_trouble(workspace.embeddings), connect(threads=1) as connection:
        text = sql_text("stored", "files", {"embeddings": embeddings})
        return dict(connection.execute(text, {"photos": list(ids), "encoder": encoder_id}).fetchall())


def vector_length(path: Path | str) -> int:
    """Return the length of the vectors in a file of embeddings. Raises StorageError if it cannot be read."""
    try:
        return int(read_parquet_schema(location(path)).field("image_embedding").type.list_size)
    except (OSError, KeyError, AttributeError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path | str, error: Exception) -> StorageError:
    """Return what to raise for a committed file that cannot be read."""
    return StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`")


def read_vectors(ids: NDArray[np.int64], files: Sequence[str | None], dim: int, into: Vectors | None = None) -> Vectors:
    """Return the vectors of `ids` (n,), each from its file of the embeddings dataset (None: it has none yet).

    They are put `into` the given n rows, if any. Raises StorageError if a file is unreadable, lacks an id, or has
    vectors of another length than `dim`.
    """
    vectors = Vectors.empty(len(ids), dim) if into is None else into
    for rows, table, taken in _by_file(ids, files, ["image_embedding", "title_embedding"]):
        for name, target, has in (
            ("image_embedding", vectors.image, vectors.has_image),
            ("title_embedding", vectors.title, vectors.has_title),
        ):
            values, valid = list_values(table.column(name), dim)
            has[rows] = valid[taken]
            present = rows[valid[taken]]
            target[present] = values[(np.cumsum(valid) - 1)[taken[valid[taken]]]]
    return vectors


def read_described(files: Sequence[Path]) -> tuple[pa.Table, int]:
    """Return what embeddings were made from, without vectors, and the vectors' length.

    Of a merged file, one row group is read. Columns: gridimage_id, title_hash, image_signature, precision, file. Raises
    StorageError if a file is unreadable.
    """
    parts, dim = [], 0
    for path in files:
        try:
            file = open_parquet(path)
            columns = ["gridimage_id", "title_hash", "image_signature", "precision"]
            part = file.read_row_group(file.num_row_groups - 1, columns=columns)  # of a merged file the newest ids
            dim = file.schema_arrow.field("image_embedding").type.list_size
        except (OSError, KeyError, pa.ArrowException) as error:
            raise unreadable(path, error) from error
        ids = part["gridimage_id"].to_numpy()
        newest = len(ids) - 1 - np.unique(ids[::-1], return_index=True)[1]  # of a photo that is there of several runs
        part = part.take(pa.array(np.sort(newest)))
        parts.append(part.append_column("file", pa.array([str(path)] * part.num_rows, pa.string())))
    return pa.concat_tables(parts), dim


def read_scores(ids: NDArray[np.int64], files: Sequence[str | None], columns: Sequence[str]) -> pa.Table:
    """Return the rows of `ids` from their files of the predictions dataset, in the order of `ids`.

    Each id must have a file. Raises StorageError as `read_vectors` does.
    """
    order: list[NDArray[np.int64]] = []
    parts: list[pa.Table] = []
    for rows, table, taken in _by_file(ids, files, list(columns)):
        order.append(rows)
        parts.append(table.take(pa.array(taken)))
    positions = np.concatenate(order)
    if len(positions) != len(ids):
        raise StorageError(f"{len(ids) - len(positions)} photos have no stored scores", hint="run `geotag verify`")
    return pa.concat_tables(parts).take(pa.array(np.argsort(positions)))


def list_values(column: pa.ChunkedArray | pa.Array, dim: int) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
    """Return a fixed-size-list column's vectors that are not null (m, dim), and which rows (n,) those are.

    `flatten` is used because `values` would ignore a slice's offset and keep what lies under nulls.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    if array.type.list_size != dim:
        raise StorageError(f"vectors of length {array.type.list_size} where {dim} were expected")
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    return array.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim), valid


def _version(file: str) -> tuple[int, int]:
    try:
        status = location(file).stat()
    except OSError as error:
        raise unreadable(file, error) from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=3)  # a file of photos that were done again serves many chunks in a row
def _read_ids(file: str, mtime_ns: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ids (n,) of a file, and the number of rows before each of its row groups."""
    try:
        with open_parquet(location(file)) as opened:
            rows = [opened.metadata.row_group(group).num_rows for group in range(opened.num_row_groups)]
            return opened.read(columns=["gridimage_id"])["gridimage_id"].to_numpy(), np.cumsum([0, *rows])[:-1]
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


@lru_cache(maxsize=3)
def _read_group(file: str, group: int, columns: tuple[str, ...], mtime_ns: int, size: int) -> pa.Table:
    try:
        with open_parquet(location(file)) as opened:
            return opened.read_row_group(group, columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise unreadable(file, error) from error


def _by_file(
    ids: NDArray[np.int64], files: Sequence[str | None], columns: list[str]
) -> Iterator[tuple[NDArray[np.int64], pa.Table, NDArray[np.int64]]]:
    """Yield, for each row group of a file that is needed, the rows that it serves, its table, and their places in that.

    A merged file may have a photo of several runs, the newest of them last: that one is meant.
    """
    rows_of: dict[str, list[int]] = {}
    for row, file in enumerate(files):
        if file is not None:
            rows_of.setdefault(file, []).append(row)
    for file, listed in rows_of.items():
        rows = np.asarray(listed, np.int64)
        version = _version(file)
        stored, starts = _read_ids(file, *version)
        sorting = np.argsort(stored, kind="stable")
        place = np.searchsorted(stored, ids[rows], side="right", sorter=sorting) - 1
        taken = sorting[np.maximum(place, 0)]
        if not np.array_equal(stored[taken], ids[rows]):
            raise StorageError(f"{file}: lacks photos that it had when the run was planned", hint="run `geotag verify`")
        group_of = np.searchsorted(starts, taken, side="right") - 1
        for group in np.unique(group_of).tolist():
            served = group_of == group
            yield rows[served], _read_group(file, group, tuple(columns), *version), taken[served] - starts[group]
