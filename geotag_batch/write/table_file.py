"""Tables to files for other programs, a part at a time: JSON lines, CSV or Parquet, .gz, or standard output.

A file appears under its name when it is complete and durable (atomic.py). JSON lines are put together from whole
columns: a million labels, or vectors in base64, pass through Python a batch at a time.
"""

import binascii
import contextlib
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.atomic import publish_elsewhere
from geotag_batch.errors import UsageError

__all__ = ["Destination", "TableSink", "destination", "json_lines", "write_tables"]

_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}
_GZIP_LEVEL = 4  # base64 of vectors: 55 MB/s for 4 % more bytes than at level 6, which makes 13 MB/s


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a table goes: `path` (None: standard output), its format, and whether it is gzipped."""

    path: Path | None
    format: str
    gzipped: bool


class TableSink(Protocol):
    """What takes the parts of a table, one after another."""

    def write(self, part: pa.Table) -> None:
        """Take a part: the same columns as the ones before, but for JSON lines, where those may differ."""


def destination(out: str, format_: str | None, formats: tuple[str, ...]) -> Destination:
    """Return where `out` is: a file, or standard output for "-"; its format by `format_`, else by its name.

    Raises UsageError if neither says one of `formats`, or Parquet is to be gzipped.
    """
    path = None if out == "-" else Path(out)
    gzipped = path is not None and path.suffix.lower() == ".gz"
    name = Path(path.stem if path and gzipped else path or "")
    found = format_ or (_ENDINGS.get(name.suffix.lower()) if path else formats[0])
    if found not in formats:
        endings = ", ".join(ending for ending, known in _ENDINGS.items() if known in formats)
        raise UsageError(
            f"{out} does not say what to write", hint=f"end its name with one of {endings}, or add --format"
        )
    if gzipped and found == "parquet":
        raise UsageError(f"{out}: Parquet is compressed already", hint="leave out the .gz")
    return Destination(path, found, gzipped)


def write_tables(place: Destination, schema: pa.Schema, parts: Callable[[TableSink], None]) -> None:
    """Let `parts` write to `place` through a sink for tables of `schema`; a file is visible when all of it is there.

    Raises StorageError if the disk refuses, and what `parts` raises; an earlier file of that name is then as it was.
    """
    if place.path is None:
        with _packed(cast(BinaryIO, sys.stdout.buffer), place) as stream, _sink(stream, place.format, schema) as sink:
            parts(sink)
        sys.stdout.buffer.flush()
        return

    def write(staged: Path) -> None:
        with (
            staged.open("wb", buffering=1 << 20) as file,
            _packed(file, place) as stream,
            _sink(stream, place.format, schema) as sink,
        ):
            parts(sink)

    publish_elsewhere(write, place.path)


@contextlib.contextmanager
def _packed(file: BinaryIO, place: Destination) -> Iterator[BinaryIO]:
    if not place.gzipped:
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as packed:
        yield cast(BinaryIO, packed)


@contextlib.contextmanager
def _sink(stream: BinaryIO, format_: str, schema: pa.Schema) -> Iterator[TableSink]:
    if format_ == "jsonl":
        yield _JsonLines(stream)
    elif format_ == "csv":
        with pyarrow.csv.CSVWriter(stream, schema) as writer:
            yield writer
    else:
        with pq.ParquetWriter(
            stream, schema, compression="zstd", compression_level=1, use_dictionary=_texts(schema),
            write_page_checksum=True,
        ) as writer:  # fmt: skip
            yield writer


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if pa.types.is_string(field.type) and field.name != "title_hash"]


class _JsonLines:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, part: pa.Table) -> None:
        for batch in part.combine_chunks().to_batches():
            self._stream.write(text_of(json_lines(batch)))


def json_lines(batch: pa.RecordBatch) -> pa.StringArray:
    """Return each row as one JSON object with a line end behind it; fixed-size binary values become base64."""
    pieces: list[pa.Array | str] = []
    before = "{"
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        pieces += [f"{before}{json.dumps(name)}:", _json_values(column)]
        before = ","
    return pc.binary_join_element_wise(*pieces, "}\n", "")


def text_of(lines: pa.StringArray) -> memoryview:
    """Return the bytes of all `lines`, one behind the other, without a copy."""
    _, offsets, data = lines.buffers()
    if data is None:
        return memoryview(b"")
    ends = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]


def _json_values(column: pa.Array) -> pa.Array:
    """Return a column's values as they stand in JSON; floats of either width come back as they were."""
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        raw = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width :][: len(column) * width]
        return _base64(raw.reshape(-1, width))
    if pa.types.is_string(column.type):
        return _json_texts(column).fill_null("null")
    return column.cast(pa.string()).fill_null("null")


def _json_texts(column: pa.StringArray) -> pa.StringArray:
    if pc.any(pc.match_substring_regex(column, r'[\x00-\x1f"\\]')).as_py():  # an ETag has quotation marks
        return pa.array(
            [None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
        )
    return pc.binary_join_element_wise('"', column, '"', "")


def _base64(raw: NDArray[np.uint8]) -> pa.StringArray:
    """Return rows of bytes (n, width) as base64 in quotation marks, all encoded in one call.

    Rows are filled up to whole groups of three bytes, so that each is encoded as if by itself; what the filling became
    is then overwritten by the marks that stand for it.
    """
    count, width = raw.shape
    filling = -width % 3
    filled = np.zeros((count, width + filling), np.uint8)
    filled[:, :width] = raw
    encoded = np.frombuffer(binascii.b2a_base64(filled.data, newline=False), np.uint8).reshape(count, -1)
    text = np.full((count, encoded.shape[1] + 2), ord('"'), np.uint8)
    text[:, 1:-1] = encoded
    if filling:
        text[:, -1 - filling : -1] = ord("=")
    ends = np.arange(count + 1, dtype=np.int32) * text.shape[1]
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(text))
