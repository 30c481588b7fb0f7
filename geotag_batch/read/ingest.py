"""Lines of dumps to staged Parquet, one file a table; what is no photo goes to the rejected lines, with its reason.

::

    dumps.read_lines ──▶ records.line_parser ──▶ StagedTable ──▶ merge.py joins the tables to the catalogue
                                             └─▶ RejectedLines ──▶ rejected/
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.read.archives import STAGED, LeftOut, Rejected
from geotag_batch.read.dumps import LONGEST_LINE, DumpFile, decode_line, read_lines
from geotag_batch.read.records import Row, known_columns, line_parser, read_header

__all__ = ["FileTotals", "RejectedLines", "StagedTable", "stage_dump"]

_BATCH = 65_536
"""Rows that are collected before they are written: some 20 MB of Python objects."""


@dataclass(slots=True)
class FileTotals:
    """What became of the lines of one file: `lines` (without the header) is the sum of all others."""

    path: Path
    lines: int = 0
    staged: int = 0
    blank: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    not_utf8: int = 0
    ignored_columns: tuple[str, ...] = ()


class StagedTable:
    """One staged table while it is filled: a context manager that holds the Parquet file open."""

    def __init__(self, path: Path, table: str, *, unique_ids: bool) -> None:
        """Open `path` for the rows of STAGED[table]; with `unique_ids` an id is taken once."""
        self._schema = STAGED[table]
        self._path = path
        self._rows: list[Row] = []
        self._seen: dict[int, int] | None = {} if unique_ids else None

    def __enter__(self) -> "StagedTable":
        """Open the file."""
        self._writer = pq.ParquetWriter(self._path, self._schema, compression="zstd")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left and close the file."""
        try:
            if kind is None:
                self._flush()
        finally:
            self._writer.close()

    def add(self, row: Row) -> None:
        """Take one row, its gridimage_id first. Raises Rejected if the id was here before."""
        if self._seen is not None:
            # 256 ids in one integer: ids are dense, so that 8 million of them take some 5 MB instead of 500.
            word, bit = divmod(row[0], 256)  # type: ignore[operator]
            bits = self._seen.get(word, 0)
            if bits >> bit & 1:
                raise Rejected("duplicate gridimage_id")
            self._seen[word] = bits | 1 << bit
        self._rows.append(row)
        if len(self._rows) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else ((),) * len(self._schema)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()


class RejectedLines:
    """The lines that were refused, as TSV: file, line number, reason, text. A context manager."""

    def __init__(self, path: Path) -> None:
        """Write to `path`."""
        self._path = path
        self.count = 0

    def __enter__(self) -> "RejectedLines":
        """Open the file and write its header."""
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._file.write("file\tline\treason\ttext\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()

    def add(self, path: Path, number: int, reason: str, line: bytes) -> None:
        """Add one line; tabs, line breaks and backslashes in file name and text are escaped as MySQL does."""
        text, _ = decode_line(line[:LONGEST_LINE])
        self._file.write(f"{_escape(str(path))}\t{number}\t{reason}\t{_escape(text)}\n")
        self.count += 1


def stage_dump(dump: DumpFile, staged: StagedTable, rejected: RejectedLines) -> FileTotals:
    """Read one file to its end into its staged table and return its totals.

    Raises CatalogueError if the header is not what the table should have, InputError if the file cannot be read.
    """
    totals = FileTotals(dump.path)
    lines = read_lines(dump.path)
    header = read_header(dump, lines)
    totals.ignored_columns = tuple(name for name in header if name not in known_columns(dump.table))
    parse = line_parser(dump.table, header)
    for number, line in lines:
        totals.lines += 1
        if not line:
            totals.blank += 1
            continue
        try:
            if len(line) > LONGEST_LINE:
                raise Rejected(f"longer than {LONGEST_LINE} bytes")
            text, is_utf8 = decode_line(line)
            staged.add(parse(text))
            totals.staged += 1
            totals.not_utf8 += not is_utf8
        except LeftOut as kind:
            totals.left_out[str(kind)] += 1
        except Rejected as reason:
            totals.rejected[str(reason)] += 1
            rejected.add(dump.path, number, str(reason), line)
    return totals


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n")
