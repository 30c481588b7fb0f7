"""One SELECT over the views, and nothing else.

A read-only connection still runs COPY and EXPLAIN ANALYZE COPY, so DuckDB's own statement type decides; the
connection can besides reach no file but the workspace's and the catalogue's, and its settings are locked.
"""

import csv
import io
import json
import math
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from geotag_batch.catalogue import catalogue_glob
from geotag_batch.config import Config
from geotag_batch.duck import Connection, DuckError, ParserError, connect, only_select, quote_literal
from geotag_batch.errors import ConfigError, StorageError, UsageError
from geotag_batch.workspace import Workspace

__all__ = ["FORMATS", "query"]

Format = Literal["table", "csv", "json"]
FORMATS: tuple[Format, ...] = ("table", "csv", "json")

_ROWS_AT_ONCE = 1000  # a table's columns are as wide as the values among the first so many rows
_WIDEST = 60


def query(workspace: Workspace, config: Config, sql: str, format_: Format = "table") -> Iterator[str]:
    """Run `sql` over review.duckdb and yield its rows as text, a few at a time.

    Raises UsageError for anything but one SELECT, and for a SELECT that does not fit the views; ConfigError if the
    views are missing or stale; StorageError if a file cannot be read.
    """
    with _open(workspace, config) as connection:
        _require_select(connection, workspace, sql)
        try:
            cursor = connection.execute(sql)
            names = [column[0] for column in cursor.description or ()]
            rows = iter(lambda: cursor.fetchmany(_ROWS_AT_ONCE), [])
            yield from _WRITERS[format_](names, rows)
        except DuckError as error:
            raise _explain(error, connection, workspace) from error


def _open(workspace: Workspace, config: Config) -> Connection:
    if not workspace.database.exists():
        raise ConfigError(f"{workspace.database} is not there yet", hint="make the views with `geotag views`")
    catalogue = Path(catalogue_glob(workspace, config).partition("*")[0]).parent
    readable = ", ".join(quote_literal(str(folder)) for folder in (workspace.root, catalogue))
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


def _require_select(connection: Connection, workspace: Workspace, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except ParserError as error:
        raise UsageError(f"not valid SQL: {_first_line(error)}", hint="one SELECT, as text in quotes") from error
    if not only_select(statements):
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise UsageError(
            f"geotag query runs one SELECT, this is {kinds}",
            hint=f"for anything else open the views in a shell of your own: duckdb {workspace.database}",
        )


def _explain(error: DuckError, connection: Connection, workspace: Workspace) -> Exception:
    text = _first_line(error)
    root = connection.execute("SELECT root FROM workspace").fetchall()[0][0]
    if root != str(workspace.root):
        return ConfigError(f"the views were made when the workspace was in {root}", hint="run `geotag views`")
    if "does not exist" in text and text.startswith("Catalog Error"):
        names = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL").fetchall()
        return UsageError(text, hint=f"there are the views {', '.join(name for (name,) in names)}")
    if text.startswith(("IO Error", "Invalid Input Error: Failed to read", "Invalid Error")):
        return StorageError(text, hint="run `geotag views` if files were added or removed, `geotag verify` otherwise")
    return UsageError(text, hint="`geotag query 'DESCRIBE predictions'` shows a view's columns")


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _as_table(names: list[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
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
    text = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _as_csv(names: list[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for batch in batches:
        writer.writerows([[_plain(value) for value in row] for row in batch])
        yield buffer.getvalue().removesuffix("\n")
        buffer.seek(0)
        buffer.truncate()
    if buffer.getvalue():
        yield buffer.getvalue().removesuffix("\n")


def _plain(value: object) -> object:
    return json.dumps(_json_value(value), ensure_ascii=False) if isinstance(value, list | dict) else value


def _as_json(names: list[str], batches: Iterator[list[tuple[Any, ...]]]) -> Iterator[str]:
    """Yield one JSON array with a row a line; what is not a finite number is null."""
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
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


_WRITERS = {"table": _as_table, "csv": _as_csv, "json": _as_json}
