"""The schemas of the datasets, from schemas/*.json: to pyarrow, to DuckDB types, and checks against them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow as pa

from geotag_batch.errors import StorageError
from geotag_batch.resources import read_resource

__all__ = [
    "CURRENT_VERSION",
    "Column",
    "DatasetSchema",
    "ErrorClass",
    "check_table",
    "error_classes",
    "load_schema",
]

CURRENT_VERSION: Mapping[str, int] = {
    "photos": 1,
    "embeddings": 1,
    "predictions": 1,
    "failures": 1,
    "decisions": 1,
    "run": 1,
}

_SIMPLE = {
    "int64": (pa.int64(), "BIGINT"),
    "string": (pa.string(), "VARCHAR"),
    "bool": (pa.bool_(), "BOOLEAN"),
    "float32": (pa.float32(), "FLOAT"),
    "float64": (pa.float64(), "DOUBLE"),
    "timestamp[us]": (pa.timestamp("us"), "TIMESTAMP"),
    "list<string>": (pa.list_(pa.string()), "VARCHAR[]"),
    "map<string, int64>": (pa.map_(pa.string(), pa.int64()), "MAP(VARCHAR, BIGINT)"),
    "map<string, float64>": (pa.map_(pa.string(), pa.float64()), "MAP(VARCHAR, DOUBLE)"),
    "map<string, string>": (pa.map_(pa.string(), pa.string()), "MAP(VARCHAR, VARCHAR)"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a dataset: its name, the type as the schema file spells it, and what it means."""

    name: str
    type: str
    nullable: bool
    doc: str

    def arrow_type(self, dim: int) -> pa.DataType:
        """Return the pyarrow type; `dim` is the length of an embedding."""
        if self.type in _SIMPLE:
            return _SIMPLE[self.type][0]
        element, length = self.type.removeprefix("list<").removesuffix(">").split("; ")
        value = {"float16": pa.float16(), "float32": pa.float32()}[element]
        return pa.list_(value, dim if length == "dim" else int(length))

    @property
    def duckdb_type(self) -> str:
        """Return the type as DuckDB reads it (lists of floats come as FLOAT[])."""
        return _SIMPLE[self.type][1] if self.type in _SIMPLE else "FLOAT[]"


@dataclass(frozen=True, slots=True)
class DatasetSchema:
    """One schema file: columns in order, and what one row is."""

    name: str
    version: int
    grain: str
    columns: tuple[Column, ...]

    def arrow(self, dim: int = 512) -> pa.Schema:
        """Return the pyarrow schema; `dim` is the length of an embedding."""
        return pa.schema([pa.field(column.name, column.arrow_type(dim), column.nullable) for column in self.columns])

    @property
    def column_names(self) -> tuple[str, ...]:
        """Return the columns' names in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """One class of failure: the stage it belongs to, and whether waiting can cure it."""

    name: str
    stage: str
    permanent: bool
    doc: str


@cache
def _document(name: str, version: int) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(read_resource("schemas", f"{name}.v{version}.json"))
    return document


@cache
def load_schema(name: str, version: int | None = None) -> DatasetSchema:
    """Return the schema of a dataset, the current version unless another is asked for."""
    document = _document(name, version or CURRENT_VERSION[name])
    columns = tuple(Column(**column) for column in document["columns"])
    return DatasetSchema(document["name"], document["version"], document["grain"], columns)


@cache
def error_classes() -> Mapping[str, ErrorClass]:
    """Return the classes of failure by name: the enum of failures.error_class."""
    found = _document("failures", CURRENT_VERSION["failures"])["error_classes"]
    return {name: ErrorClass(name, row["stage"], row["permanent"], row["doc"]) for name, row in found.items()}


def check_table(table: pa.Table, expected: pa.Schema, where: str) -> None:
    """Raise StorageError naming `where` unless `table` has exactly the expected columns, types and no extra null.

    Metadata is not compared.
    """
    if table.schema.names != expected.names:
        raise StorageError(f"{where}: has columns {table.schema.names}, should have {expected.names}")
    for field in expected:
        column = table.column(field.name)
        if column.type != field.type:
            raise StorageError(f"{where}: column {field.name} is {column.type}, should be {field.type}")
        if not field.nullable and column.null_count:
            raise StorageError(f"{where}: column {field.name} has {column.null_count} nulls and may have none")
