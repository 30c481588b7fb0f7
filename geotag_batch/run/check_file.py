"""One committed Parquet file: is it readable, and does it say what its name, its schema and its own columns promise?"""

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.errors import StorageError
from geotag_batch.parquet import open_parquet
from geotag_batch.schema import CURRENT_VERSION, check_table, error_classes, load_schema
from geotag_batch.taxonomy import tag_index, tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.sums import matches_sum

__all__ = ["DATASETS", "UNREADABLE", "Checked", "check_file", "require_regular"]

DATASETS = ("embeddings", "failures", "predictions")

_NAME = re.compile(r"(\d{8}T\d{6}Z-[0-9a-f]{4})-\d+\.parquet")


@dataclass(frozen=True, slots=True)
class Checked:
    """What one file holds: the run that its name states, its rows (None: not known), and what is wrong with it.

    `weights_sha256` is that of the encoder, for embeddings; `has_sum` tells whether its SHA-256 is recorded.
    """

    run_id: str
    rows: int | None
    problems: tuple[str, ...]
    weights_sha256: str | None = None
    has_sum: bool = False


def check_file(workspace: Workspace, dataset: str, path: Path) -> Checked:
    """Read a whole file, page checksums included, and check it; nothing is raised for a bad one.

    One whose bytes are not those that were committed is not looked into: its footer may promise anything.
    """
    match = _NAME.fullmatch(path.name)
    run_id = match.group(1) if match else path.name.rpartition("-")[0]
    problems = [] if match else ["its name is not <run_id>-<chunk>.parquet"]
    try:
        has_sum = _check_bytes(workspace, path)
        file = open_parquet(path)
        table = file.read()
    except StorageError as error:
        return Checked(run_id, None, (*problems, error.message))
    except UNREADABLE as error:
        return Checked(run_id, None, (*problems, f"cannot be read: {error}"))
    try:
        check_table(table, _expected(dataset, table.schema), "it")
    except StorageError as error:
        return Checked(run_id, table.num_rows, (*problems, error.message), has_sum=has_sum)
    metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    try:
        problems += _metadata_problems(dataset, path, run_id, metadata)
        problems += _common_problems(table, run_id)
        problems += _VALUES[dataset](table) if table.num_rows else ()  # as a fence has none (write/fence.py)
        if dataset == "predictions" and pc.unique(table["policy_id"]).to_pylist() not in ([_policy(metadata)], []):
            problems.append(f"has rows of other policies than {_policy(metadata)}, which its metadata says")
    except ValueError as error:
        problems.append(f"cannot be read: {error}")
    weights = metadata.get(b"geotag.weights_sha256", b"").decode(errors="replace") or None
    return Checked(run_id, table.num_rows, tuple(problems), weights, has_sum)


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


def _policy(metadata: dict[bytes, bytes]) -> str:
    return metadata.get(b"geotag.policy_id", b"").decode(errors="replace")


def _expected(dataset: str, found: pa.Schema) -> pa.Schema:
    """Return the schema for vectors of the length that the file has; that all agree is the encoder's matter."""
    index = found.get_field_index("image_embedding")
    kind = found.field(index).type if index >= 0 else None
    dim = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else 512
    return load_schema(dataset).arrow(dim)


def _metadata_problems(dataset: str, path: Path, run_id: str, raw: dict[bytes, bytes]) -> Iterator[str]:
    folders = dict(part.split("=", 1) for part in path.parts if "=" in part)
    date = f"{run_id[0:4]}-{run_id[4:6]}-{run_id[6:8]}"
    expected = {"dataset": dataset, "schema_version": str(CURRENT_VERSION[dataset]), "run_id": run_id}
    if dataset == "embeddings":
        expected["encoder_id"] = folders.get("encoder", "")
    else:
        if folders.get("run_date") != date:
            yield f"lies under run_date={folders.get('run_date')}, its run began on {date}"
        if dataset == "predictions":
            expected["head_id"] = folders.get("head", "")
    for key, value in expected.items():
        found = raw.get(f"geotag.{key}".encode(), b"").decode(errors="replace")
        if found != value:
            yield f"its metadata says {key} {found or 'nothing'}, it should say {value}"


def _common_problems(table: pa.Table, run_id: str) -> Iterator[str]:
    runs = pc.unique(table["run_id"]).to_pylist()
    if runs not in ([run_id], []):
        yield f"has rows of run {', '.join(map(str, runs[:3]))}"
    repeated = table.num_rows - pc.count_distinct(table["gridimage_id"]).as_py()
    if repeated:
        yield f"has {repeated} rows whose photo is there already"


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
