"""The catalogue as SQL: its files checked against schemas/photos.v1.json, missing columns as typed nulls.

DuckDB alone would read 7.5 as the id 8, take an id column from text, and drop a column that only later files have;
so each file's own schema is looked at first. Bytes in a text column that are not UTF-8, for which DuckDB would refuse
the whole catalogue, become question marks.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from geotag_batch.config import Config
from geotag_batch.duck import (
    Connection,
    DuckError,
    connect,
    escape_glob,
    quote_identifier,
    quote_literal,
    raise_store_error,
    reach_stores,
)
from geotag_batch.errors import CatalogueError
from geotag_batch.locations import is_store_url, location
from geotag_batch.parquet import read_parquet_schema
from geotag_batch.schema import Column, load_schema
from geotag_batch.workspace import Workspace

__all__ = [
    "catalogue_files",
    "catalogue_glob",
    "catalogue_relation",
    "empty_catalogue_relation",
    "steady_catalogue",
]


def catalogue_glob(workspace: Workspace, config: Config) -> str:
    """Return the absolute glob of the catalogue, the workspace's own part of it escaped for DuckDB."""
    path = config.photos.path
    if is_store_url(path):
        location(path)  # refused if there is a password in it
        return path
    return path if Path(path).is_absolute() else f"{escape_glob(str(workspace.root))}/{path}"


def catalogue_files(connection: Connection, workspace: Workspace, config: Config) -> list[str]:
    """Return the catalogue's files, sorted. Raises CatalogueError if there are none."""
    glob = catalogue_glob(workspace, config)
    reach_stores(connection)
    rows = connection.execute("SELECT file FROM glob($glob) ORDER BY file", {"glob": glob}).fetchall()
    files = [str(row[0]) for row in rows if not Path(row[0]).name.startswith((".", "tmp_"))]
    if not files:
        raise CatalogueError(
            f"no catalogue: nothing matches photos.path = {config.photos.path!r} in {workspace.root}",
            hint="put the photos' Parquet there, run `geotag ingest`, or set photos.path in geotag.toml",
        )
    return files


def catalogue_relation(
    files: list[str], config: Config, *, only: tuple[str, ...] | None = None, glob: str | None = None
) -> str:
    """Return SQL for the catalogue: the columns of schemas/photos.v1.json (or `only` those), cast to its types.

    It reads the `files`; with `glob`, which matches them, whatever that matches when it is read: views outlive files.

    `image` is the column that images.column names, `image` itself by default.
    Raises CatalogueError naming file and column where a file is not Parquet or a column is of a wrong type.
    """
    image = (config.images.column or "image").lower()
    present: set[str] = set()
    zoned: set[str] = set()
    for file in files:
        kinds = _check_file(file, image)
        present |= kinds.keys()
        zoned |= {name for name, kind in kinds.items() if pa.types.is_timestamp(kind) and kind.tz is not None}
    if config.images.column is not None and "image" not in present:
        raise CatalogueError(
            f"the catalogue has no column {config.images.column}, which images.column names",
            hint="name the column that holds each photo's path or URL, or use images.template",
        )
    columns = [column for column in load_schema("photos").columns if only is None or column.name in only]
    chosen = ", ".join(_select(column, _source(column, image, present, zoned)) for column in columns)
    source = "[" + ", ".join(quote_literal(escape_glob(file)) for file in files) + "]"
    if glob is not None:
        source = quote_literal(glob)
    options = "union_by_name = true, hive_partitioning = false, utf8_validation = 'replace', can_have_nan = true"
    return f"(SELECT {chosen} FROM read_parquet({source}, {options}))"


def empty_catalogue_relation() -> str:
    """Return SQL for a catalogue without photos, for a workspace that has none yet."""
    columns = (_select(column, "NULL") for column in load_schema("photos").columns)
    return f"(SELECT {', '.join(columns)} WHERE false)"


@contextmanager
def steady_catalogue(workspace: Workspace, config: Config) -> Iterator[None]:
    """Let a `with` block read the catalogue, more than once if need be, in one state of its files.

    Raises CatalogueError naming the file if one was changed or taken away meanwhile, or if DuckDB stops at one (a
    damaged page, or an id too large, shows only when it is read).
    """
    with connect() as connection:
        before = _states(catalogue_files(connection, workspace, config))
    try:
        yield
    except DuckError as error:
        raise_store_error(error)
        _compare(before)
        _blame(list(before), config, error)
        raise
    _compare(before)


def _states(files: list[str]) -> dict[str, tuple[int, int, int]]:
    states = {}
    for file in files:
        try:
            status = location(file).stat()
        except OSError as error:
            raise CatalogueError(f"{file}: cannot be read: {error.strerror}", hint=_START_AGAIN) from error
        states[file] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return states


def _compare(before: Mapping[str, tuple[int, int, int]]) -> None:
    for file, state in _states(list(before)).items():
        if state != before[file]:
            raise CatalogueError(f"{file}: was changed while it was read; nothing was done", hint=_START_AGAIN)


def _blame(files: list[str], config: Config, error: DuckError) -> None:
    """Raise CatalogueError for the first file at which DuckDB stops when it reads nothing else."""
    for file in files:
        try:
            with connect() as connection:
                connection.execute(f"SELECT bit_xor(hash(photo)) FROM {catalogue_relation([file], config)} AS photo")
        except DuckError as trouble:
            raise CatalogueError(f"{file}: cannot be read: {_first_line(trouble)}", hint=_RESTORE) from error


def _first_line(error: DuckError) -> str:
    return str(error).split("\n", 1)[0]


_RESTORE = "restore the file, or leave it out of photos.path in geotag.toml"
_START_AGAIN = "start again; an export had best write its files elsewhere and rename them into place"


def _source(column: Column, image: str, present: set[str], zoned: set[str]) -> str:
    """Return the SQL expression that a column comes from; times with a zone become UTC wherever they are read."""
    if column.name not in present:
        return "NULL"
    name = quote_identifier(image if column.name == "image" else column.name)
    return f"make_timestamp(epoch_us(CAST({name} AS TIMESTAMPTZ)))" if column.name in zoned else name


def _select(column: Column, source: str) -> str:
    return f"CAST({source} AS {column.duckdb_type}) AS {quote_identifier(column.name)}"


def _check_file(file: str, image: str) -> dict[str, pa.DataType]:
    """Return which of the schema's columns the file has, and as what; `image` is what it calls the image column."""
    try:
        if not location(file).is_file():  # opening a FIFO would wait for ever
            raise OSError("it is no plain file")
        schema = read_parquet_schema(location(file))
        names = [name.lower() for name in schema.names]
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CatalogueError(f"{file}: cannot be read as Parquet: {error}", hint=_RESTORE) from error
    present: dict[str, pa.DataType] = {}
    for column in load_schema("photos").columns:
        source = image if column.name == "image" else column.name
        if names.count(source) > 1:
            raise CatalogueError(f"{file}: has the column {source} more than once")
        if source in names:
            kind = schema.field(names.index(source)).type
            if not _FITS[column.type](_plain(kind)) and not pa.types.is_null(kind):
                raise CatalogueError(
                    f"{file}: column {source} is {kind}, should be {column.type}",
                    hint="write the column with that type (schemas/photos.v1.json)",
                )
            present[column.name] = kind
    if "gridimage_id" not in present:
        raise CatalogueError(
            f"{file}: has no column gridimage_id, only {', '.join(schema.names) or 'none'}",
            hint="rename the column that identifies a photo",
        )
    return present


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_text_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_text(_plain(kind.value_type))


_FITS: dict[str, Callable[[pa.DataType], bool]] = {
    "int64": pa.types.is_integer,
    "string": lambda kind: _is_text(kind) or pa.types.is_date(kind),
    "float64": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind),
    "list<string>": _is_text_list,
    "timestamp[us]": lambda kind: pa.types.is_timestamp(kind) or pa.types.is_date(kind),
}
