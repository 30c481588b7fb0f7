"""Files of decisions that people hand in: CSV or Parquet to rows, each with its number, nothing believed yet."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.errors import InputError

__all__ = ["NEEDED", "DecisionRow", "read_decision_file"]

NEEDED = ("gridimage_id", "tag", "decision")
"""Columns without which a file holds no decisions."""


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One row: its `number` (the line of a CSV, from 1; the row of a Parquet file), its text, its values by column.

    `problem` says why it cannot be read, if so; `values` are then empty.
    """

    number: int
    text: str
    values: Mapping[str, Any]
    problem: str | None = None


def read_decision_file(path: Path) -> tuple[list[str], list[DecisionRow]]:
    """Return the columns and the rows of a file, Parquet if its name ends so, else CSV (UTF-8, with a header).

    Raises InputError if it cannot be read, a column of NEEDED is not there, or one is there twice.
    """
    try:
        names, rows = _from_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _from_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}", hint="a CSV must be UTF-8 with a header line") from error
    missing = [name for name in NEEDED if name not in names]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if missing or repeated:
        what = f"has no column {', '.join(missing)}" if missing else f"has the column {', '.join(repeated)} twice"
        raise InputError(f"{path}: {what}; it has {', '.join(names) or 'none'}", hint="see schemas/decisions.v1.json")
    return names, rows


def _from_csv(path: Path) -> tuple[list[str], list[DecisionRow]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        names = [name.strip() for name in next(reader, [])]
        return names, list(_csv_rows(reader, names))


def _csv_rows(reader: Any, names: list[str]) -> Iterator[DecisionRow]:  # noqa: ANN401  csv's reader has no public type
    last = reader.line_num
    for fields in reader:
        first, last = last + 1, reader.line_num
        if not fields:
            continue
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(fields)
        if len(fields) != len(names):
            problem = f"has {len(fields)} values, the header names {len(names)} columns"
            yield DecisionRow(first, text.getvalue(), {}, problem)
        else:
            yield DecisionRow(first, text.getvalue(), dict(zip(names, fields, strict=True)))


def _from_parquet(path: Path) -> tuple[list[str], list[DecisionRow]]:
    table = pq.ParquetFile(path).read()
    rows = [
        DecisionRow(number, json.dumps(values, default=str, ensure_ascii=False), values)
        for number, values in enumerate(table.to_pylist(), 1)
    ]
    return table.schema.names, rows
