"""The only `import duckdb`: connections with limits, named SQL files, quoting.

SQL lives in sql/<purpose>/<name>.sql, one statement a file, values bound as ``$name``. Views and temporary views
cannot bind, so what they are built from is substituted as ``{{name}}`` through the quoting helpers here.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from geotag_batch.committed import hidden
from geotag_batch.errors import ConfigError, StorageError, StoreError
from geotag_batch.locations import seen_schemes
from geotag_batch.resources import read_resource, resource_path
from geotag_batch.schema import load_schema
from geotag_batch.workspace import DATASET_PATTERNS, Workspace

__all__ = [
    "Connection",
    "DuckError",
    "ParserError",
    "Statement",
    "StorageTrouble",
    "connect",
    "dataset_relation",
    "escape_glob",
    "execute_file",
    "fetch_arrow",
    "files_relation",
    "only_select",
    "quote_identifier",
    "quote_literal",
    "raise_store_error",
    "reach_stores",
    "run_records_relation",
    "sql_names",
    "sql_text",
    "storage_trouble",
]

Connection = duckdb.DuckDBPyConnection
DuckError = duckdb.Error
ParserError = duckdb.ParserException
Statement = duckdb.Statement
StorageTrouble = (duckdb.IOException, duckdb.OutOfMemoryException)
"""What a full disk or a memory limit that is too low raises; other DuckDB errors in our own SQL are bugs."""


def connect(
    database: Path | None = None,
    *,
    read_only: bool = False,
    memory_limit: str | None = None,
    spill: Path | None = None,
    threads: int | None = None,
) -> Connection:
    """Open a connection, in memory unless `database` is given, that never fetches an extension.

    It reads the object stores that this process has met so far.
    `memory_limit` is DuckDB's ("2GiB"); what does not fit goes to the folder `spill`. Times are UTC.
    """
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "preserve_insertion_order": False,
    }
    if memory_limit:
        settings["memory_limit"] = memory_limit
    if spill:
        with contextlib.suppress(OSError):  # a workspace that is only read has no need to spill into it
            spill.mkdir(parents=True, exist_ok=True)
        settings["temp_directory"] = str(spill)
    if threads:
        settings["threads"] = threads
    try:
        connection = duckdb.connect(str(database) if database else ":memory:", read_only=read_only, config=settings)
    except (duckdb.ParserException, duckdb.InvalidInputException) as error:
        if not memory_limit:
            raise
        raise ConfigError(f"run.memory_limit = {memory_limit!r}: {error}", hint="for example 2GiB") from error
    connection.execute("SET TimeZone = 'UTC'")
    reach_stores(connection)
    # What reads a dataset twice then reads the footers of its thousands of files once; committed files never change.
    connection.execute("SET parquet_metadata_cache = true")
    return connection


def reach_stores(connection: Connection) -> None:
    """Let a connection read the object stores that this process has met so far."""
    for scheme in seen_schemes:
        from geotag_batch.store_files import StoreFiles  # noqa: PLC0415  nothing that a folder needs

        if not connection.filesystem_is_registered(scheme):
            connection.register_filesystem(StoreFiles(scheme))


def raise_store_error(error: DuckError) -> None:
    """Raise the StoreError for which DuckDB stopped, if it was one: it hands on what a file system raises as text."""
    found = re.search(r"^([\w.]+\.)?StoreError: (.*)$", str(error), re.MULTILINE)
    if found is not None:
        raise StoreError(found[2], hint="start again: what is committed stays valid") from error


@contextlib.contextmanager
def storage_trouble(where: Path) -> Iterator[None]:
    """Raise StorageError for what a disk, a memory limit or a damaged file makes DuckDB raise in a `with` block.

    What an object store refuses is a StoreError.
    `where` is what is read or written. Other DuckDB errors in our own SQL are bugs, and pass.
    """
    try:
        yield
    except duckdb.Error as error:
        raise_store_error(error)
        reason = str(error).split("\n", 1)[0]
        if isinstance(error, duckdb.OutOfMemoryException):
            hint = "free space on that disk, or raise run.memory_limit in geotag.toml"
        elif ".parquet" in reason or type(error) is duckdb.Error:  # a zstd frame, a page, a footer that is not one
            hint = "`geotag verify` names every damaged file, `geotag verify --repair` sets it aside"
        elif isinstance(error, (duckdb.IOException, duckdb.FatalException, duckdb.TransactionException)):
            hint = "free space or mend permissions, then start again: what is committed stays valid"
        else:
            raise
        raise StorageError(f"{where}: {reason}", hint=hint) from error


def quote_identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_literal(value: str) -> str:
    """Return `value` as a quoted SQL text literal."""
    return "'" + value.replace("'", "''") + "'"


def escape_glob(path: str) -> str:
    """Return `path` such that DuckDB's glob matches it literally."""
    return re.sub(r"([*?\[])", r"[\1]", path)


def sql_names(purpose: str) -> tuple[str, ...]:
    """Return the names of the SQL files under sql/<purpose>/, sorted."""
    return tuple(sorted(path.stem for path in resource_path("sql", purpose).glob("*.sql")))


def sql_text(purpose: str, name: str, substitutions: Mapping[str, str] | None = None) -> str:
    """Return the statement of sql/<purpose>/<name>.sql with each ``{{key}}`` replaced.

    The values must be SQL already: quoted through the helpers of this module.
    """
    text = read_resource("sql", purpose, f"{name}.sql")

    def replacement(match: re.Match[str]) -> str:
        return (substitutions or {})[match.group(1)]

    return re.sub(r"\{\{(\w+)\}\}", replacement, text)


def execute_file(
    connection: Connection, purpose: str, name: str, parameters: Mapping[str, Any] | None = None
) -> Connection:
    """Run sql/<purpose>/<name>.sql; only the parameters that the file names are bound."""
    return connection.execute(*_bound(purpose, name, parameters))


def fetch_arrow(
    connection: Connection, purpose: str, name: str, parameters: Mapping[str, Any] | None = None
) -> pa.Table:
    """Run sql/<purpose>/<name>.sql as `execute_file` does and return its rows as an Arrow table."""
    text, named = _bound(purpose, name, parameters)
    return connection.sql(text, params=named).to_arrow_table()


def _bound(purpose: str, name: str, parameters: Mapping[str, Any] | None) -> tuple[str, dict[str, Any] | None]:
    text, body = sql_text(purpose, name), _statement(purpose, name)
    named = {key: value for key, value in (parameters or {}).items() if re.search(rf"\${key}\b", body)}
    return text, named or None


def _statement(purpose: str, name: str, substitutions: Mapping[str, str] | None = None) -> str:
    """Return the text of `sql_text` without lines of comments."""
    text = sql_text(purpose, name, substitutions)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


def dataset_relation(
    workspace: Workspace, dataset: str, columns: Sequence[str] | None = None, *, filename: bool = False
) -> str:
    """Return SQL for a relation over the committed files of a dataset.

    Where a merged file and those that it repeats are both there, those that count now are read (committed.py).
    Columns are those of the schema (or `columns` of them), each named, with the partition columns (`encoder`;
    `head` and `run_date`; `run_date`; none) before them and, if asked for, `filename`. A dataset without files is an
    empty relation of the same columns, because DuckDB refuses a glob that matches nothing.
    """
    schema = load_schema(dataset)
    partitions = _PARTITIONS[dataset]
    wanted = [column for column in schema.columns if columns is None or column.name in columns]
    typed = [*partitions.items(), *((column.name, column.duckdb_type) for column in wanted)]
    if filename:
        typed.append(("filename", "VARCHAR"))
    files = list(workspace.dataset_files(dataset))
    if not files:
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quote_identifier(name)}" for name, kind in typed)
        return f"(SELECT {nulls} WHERE false)"
    glob = quote_literal(f"{escape_glob(str(workspace.root))}/{dataset}/{DATASET_PATTERNS[dataset]}")
    counting = ""
    if dataset != "decisions" and not workspace.in_store:  # a decision counts once anyway; no merging in a store
        # A left join and this comparison, rather than an anti join, let DuckDB expect every row to pass: else a view
        # would take this, the larger side of a join with the catalogue, to build its hash table from.
        left_out = _statement("committed", "not_counting", {"files": glob})
        counting = f" AS committed LEFT JOIN ({left_out}) AS left_out USING (filename)"
        counting += " WHERE committed.filename = coalesce(left_out.counts_as, committed.filename)"
        for low, high in hidden(files):
            counting += f" AND committed.filename NOT BETWEEN {quote_literal(low)} AND {quote_literal(high)}"
    if any(part.partition("=")[0].lower() in partitions for part in workspace.root.parts):
        # DuckDB takes the first head=... of a path, here one above the workspace; ours is the last one.
        names = ", ".join(_last_in_path(name, partitions) for name, _ in typed)
        return f"(SELECT {names} FROM read_parquet({glob}, hive_partitioning = false, filename = true){counting})"
    hive = ", ".join(f"{quote_literal(name)}: {kind}" for name, kind in partitions.items())
    names = ", ".join(quote_identifier(name) for name, _ in typed)
    options = f"hive_partitioning = true, hive_types = {{{hive}}}" if hive else "hive_partitioning = false"
    options += ", filename = true" if filename or counting else ""
    return f"(SELECT {names} FROM read_parquet({glob}, {options}){counting})"


def files_relation(files: Sequence[Path], columns: Sequence[str]) -> str:
    """Return SQL for a relation over these committed files and no others: `columns` of their schema, and `filename`."""
    names = ", ".join(quote_identifier(name) for name in (*columns, "filename"))
    if not files:
        return (
            f"(SELECT {', '.join(f'NULL AS {quote_identifier(name)}' for name in (*columns, 'filename'))} WHERE false)"
        )
    listed = ", ".join(quote_literal(escape_glob(str(path))) for path in files)
    return f"(SELECT {names} FROM read_parquet([{listed}], hive_partitioning = false, filename = true))"


def _last_in_path(name: str, partitions: Mapping[str, str]) -> str:
    if name not in partitions:
        return quote_identifier(name)
    pattern = quote_literal(f".*/{name}=([^/]*)/")
    return f"CAST(regexp_extract(filename, {pattern}, 1) AS {partitions[name]}) AS {quote_identifier(name)}"


_PARTITIONS: dict[str, dict[str, str]] = {
    "embeddings": {"encoder": "VARCHAR"},
    "predictions": {"head": "VARCHAR", "run_date": "DATE"},
    "failures": {"run_date": "DATE"},
    "decisions": {},
}


def run_records_relation(workspace: Workspace) -> str:
    """Return SQL for a relation over the run records: one row a run, the columns of schemas/run.v1.json."""
    typed = [(column.name, column.duckdb_type) for column in load_schema("run").columns]
    if not any(workspace.runs.glob("[0-9]*Z-*.json")):
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quote_identifier(name)}" for name, kind in typed)
        return f"(SELECT {nulls} WHERE false)"
    glob = quote_literal(f"{escape_glob(str(workspace.runs))}/[0-9]*Z-*.json")
    columns = ", ".join(f"{quote_literal(name)}: {quote_literal(kind)}" for name, kind in typed)
    names = ", ".join(quote_identifier(name) for name, _ in typed)
    options = f"format = 'unstructured', hive_partitioning = false, columns = {{{columns}}}"
    return f"(SELECT {names} FROM read_json({glob}, {options}))"


def only_select(statements: Iterable[Statement]) -> bool:
    """Return whether there is exactly one statement and DuckDB itself calls it a SELECT."""
    kinds = [statement.type for statement in statements]
    return kinds == [duckdb.StatementType.SELECT]
