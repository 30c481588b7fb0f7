"""One line of a dump to one staged row, by the columns that the header names.

One line is one record, also where CSV would let a quoted field run over several: in a file with a stray quote that
would swallow the lines up to the next quote, and no title of either archive has a line break.
"""

import csv
import difflib
import re
from collections.abc import Callable, Iterator
from operator import itemgetter

from geotag_batch.errors import CatalogueError
from geotag_batch.read.archives import STAGED, DumpTable, Rejected
from geotag_batch.read.dumps import DumpFile, decode_line

__all__ = ["Row", "known_columns", "line_parser", "read_header"]

Row = tuple[object, ...]


def read_header(dump: DumpFile, lines: Iterator[tuple[int, bytes]]) -> list[str]:
    """Return the column names from the first line that is not blank (tags-top.csv begins with an empty one)."""
    line = next((line for _, line in lines if line), None)
    if line is None:
        raise CatalogueError(f"{dump.path}: is empty, should begin with a header line")
    try:
        header = [name.strip() for name in _splitter(dump.table)(decode_line(line)[0])]
    except Rejected as reason:
        raise CatalogueError(f"{dump.path}: the header cannot be read: {reason}") from reason
    missing = [name for name in dump.table.required if name not in header]
    if missing:
        raise CatalogueError(
            f"{dump.path}: the header has no {_some(missing)}; it has {_some(header)}", hint=_nearest(missing, header)
        )
    twice = [name for name in known_columns(dump.table) if header.count(name) > 1]
    if twice:
        raise CatalogueError(f"{dump.path}: the header has {_some(twice)} more than once")
    return header


def known_columns(table: DumpTable) -> tuple[str, ...]:
    """Return the columns that a table makes use of; a header may have others, which are ignored."""
    return (*(column.name for column in table.columns), *table.tag_columns)


def _some(names: list[str], most: int = 8) -> str:
    shown = ", ".join(name[:40] for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _nearest(missing: list[str], header: list[str]) -> str | None:
    near = [
        f"{match[0]} to {name}"
        for name in missing
        if (match := difflib.get_close_matches(name, header, n=1)) and match[0] not in missing
    ]
    return f"rename {_some(near, 3)}" if near else "name the file that has these columns, with its header line"


def line_parser(table: DumpTable, header: list[str]) -> Callable[[str], Row]:
    """Return what turns the text of a line into a staged row, or raises Rejected or LeftOut."""
    split, width = _splitter(table), len(header)
    staged = STAGED[table.staged].names
    steps = [
        (column.parse, header.index(column.name), staged.index(column.staged) if column.staged else None)
        for column in table.columns
        if column.name in header
    ]
    tag_cells = itemgetter(*map(header.index, table.tag_columns)) if table.multi_hot else None

    def parse_line(text: str) -> Row:
        fields = split(text)
        if len(fields) != width:
            raise Rejected(f"has not {width} columns")
        row: list[object] = [None] * len(staged)
        for parse, place, target in steps:
            value = parse(fields[place])
            if target is not None:
                row[target] = value
        if tag_cells is not None:
            row[-1] = _tag_bits(tag_cells(fields))
        return tuple(row)

    return parse_line


def _tag_bits(cells: tuple[str, ...]) -> int:
    if not _ZERO_OR_ONE.issuperset(cells):
        raise Rejected("a tag column is neither 0 nor 1")
    return int("".join(reversed(cells)), 2)


_ZERO_OR_ONE = frozenset("01")


def _splitter(table: DumpTable) -> Callable[[str], list[str]]:
    return _split_csv if table.separator == "," else _split_tsv


def _split_csv(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader((text,), strict=True))
    except csv.Error as error:
        raise Rejected("quotes do not match") from error


def _split_tsv(text: str) -> list[str]:
    """Split as `mysql --batch` and SELECT INTO OUTFILE write: quotes mean nothing, a backslash escapes, \\N is null."""
    fields = text.split("\t")
    if "\\" not in text:
        return fields
    return ["" if field == "\\N" else _ESCAPED.sub(_unescape, field) for field in fields]


_ESCAPED = re.compile(r"\\([0nrt\\])")
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def _unescape(match: re.Match[str]) -> str:
    return _ESCAPES[match.group(1)]
