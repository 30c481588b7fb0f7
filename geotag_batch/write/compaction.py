"""Merging the many small files of decisions into one, beside readers who may have listed them already.

The merged file is published first and names what it repeats; a decision that is in two files counts once. The files it
repeats are removed by a later call, when whoever listed them before has read them. A call that was killed at any point
is finished by the next one.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.atomic import remove_committed
from geotag_batch.errors import StorageError
from geotag_batch.schema import check_table, load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import read_file_metadata
from geotag_batch.write.decisions import committed_names, hold_decisions, publish_decisions

__all__ = ["GRACE", "Compacted", "compact_decisions"]

GRACE = 600.0
"""Seconds that merged files stay: far longer than any query takes to open what it listed."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a call did: files `merged` into one of so many `decisions`, repeated ones `removed`, and those `left`."""

    merged: int
    decisions: int
    removed: int
    left: int


def compact_decisions(workspace: Workspace, *, grace: float = GRACE) -> Compacted:
    """Merge all files of decisions into one, and remove those that were merged `grace` seconds ago or earlier.

    Raises LockedError, and StorageError if a file cannot be read or the disk refuses; nothing is lost then.
    """
    with hold_decisions(workspace):
        names = sorted(committed_names(workspace))
        repeated = _repeated(workspace, names)
        single = [name for name in names if name not in repeated]
        merged = rows = 0
        if len(single) > 1:
            merged, rows = len(single), _merge(workspace, single, repeated)
            names = sorted(committed_names(workspace))
            repeated = _repeated(workspace, names)
        old = [name for name, since in repeated.items() if since <= time.time() - grace]
        for name in old:
            remove_committed(workspace.decisions / name)
    return Compacted(merged, rows, len(old), len(repeated) - len(old))


def _repeated(workspace: Workspace, names: Sequence[str]) -> dict[str, float]:
    """Return which of `names` a merged file repeats, and since when (seconds since the epoch, by its file's time)."""
    present, found = set(names), dict[str, float]()
    for name in names:
        if name.endswith("-0000001.parquet"):
            continue  # one decision: it merges nothing
        path = workspace.decisions / name
        for other in json.loads(read_file_metadata(path).get("merged", "[]")):
            if other in present:
                found[other] = min(path.stat().st_mtime, found.get(other, float("inf")))
    return found


def _merge(workspace: Workspace, single: Sequence[str], repeated: dict[str, float]) -> int:
    """Publish one file of all decisions in the files `single`; return how many those are."""
    table = pa.concat_tables(_read(workspace.decisions / name) for name in single).sort_by("decision_id")
    ids = table["decision_id"].to_pylist()
    first = [row for row, decision_id in enumerate(ids) if not row or ids[row - 1] != decision_id]
    table = table.take(pa.array(first, pa.int64()))
    file_id = ids[-1].rpartition("-")[0]
    final = workspace.decisions_file(file_id, table.num_rows)
    if final.name in single:  # it has them all already: somebody put old files back
        for name in single:
            if name != final.name:
                remove_committed(workspace.decisions / name)
    else:
        publish_decisions(workspace, table, file_id, [*single, *repeated])
    return len(first)


def _read(path: Path) -> pa.Table:
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error
    check_table(table, load_schema("decisions").arrow(), str(path))
    return table.replace_schema_metadata(None)
