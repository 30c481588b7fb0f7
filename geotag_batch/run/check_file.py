"""One committed Parquet file: is it readable, and does it say what its name, its schema and its own columns promise?"""

import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.committed import FileName, parse_name
from geotag_batch.errors import StorageError
from geotag_batch.parquet import open_parquet
from geotag_batch.schema import CURRENT_VERSION, check_table, error_classes, load_schema
from geotag_batch.taxonomy import tag_index, tag_names
from geotag_batch.workspace import Workspace, run_date
from geotag_batch.write.sums import matches_sum

__all__ = ["DATASETS", "UNREADABLE", "Checked", "check_file", "require_regular"]

DATASETS = ("embeddings", "failures", "predictions")


@dataclass(frozen=True, slots=True)
class Checked:
    """What one file holds: its rows (None: not known), these by run_id, and what is wrong with it.

    `run_id` is the run that its name states, the last one for a merged file, and `merged` the rows of each file that it
    was merged from. `weights_sha256` is that of the encoder, for embeddings; `has_sum` tells whether its SHA-256 is
    recorded.
    """

    run_id: str
    rows: int | None
    problems: tuple[str, ...]
    weights_sha256: str | None = None
    has_sum: bool = False
    runs: Mapping[str, int] = field(default_factory=dict)
    merged: Mapping[str, int] = field(default_factory=dict)


def check_file(workspace: Workspace, dataset: str, path: Path) -> Checked:
    """Read a whole file, page checksums included, and check it; nothing is raised for a bad one.

    Its row groups are read one by one. One whose bytes are not those that were committed is not looked into: its footer
    may promise anything.
    """
    name = parse_name(path.name)
    run_id = name.run_id if name else path.name.rpartition("-")[0]
    found = _Found(dataset, run_id, name)
    if name is None:
        found.problems["its name is neither <run_id>-<chunk>.parquet nor that of a merged file"] = None
    has_sum = False
    try:
        has_sum = _check_bytes(workspace, path)
        with open_parquet(path) as file:
            found.look_at(path, file)
    except StorageError as error:
        return Checked(run_id, None, (*found.problems, error.message))
    except UNREADABLE as error:
        return Checked(run_id, None, (*found.problems, f"cannot be read: {error}"))
    weights = found.metadata.get(b"geotag.weights_sha256", b"").decode(errors="replace") or None
    if found.has_other_columns:
        return Checked(run_id, found.rows, tuple(found.problems), has_sum=has_sum, runs={run_id: found.rows})
    return Checked(run_id, found.rows, tuple(found.problems), weights, has_sum, dict(found.runs), found.merged)


UNREADABLE = (OSError, pa.ArrowException, ValueError)
"""What reading a broken file raises; ValueError for text that is not UTF-8, in its footer or a column."""


def _check_bytes(workspace: Workspace, path: Path) -> bool:
    """Return whether the file's SHA-256 is recorded. Raises StorageError if its bytes have another, OSError."""
    require_regular(path)
    try:
        matches = matches_sum(workspace, path)
    except StorageError:  # that file of sums is reported by itself
        return False
    if matches is False:
        raise StorageError("its bytes are not those that were committed: their SHA-256 differs")
    return matches is not None


def require_regular(path: Path) -> None:
    """Raise StorageError if a path is no plain file, OSError if it is not there: a FIFO would be waited for."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise StorageError("is not a file")


def _expected(dataset: str, found: pa.Schema) -> pa.Schema:
    """Return the schema for vectors of the length that the file has; that all agree is the encoder's matter."""
    index = found.get_field_index("image_embedding")
    kind = found.field(index).type if index >= 0 else None
    dim = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else 512
    return load_schema(dataset).arrow(dim)


@dataclass(slots=True)
class _Found:
    """What is seen of a file, row group by row group; `problems` are the keys, each once, in order."""

    dataset: str
    run_id: str
    name: FileName | None
    problems: dict[str, None] = field(default_factory=dict)
    rows: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    merged: dict[str, int] = field(default_factory=dict)
    metadata: dict[bytes, bytes] = field(default_factory=dict)
    has_other_columns: bool = False

    def look_at(self, path: Path, file: pq.ParquetFile) -> None:
        """Read everything. Raises what is in UNREADABLE."""
        self.rows = file.metadata.num_rows
        self.metadata = file.schema_arrow.metadata or {}
        keys = [self._look_at_rows(file.schema_arrow.empty_table())]
        if not self.has_other_columns:
            self.merged = _merged(self.metadata)
            self.problems |= dict.fromkeys(_metadata_problems(self, path))
        for group in range(file.num_row_groups):
            keys.append(self._look_at_rows(file.read_row_group(group)))
        if self.has_other_columns:
            return
        every = pa.concat_tables(keys)
        repeated = every.num_rows - every.group_by(every.column_names).aggregate([]).num_rows
        if repeated:
            self.problems[f"has {repeated} rows whose photo is there already"] = None

    def _look_at_rows(self, table: pa.Table) -> pa.Table:
        """Check a row group, and return the columns that no two rows may have alike."""
        if self.has_other_columns:
            return table
        try:
            check_table(table, _expected(self.dataset, table.schema), "it")
        except StorageError as error:
            self.problems[error.message] = None
            self.has_other_columns = True
            return table
        for counted in table["run_id"].value_counts().to_pylist():
            self.runs[counted["values"]] += counted["counts"]
        if table.num_rows:
            self.problems |= dict.fromkeys(self._row_problems(table))
        return table.select(["gridimage_id", "run_id"]).replace_schema_metadata()

    def _row_problems(self, table: pa.Table) -> Iterator[str]:
        strange = [run for run in pc.unique(table["run_id"]).to_pylist() if not self._is_within(run)]
        if strange:
            yield f"has rows of run {', '.join(map(str, strange[:3]))}"
        try:
            yield from _VALUES[self.dataset](table)
            policy = self.metadata.get(b"geotag.policy_id", b"").decode(errors="replace")
            if self.dataset == "predictions" and pc.unique(table["policy_id"]).to_pylist() not in ([policy], []):
                yield f"has rows of other policies than {policy}, which its metadata says"
        except ValueError as error:
            yield f"cannot be read: {error}"

    def _is_within(self, run: str) -> bool:
        if self.name is None or self.name.since is None:
            return run == self.run_id
        return any(each is not None and each.run_id == run for each in map(parse_name, self.merged))


def _merged(metadata: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return the rows of each file that a merged one was made from; raises ValueError if its metadata is none."""
    document = json.loads(metadata.get(b"geotag.merged", b"{}"))
    if not isinstance(document, dict) or not all(isinstance(rows, int) for rows in document.values()):
        raise ValueError("its metadata does not say what it was merged from")
    return document


def _metadata_problems(found: _Found, path: Path) -> Iterator[str]:
    folders = dict(part.split("=", 1) for part in path.parts if "=" in part)
    dataset, name = found.dataset, found.name
    expected = {"dataset": dataset, "schema_version": str(CURRENT_VERSION[dataset])}
    if name is None or name.since is None:
        expected["run_id"] = found.run_id
    elif name.last not in {Path(each).stem.partition("_")[0] for each in found.merged}:
        yield f"its metadata does not say that it was merged from {name.last} and others"
    if dataset == "embeddings":
        expected["encoder_id"] = folders.get("encoder", "")
    else:
        for run_id in dict.fromkeys((found.run_id, name.first[: len(found.run_id)] if name else found.run_id)):
            date = run_date(run_id)
            if folders.get("run_date") != date:
                yield f"lies under run_date={folders.get('run_date')}, its run began on {date}"
        if dataset == "predictions":
            expected["head_id"] = folders.get("head", "")
    for key, value in expected.items():
        said = found.metadata.get(f"geotag.{key}".encode(), b"").decode(errors="replace")
        if said != value:
            yield f"its metadata says {key} {said or 'nothing'}, it should say {value}"


def _embedding_problems(table: pa.Table) -> Iterator[str]:
    for name in ("image_embedding", "title_embedding"):
        values = pc.list_flatten(table[name]).to_numpy()
        if not np.isfinite(values).all():
            yield f"{name} has values that are not finite"
    for name, vector in (("image_signature", "image_embedding"), ("title_hash", "title_embedding")):
        if not pc.all(pc.equal(table[name].is_null(), table[vector].is_null())).as_py():
            yield f"{name} is not there exactly where {vector} is"


def _failure_problems(table: pa.Table) -> Iterator[str]:
    for name in pc.unique(table["error_class"]).to_pylist():
        if name not in error_classes():
            yield f"error_class {name} is none of those in schemas/failures.v1.json"
    if not pc.all(pc.equal(table["retry_after"].is_null(), table["permanent"])).as_py():
        yield "retry_after is not there exactly where the failure is not permanent"


def _prediction_problems(table: pa.Table) -> Iterator[str]:
    scores: NDArray[np.float32] = pc.list_flatten(table["scores"]).to_numpy().reshape(-1, len(tag_names()))
    if not (np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all()):
        yield "scores are not all from 0 to 1"
        return
    names = np.asarray(tag_names(), object)
    top = table["top_tag"].to_numpy()
    position = np.array([tag_index().get(name, -1) for name in top], np.int64)
    if (position < 0).any() or (scores[np.arange(len(scores)), position] < scores.max(axis=1, initial=0)).any():
        yield "top_tag is not always the tag with the greatest score"
    elif not np.array_equal(table["top_score"].to_numpy(), scores[np.arange(len(scores)), position]):
        yield "top_score is not always that tag's score"
    certainty = table["set_probability"].to_numpy()
    if not ((certainty >= 0) & (certainty <= 1)).all():
        yield "set_probability is not always from 0 to 1"
    forced = table.filter(table["forced"])
    if pc.list_flatten(forced["tags"]).to_pylist() != forced["top_tag"].to_pylist():
        yield "forced rows have other tags than top_tag"
    flat = pc.list_flatten(table["tags"]).to_pylist()
    if not set(flat) <= set(names):
        yield f"tags has {sorted(set(flat) - set(names))[0]!r}, which is none of the {len(names)}"
        return
    owner = pc.list_parent_indices(table["tags"]).to_numpy()
    order = np.array([tag_index()[name] for name in flat], np.int64)
    if (np.diff(order)[np.diff(owner) == 0] <= 0).any():
        yield "tags are not in ascending tag_id, each once"


_VALUES: dict[str, Callable[[pa.Table], Iterator[str]]] = {
    "embeddings": _embedding_problems,
    "failures": _failure_problems,
    "predictions": _prediction_problems,
}
