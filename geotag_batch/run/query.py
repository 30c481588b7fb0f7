"""One SELECT over the views, and nothing else.

run/one_select.py decides what is one; the connection is besides read-only, can reach no file but the workspace's and
the catalogue's, and its settings are locked.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from geotag_batch.config import Config
from geotag_batch.duck import Connection, DuckError, connect, escape_glob, quote_literal, raise_store_error
from geotag_batch.errors import ConfigError, GeotagError, StorageError, UsageError
from geotag_batch.locations import is_store_url, location
from geotag_batch.printable import one_line, printable, spreadsheet_safe
from geotag_batch.run.one_select import require_one_select
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import VIEWS

__all__ = ["FORMATS", "query", "table_lines"]

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")

_ROWS_AT_ONCE = 1000  # a table's columns are as wide as the values among the first so many rows
_WIDEST = 60


def query(
    workspace: Workspace, config: Config, sql: str, format_: Format = "table", *, raw: bool = False
) -> Iterator[str]:
    """Run `sql` over review.duckdb and yield its rows as text, a few at a time.

    CSV is made for spreadsheets and terminals unless `raw`: see `_for_spreadsheets`. JSON holds every value as it is.
    Raises UsageError for anything but one SELECT, and for a SELECT that does not fit the views; ConfigError if the
    views are missing or stale; StorageError if a file cannot be read.
    """
    with _open(workspace, config) as connection:
        statement = require_one_select(connection, sql)
        try:
            cursor = connection.execute(statement)
            names = [column[0] for column in cursor.description or ()]
            rows = iter(lambda: cursor.fetchmany(_ROWS_AT_ONCE), [])
            yield from _as_csv(names, rows, raw=raw) if format_ == "csv" else _WRITERS[format_](names, rows)
        except DuckError as error:
            raise_store_error(error)
            raise _explain(error, connection, workspace) from error


def _open(workspace: Workspace, config: Config) -> Connection:
    if not workspace.database.exists():
        raise ConfigError(f"{workspace.database} is not there yet", hint="make the views with `geotag views`")
    # DuckDB compares these with a path, and with a view's glob as it is written: "[" is "[[]" there.
    folders = (str(workspace.root), escape_glob(str(workspace.root)), *_catalogue_folder(config))
    readable = ", ".join(quote_literal(folder) for folder in folders)
    try:
        connection = connect(
            workspace.database, read_only=True, memory_limit=config.run.memory_limit, spill=workspace.cache
        )
        connection.execute(f"SET allowed_directories = [{readable}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except DuckError as error:
        raise StorageError(
            f"{workspace.database}: cannot be opened: {_first_line(error)}",
            hint="close the program that has it open for writing, or rebuild it with `geotag views`",
        ) from error
    return connection


def _catalogue_folder(config: Config) -> tuple[str, ...]:
    """Return the folder above the first wildcard of a catalogue outside the workspace."""
    path = config.photos.path
    folder = str(location(re.split(r"[*?\[]", path)[0] + "x").parent)
    return (folder,) if is_store_url(path) or Path(path).is_absolute() else ()


def _explain(error: DuckError, connection: Connection, workspace: Workspace) -> GeotagError:
    text = _first_line(error)
    listed = "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
    names = [row[0] for row in connection.execute(listed).fetchall()]
    if set(VIEWS) - set(names):
        return ConfigError(f"{workspace.database} has not the views of this version", hint="run `geotag views`")
    ((root,),) = connection.execute("SELECT root FROM workspace").fetchall()
    if root != str(workspace.root):
        return ConfigError(f"the views were made when the workspace was in {root}", hint="run `geotag views`")
    for beginning, kind, hint in (
        ("Catalog Error: Table with name", UsageError, f"there are the views {', '.join(names)}"),
        (
            "Invalid Input Error: Required module 'pytz'",
            UsageError,
            "cast times to TIMESTAMP, such as now()::TIMESTAMP",
        ),
        (
            "Out of Memory Error",
            StorageError,
            "ask for fewer columns or rows, or raise run.memory_limit in geotag.toml",
        ),
        ("IO Error", StorageError, _AFTER_CHANGES),
        ("Invalid Input Error: Failed to read", StorageError, _AFTER_CHANGES),
        ("Invalid Error", StorageError, _AFTER_CHANGES),
    ):
        if text.startswith(beginning):
            return kind(text, hint=hint)
    return UsageError(text, hint="`geotag query 'DESCRIBE predictions'` shows a view's columns")


_AFTER_CHANGES = "run `geotag views` if files were added or removed, `geotag verify` otherwise"


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def table_lines(names: list[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    """Yield rows, a few at a time, as the lines of a table for a terminal, and their number."""
    widths: list[int] = []
    count = 0
    for batch in batches:
        cells = [[_cell(value) for value in row] for row in batch]
        if not widths:
            widths = [max(len(line[index]) for line in [names, *cells]) for index in range(len(names))]
            yield _line(names, widths)
            yield "  ".join("-" * width for width in widths)
        yield from (_line(line, widths) for line in cells)
        count += len(batch)
    if not widths:
        yield "  ".join(names)
    yield f"({count} row{'' if count == 1 else 's'})"


def _line(cells: list[str], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(value: object) -> str:
    """Return a value short enough for a table, on one line, with nothing in it that a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = ", ".join(_cell(item) for item in value) if isinstance(value, list) else str(value)
    text = one_line(text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _as_csv(names: list[str], batches: Iterator[list[tuple[Any, ...]]], *, raw: bool) -> Iterator[str]:
    cell: Callable[[object], object] = _plain if raw else _for_spreadsheets
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    quoting = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other one leaves a bare CR unquoted

    def write(row: Sequence[object]) -> None:
        cells = [cell(value) for value in row]
        has_return = any(isinstance(each, str) and "\r" in each for each in cells)
        (quoting if has_return else writer).writerow(cells)

    write(names)
    for batch in batches:
        for row in batch:
            write(row)
        yield buffer.getvalue().removesuffix("\n")
        buffer.seek(0)
        buffer.truncate()
    if buffer.getvalue():
        yield buffer.getvalue().removesuffix("\n")


def _plain(value: object) -> object:
    return json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, list | dict) else value


def _for_spreadsheets(value: object) -> object:
    """Return a value as `_plain` does; a text that would be a formula gets an apostrophe, controls are escaped."""
    plain = _plain(value)
    return printable(spreadsheet_safe(plain)) if isinstance(plain, str) else plain


def _as_json(names: list[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    """Yield one JSON array with a row a line; what is not a finite number is null."""
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        raise UsageError(f"two columns are called {repeated}, and a JSON object can hold one", hint="name one with AS")
    yield "["
    before = None
    for batch in batches:
        for row in batch:
            if before is not None:
                yield f"{before},"
            facts = {name: _json_value(value) for name, value in zip(names, row, strict=True)}
            before = json.dumps(facts, ensure_ascii=False)
    if before is not None:
        yield before
    yield "]"


def _json_value(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == int(value) else float(value)
    return _scalar(value)


def _scalar(value: object) -> object:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


_WRITERS = {"table": table_lines, "json": _as_json}
