"""Parquet of vectors to batches, whole columns at a time; a row that cannot be used is refused with its reason.

A row is a photo with the columns ``image_embedding`` and ``title_embedding``, as `geotag embeddings export` writes it,
or one vector with ``type`` and ``embedding``. A vector is a list of numbers, or binary: float32, little endian.
docs/exchange.md has the rest.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.errors import InputError
from geotag_batch.read.vector_batch import (
    REFUSED_HASH,
    REFUSED_ID,
    REFUSED_TYPE,
    Expected,
    Refuse,
    VectorBatch,
    Vectors32,
    hash_of_title,
    is_title_hash,
)

__all__ = ["read_vector_parquet"]

_ROWS = 4096
_BUFFER = 1 << 20
_TEXTS = ("type", "title", "title_hash", "image_signature", "precision", "encoder_id")


def read_vector_parquet(path: Path, expected: Expected, refuse: Refuse) -> Iterator[VectorBatch]:
    """Yield the vectors of `path` in order; the numbers of rows count from 1.

    Raises InputError if the file cannot be read, lacks a column or has one of a wrong type, or nobody says which
    encoder its vectors are of.
    """
    try:
        # Without a buffer a row group is read whole, and one may be as large as the file.
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False, page_checksum_verification=True)
        columns = _columns(path, file.schema_arrow)
        first = 1
        for rows in file.iter_batches(_ROWS, columns=columns):
            yield from _Rows(rows, first, expected, refuse).batches()
            first += rows.num_rows
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet: {error}", hint="fetch the file again") from error


def _columns(path: Path, schema: pa.Schema) -> list[str]:
    """Return the columns that are read, once they are known to have usable types."""
    vectors = [name for name in ("embedding", "image_embedding", "title_embedding") if name in schema.names]
    if "gridimage_id" not in schema.names or not vectors or ("embedding" in vectors) != ("type" in schema.names):
        raise InputError(
            f"{path}: has the columns {', '.join(schema.names)}",
            hint="it should have gridimage_id, and image_embedding or title_embedding, or type and embedding",
        )
    texts = [name for name in _TEXTS if name in schema.names]
    wrong = [name for name in vectors if not _is_vector(schema.field(name).type)]
    wrong += [name for name in texts if not _is_text(schema.field(name).type)]
    wrong += ["gridimage_id"] if not pa.types.is_integer(schema.field("gridimage_id").type) else []
    if wrong:
        raise InputError(f"{path}: column {wrong[0]} is {schema.field(wrong[0]).type}", hint="see docs/exchange.md")
    return ["gridimage_id", *vectors, *texts]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_vector(kind: pa.DataType) -> bool:
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return bool(binary or (_is_list(kind) and pa.types.is_floating(kind.value_type)))


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


class _Rows:
    """Some rows of the file; a row that has a fault anywhere is refused once, as a whole."""

    def __init__(self, rows: pa.RecordBatch, first: int, expected: Expected, refuse: Refuse) -> None:
        self._rows, self._first, self._expected, self._refuse = rows, first, expected, refuse
        self._ids = rows.column("gridimage_id").cast(pa.int64(), safe=False)  # beyond int64 they become negative
        self._faults: dict[int, str] = {}
        self._texts = {
            name: rows.column(name).cast(pa.string()).to_pylist() for name in _TEXTS if name in rows.schema.names
        }

    def batches(self) -> Iterator[VectorBatch]:
        """Yield the rows' vectors, those of images before those of titles."""
        ids = self._ids.fill_null(0).to_numpy()
        self._fault(ids <= 0, REFUSED_ID)
        encoders: list[str | None] = self._texts.get("encoder_id", [None] * len(ids))
        other = [row for row, stated in enumerate(encoders) if not self._expected.same_encoder(stated)]
        self._fault(_marked(other, len(ids)), f"is of another encoder than {self._expected.encoder_id}")
        bad_hashes = [
            row for row, text in enumerate(self._texts.get("title_hash", ())) if text and not is_title_hash(text)
        ]
        self._fault(_marked(bad_hashes, len(ids)), REFUSED_HASH)
        parts = [(is_title, *self._vectors(name, wanted)) for is_title, name, wanted in self._kinds(len(ids))]
        if "type" not in self._texts:
            self._fault(~np.logical_or.reduce([has for _, has, _ in parts]), "has no embedding")
        for row, reason in sorted(self._faults.items()):
            self._refuse(self._first + row, reason, self._text(row))
        good = ~_marked(list(self._faults), len(ids))
        for is_title, has, vectors in parts:
            taken = np.flatnonzero(has & good)
            if len(taken):
                yield self._batch(ids, taken, is_title, vectors[good[has]])

    def _kinds(self, count: int) -> list[tuple[bool, str, NDArray[np.bool_]]]:
        """Return, for each kind of vector, its column and the rows (count,) in which it may stand."""
        if "type" not in self._texts:
            names = [(False, "image_embedding"), (True, "title_embedding")]
            everywhere = np.ones(count, np.bool_)
            return [(kind, name, everywhere) for kind, name in names if name in self._rows.schema.names]
        types = np.array([text or "" for text in self._texts["type"]], object)
        self._fault((types != "image") & (types != "title"), REFUSED_TYPE)
        missing = self._rows.column("embedding").is_null().to_numpy(zero_copy_only=False)
        self._fault(missing, "has no embedding")
        return [(False, "embedding", types == "image"), (True, "embedding", types == "title")]

    def _vectors(self, name: str, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Vectors32]:
        """Return which rows have a vector of the right length, and those (m, dim)."""
        column = self._rows.column(name)
        present = column.is_valid().to_numpy(zero_copy_only=False) & wanted
        binary = not _is_list(column.type)
        lengths = np.asarray((pc.binary_length if binary else pc.list_value_length)(column).fill_null(0), np.int64)
        if binary:
            lengths = np.where(lengths % 4 == 0, lengths // 4, 0)
        found = lengths[present]
        dim = self._expected.length(int(found[0]) if len(found) else 0)
        fits = present & (lengths == dim)
        self._fault(present & ~fits, f"embedding is not {dim} numbers long")
        chosen = column.filter(pa.array(fits))
        if binary:
            return fits, np.frombuffer(b"".join(chosen.to_pylist()), "<f4").reshape(-1, dim).astype(np.float32)
        values = chosen.flatten()
        numbers = values.fill_null(np.nan) if values.null_count else values
        with np.errstate(over="ignore"):  # of float64; becomes infinite, and is refused as that
            flat: Vectors32 = numbers.to_numpy(zero_copy_only=False).astype(np.float32)
        return fits, flat.reshape(-1, dim) if dim else flat.reshape(0, 0)

    def _batch(
        self, ids: NDArray[np.int64], taken: NDArray[np.int64], is_title: bool, vectors: Vectors32
    ) -> VectorBatch:
        nothing: list[str | None] = [None] * len(taken)

        def texts(name: str) -> list[str | None]:
            values = self._texts.get(name)
            return nothing if values is None else [values[row] for row in taken]

        hashes = [
            stated or (None if title is None else hash_of_title(title))
            for stated, title in zip(texts("title_hash"), texts("title"), strict=True)
        ]
        return VectorBatch(
            taken + self._first,
            ids[taken],
            np.full(len(taken), is_title),
            vectors,
            hashes if is_title else nothing,
            nothing if is_title else texts("image_signature"),
            texts("precision"),
            [self._text(int(row)) for row in taken],
        )

    def _fault(self, rows: NDArray[np.bool_], reason: str) -> None:
        for row in np.flatnonzero(rows).tolist():
            self._faults.setdefault(row, reason)

    def _text(self, row: int) -> bytes:
        facts = {"gridimage_id": self._ids[row].as_py()}
        if "type" in self._texts:
            facts["type"] = self._texts["type"][row]
        return json.dumps(facts).encode()


def _marked(rows: list[int], count: int) -> NDArray[np.bool_]:
    marks = np.zeros(count, np.bool_)
    marks[rows] = True
    return marks
