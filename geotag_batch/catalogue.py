"""The catalogue as SQL: its files checked against schemas/photos.v1.json, missing columns as typed nulls.

DuckDB alone would read 7.5 as the id 8, take an id column from text, and drop a column that only later files have;
so each file's own schema is looked at first.
"""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.config import Config
from geotag_batch.duck import Connection, escape_glob, quote_identifier, quote_literal
from geotag_batch.errors import CatalogueError
from geotag_batch.schema import Column, load_schema
from geotag_batch.workspace import Workspace

__all__ = ["catalogue_files", "catalogue_glob", "catalogue_relation", "empty_catalogue_relation"]


def catalogue_glob(workspace: Workspace, config: Config) -> str:
    """Return the absolute glob of the catalogue, the workspace's own part of it escaped for DuckDB."""
    path = config.photos.path
    return path if Path(path).is_absolute() else f"{escape_glob(str(workspace.root))}/{path}"


def catalogue_files(connection: Connection, workspace: Workspace, config: Config) -> list[str]:
    """Return the catalogue's files, sorted. Raises CatalogueError if there are none."""
    glob = catalogue_glob(workspace, config)
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
    for file in files:
        present |= _check_file(file, image)
    if config.images.column is not None and "image" not in present:
        raise CatalogueError(
            f"the catalogue has no column {config.images.column}, which images.column names",
            hint="name the column that holds each photo's path or URL, or use images.template",
        )
    columns = [column for column in load_schema("photos").columns if only is None or column.name in only]
    chosen = ", ".join(
        _select(column, column.name in present, image if column.name == "image" else column.name) for column in columns
    )
    source = "[" + ", ".join(quote_literal(escape_glob(file)) for file in files) + "]"
    if glob is not None:
        source = quote_literal(glob)
    return f"(SELECT {chosen} FROM read_parquet({source}, union_by_name = true, hive_partitioning = false))"


def empty_catalogue_relation() -> str:
    """Return SQL for a catalogue without photos, for a workspace that has none yet."""
    columns = (_select(column, False, column.name) for column in load_schema("photos").columns)
    return f"(SELECT {', '.join(columns)} WHERE false)"


def _select(column: Column, present: bool, source: str) -> str:
    value = quote_identifier(source) if present else "NULL"
    return f"CAST({value} AS {column.duckdb_type}) AS {quote_identifier(column.name)}"


def _check_file(file: str, image: str) -> set[str]:
    """Return which of the schema's columns the file has; `image` is what it calls the image column."""
    try:
        schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise CatalogueError(
            f"{file}: cannot be read as Parquet: {error}",
            hint="restore the file, or leave it out of photos.path in geotag.toml",
        ) from error
    names = [name.lower() for name in schema.names]
    present = set()
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
            present.add(column.name)
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
