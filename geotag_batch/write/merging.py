"""Merging the small files of a folder of predictions, embeddings or failures into large ones, beside readers.

The merged file is published first, under a name that says which files it repeats and from when on it counts instead of
them (committed.py); these are removed by a later call, when whoever listed them before has read them. A call that was
killed at any point is finished by the next one. The workspace's lock is held, so nobody else commits or removes.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.atomic import publish, remove_together
from geotag_batch.committed import FileName, parse_name, repeated
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import read_file_metadata, read_row_groups, write_row_groups
from geotag_batch.write.quarantine import quarantine_records, read_quarantine
from geotag_batch.write.runs import utc_now
from geotag_batch.write.sums import add_sums, file_sha256, matches_sum, remove_idle_sums

__all__ = ["GRACE", "MARGIN", "TARGET_ROWS", "Group", "Waiting", "merge", "remove_repeated", "small_files", "tidy_sums"]

TARGET_ROWS = 500_000
"""Rows of a merged file: 1 GB of embeddings, 0.1 GB of predictions; files of half as many are large already."""

MARGIN = 60.0
"""Seconds from the publishing of a merged file until it counts: far longer than listing a folder twice takes."""

GRACE = 600.0
"""Seconds that the files stay once the views leave them out: far longer than a query takes to open what it listed."""

_GROUP_ROWS = {"embeddings": 16_384, "predictions": 65_536, "failures": 65_536}
"""Rows of a row group, which is what a merge holds in memory, and what reading one photo's vectors reads: 30 MB."""

_VERIFY = "run `geotag verify --repair`, then start again"


@dataclass(frozen=True, slots=True)
class Group:
    """Small files of one folder, in the order of their names with nothing between them, that are to become one."""

    dataset: str
    paths: tuple[Path, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Files that a merged one repeats: so many `removed` now, so many `left` that somebody may be reading."""

    removed: int
    left: int


def small_files(workspace: Workspace, dataset: str, target_rows: int = TARGET_ROWS) -> Iterator[Group]:
    """Yield what is to be merged: files of less than half of `target_rows`, as many as make up `target_rows`.

    Files of one group say the same of themselves, but for the run. A file that waits to be removed, or for others to
    be, is left alone, and no group reaches across the name of one that was set aside, which may come back.
    """
    paths = list(workspace.dataset_files(dataset))
    waiting = repeated(paths)
    busy = {*waiting, *waiting.values()}
    aside = _set_aside(workspace, dataset)
    named = [(path, parse_name(path.name)) for path in paths]
    sound = sorted((path.parent, name.last, path) for path, name in named if name is not None)
    for folder, found in groupby(sound, key=lambda each: each[0]):
        taken: list[Path] = []
        rows, kind = 0, None
        for _, last, path in found:
            count, facts = _rows(path), _kind(path)
            small = path not in busy and 2 * count < target_rows
            fits = taken and kind == facts and rows + count <= target_rows
            if taken and not (small and fits and not _between(aside, folder, taken[-1], last)):
                yield from [Group(dataset, tuple(taken), rows)] if len(taken) > 1 else []
                taken, rows = [], 0
            if small:
                taken.append(path)
                rows, kind = rows + count, facts
        if len(taken) > 1:
            yield Group(dataset, tuple(taken), rows)


def merge(workspace: Workspace, group: Group, margin: float = MARGIN) -> Path:
    """Publish one file of all rows of the group's files, sorted by gridimage_id, and return it.

    It counts `margin` seconds later. Memory is that of a row group or two. Raises StorageError if a file is not what
    was committed, two of them have the same row, or the disk refuses; nothing is lost then.
    """
    for path in group.paths:
        if matches_sum(workspace, path) is False:
            raise StorageError(f"{path}: its bytes are not those that were committed", hint=_VERIFY)
    staging = workspace.staging / "merging"
    schema = pq.read_schema(group.paths[0])
    schema = schema.with_metadata({**_kind(group.paths[0]), b"geotag.merged": json.dumps(_merged(group)).encode()})

    def write(path: Path) -> None:
        rows = write_row_groups(_sorted(group), schema, path)
        if rows != group.rows:
            raise StorageError(f"{rows} rows came out of {group.rows} in {len(group.paths)} files", hint=_VERIFY)

    # Complete and synced before it gets its name, for that takes its time, and there is a time in the name.
    prepared = staging / f"{group.dataset}.rows"
    publish(write, prepared, staging, replace=True)
    digest = file_sha256(prepared)
    first, last = (parse_name(path.name) for path in (group.paths[0], group.paths[-1]))
    assert first is not None and last is not None
    since = utc_now() + timedelta(seconds=margin + 1)  # the name has whole seconds
    final = group.paths[0].parent / first.merged_name(last, len(group.paths), since)
    add_sums(workspace, final.stem, [(final, digest)])
    publish(lambda staged: os.replace(prepared, staged), final, staging)
    return final


def remove_repeated(workspace: Workspace, views: datetime, grace: float = GRACE) -> Waiting:
    """Remove the files that a merged one repeats, if it has counted for `grace` seconds or more, and in the views too.

    The views, made at `views` (UTC, without zone) and not stale, say that they are not to be opened. Before, the
    merged file is compared with its SHA-256 once more. Raises StorageError if it is damaged, or has not the rows of a
    file that its name covers.
    """
    removed = left = 0
    for dataset in _GROUP_ROWS:
        waiting = repeated(workspace.dataset_files(dataset))
        for merged in sorted(set(waiting.values())):
            small = sorted(path for path, by in waiting.items() if by == merged)
            if not _is_over(parse_name(merged.name), views, grace):
                left += len(small)
                continue
            known = json.loads(read_file_metadata(merged).get("merged", "{}"))
            strange = [path for path in small if path.name not in known]
            if strange or matches_sum(workspace, merged) is False:
                what = f"does not have the rows of {strange[0].name}" if strange else "is damaged"
                raise StorageError(f"{merged}: {what}; nothing is removed", hint="run `geotag verify --repair`")
            remove_together(small)
            removed += len(small)
    return Waiting(removed, left)


def tidy_sums(workspace: Workspace) -> None:
    """Remove the sums of files that were merged and are gone, and of merged files that were never published."""
    names = {path.name for path in workspace.sums.glob("[0-9]*Z-*_*.sha256")}
    for dataset in _GROUP_ROWS:
        for path in workspace.dataset_files(dataset):
            if "_" in path.name:
                names.update(json.loads(read_file_metadata(path).get("merged", "{}")))
    remove_idle_sums(workspace, names)


def _is_over(name: FileName | None, views: datetime, grace: float) -> bool:
    if name is None or name.since is None:
        return False
    return max(views, name.since) + timedelta(seconds=grace) <= utc_now()


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint=_VERIFY) from error


def _kind(path: Path) -> dict[bytes, bytes]:
    """Return what a file says of itself, apart from the run and what it was merged from."""
    own = ("run_id", "merged")
    return {
        f"geotag.{key}".encode(): value.encode() for key, value in read_file_metadata(path).items() if key not in own
    }


def _merged(group: Group) -> Mapping[str, int]:
    """Return the rows of each file that is merged, and of those from which these were merged before."""
    found: dict[str, int] = {}
    for path in group.paths:
        found.update(json.loads(read_file_metadata(path).get("merged", "{}")))
        found[path.name] = _rows(path)
    return found


def _set_aside(workspace: Workspace, dataset: str) -> dict[Path, list[FileName]]:
    """Return the names of this dataset's files in quarantine, by the folder that they were in."""
    found: dict[Path, list[FileName]] = {}
    for record in quarantine_records(workspace):
        for file in read_quarantine(record).files:
            path = workspace.root / file.file
            name = parse_name(path.name)
            if name is not None and file.file.startswith(f"{dataset}/"):
                found.setdefault(path.parent, []).append(name)
    return found


def _between(aside: Mapping[Path, Sequence[FileName]], folder: Path, before: Path, last: str) -> bool:
    name = parse_name(before.name)
    assert name is not None
    return any(each.first <= last and each.last >= name.last for each in aside.get(folder, ()))


def _sorted(group: Group) -> Iterator[pa.Table]:
    """Yield the group's rows by gridimage_id and run_id, a row group at a time.

    Files mostly follow each other in ids, so that each is read once; where they do not, once for each row group.
    """
    parts = list(_parts(group.paths))
    ids = np.sort(np.concatenate([part.ids for part in parts]))
    bounds: list[int] = [*np.unique(ids[:: _GROUP_ROWS[group.dataset]]).tolist(), int(ids[-1]) + 1]
    del ids
    _read_part.cache_clear()
    for low, high in pairwise(bounds):
        chosen = []
        for part in parts:
            if part.ids[0] < high and part.ids[-1] >= low:
                table = _read_part(part.path, part.number)
                column = table["gridimage_id"]
                chosen.append(table.filter(pc.and_(pc.greater_equal(column, low), pc.less(column, high))))
        table = pa.concat_tables(chosen).sort_by([("gridimage_id", "ascending"), ("run_id", "ascending")])
        _require_distinct(table, group)
        yield table
    _read_part.cache_clear()


@dataclass(frozen=True, slots=True)
class _Part:
    """One row group of a file: its number, and its sorted ids (n,)."""

    path: Path
    number: int
    ids: NDArray[np.int64]


def _parts(paths: Sequence[Path]) -> Iterator[_Part]:
    for path in paths:
        for number, table in enumerate(read_row_groups(path, ["gridimage_id"])):
            if table.num_rows:
                yield _Part(path, number, np.sort(table["gridimage_id"].to_numpy()))


@lru_cache(maxsize=2)
def _read_part(path: Path, number: int) -> pa.Table:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True).read_row_group(number).replace_schema_metadata()
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint=_VERIFY) from error


def _require_distinct(table: pa.Table, group: Group) -> None:
    distinct = table.select(["gridimage_id", "run_id"]).group_by(["gridimage_id", "run_id"]).aggregate([])
    if distinct.num_rows != table.num_rows:
        raise StorageError(f"{group.paths[0].parent}: a photo is there twice in one run", hint=_VERIFY)
