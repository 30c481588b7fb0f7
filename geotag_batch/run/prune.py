"""Removing what is named: predictions of heads, embeddings of encoders, rows of photos withdrawn from the catalogue.

Safe to kill at any moment: what is to go is recorded first (write/pruned.py), each file is removed or replaced in one
step, and a prune that did not finish is finished by doing it again.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geotag_batch.atomic import remove_committed
from geotag_batch.catalogue import catalogue_files, catalogue_relation, steady_catalogue
from geotag_batch.committed import counting, parse_name, repeated
from geotag_batch.config import Config
from geotag_batch.duck import connect, dataset_relation, execute_file, storage_trouble
from geotag_batch.errors import CatalogueError, StorageError, UsageError
from geotag_batch.run.check_file import DATASETS
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import read_file_metadata, read_row_groups, rewrite_without
from geotag_batch.write.pruned import PrunedFile, record_pruned
from geotag_batch.write.runs import utc_now
from geotag_batch.write.views import rebuild_views

__all__ = ["PruneRequest", "Removal", "plan_prune", "prune"]


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """What is named: head_ids, encoder_ids, and whether withdrawn photos go; `even_current` allows the head in use."""

    heads: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    withdrawn: bool = False
    even_current: bool = False


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes from one file: `rows` of its `rows_before`, because of `why`; `ids` None stands for all of them."""

    path: Path
    why: str
    rows_before: int
    rows: int
    bytes: int
    ids: tuple[int, ...] | None


def plan_prune(workspace: Workspace, config: Config, request: PruneRequest) -> list[Removal]:
    """Return what would go, without touching anything.

    Raises UsageError if nothing is named, a name has nothing, or the head in use is named; CatalogueError if photos
    are to go and the catalogue is missing or empty.
    """
    if not (request.heads or request.encoders or request.withdrawn):
        raise UsageError("nothing is named", hint="add --head ID, --encoder ID or --withdrawn")
    if config.head.current in request.heads and not request.even_current:
        raise UsageError(
            f"{config.head.current} is the head in use", hint="use another head first, or add --even-current"
        )
    whole = [
        *_whole_files(workspace, "predictions", "head", request.heads),
        *_whole_files(workspace, "embeddings", "encoder", request.encoders),
    ]
    going = {removal.path for removal in whole}
    some = _withdrawn(workspace, config) if request.withdrawn else ()
    return [*whole, *(removal for removal in some if removal.path not in going)]


def prune(workspace: Workspace, config: Config, request: PruneRequest) -> list[Removal]:
    """Remove what `plan_prune` says, and return it. Raises LockedError, and as `plan_prune`, and StorageError."""
    with hold_lock(workspace):
        _wait_for_merged(workspace)
        removals = plan_prune(workspace, config, request)
        if removals:
            record_pruned(workspace, [_record(workspace, removal) for removal in removals])
        small = repeated(path for dataset in DATASETS for path in workspace.dataset_files(dataset))
        for removal in removals:
            if removal.rows == removal.rows_before:
                for path in (path for path, merged in small.items() if merged == removal.path):
                    remove_committed(path)  # first, or it would count again
                remove_committed(removal.path)
            else:
                rewrite_without(workspace, removal.path, removal.ids or ())
        rebuild_views(workspace, config)
    return removals


def _whole_files(workspace: Workspace, dataset: str, key: str, names: Iterable[str]) -> Iterator[Removal]:
    for name in names:
        folder = workspace.root / dataset / f"{key}={name}"
        files = [path for path in counting(workspace.dataset_files(dataset)) if folder in path.parents]
        if not files:
            stored = sorted(path.name.partition("=")[2] for path in (workspace.root / dataset).glob(f"{key}=*"))
            raise UsageError(
                f"there are no {dataset} of {key} {name!r}", hint=f"there are some of: {', '.join(stored) or 'none'}"
            )
        for path in files:
            rows = _rows(path)
            yield Removal(path, f"{dataset} of {key} {name}", rows, rows, path.stat().st_size, None)


def _withdrawn(workspace: Workspace, config: Config) -> Iterator[Removal]:
    limit = config.run.memory_limit
    with (
        storage_trouble(workspace.root),
        connect(memory_limit=limit, spill=workspace.cache) as connection,
        steady_catalogue(workspace, config),
    ):
        files = catalogue_files(connection, workspace, config)
        relation = catalogue_relation(files, config, only=("gridimage_id",))
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        if connection.execute("SELECT count(*) FROM catalogue").fetchall() == [(0,)]:
            raise CatalogueError("the catalogue has no photos", hint="an empty catalogue withdraws nothing: restore it")
        for dataset in DATASETS:
            committed = dataset_relation(workspace, dataset, ("gridimage_id",), filename=True)
            connection.execute(f"CREATE OR REPLACE TEMP VIEW committed AS FROM {committed}")
            for name, ids in execute_file(connection, "prune", "withdrawn").fetchall():
                path, rows = Path(name), _rows(Path(name))
                share = path.stat().st_size * len(ids) // rows
                yield Removal(path, f"{dataset} of withdrawn photos", rows, len(ids), share, tuple(ids))


def _wait_for_merged(workspace: Workspace) -> None:
    """Wait until what was merged a moment ago counts for queries too, so that they name the files that rows go from."""
    names = [parse_name(path.name) for dataset in DATASETS for path in workspace.dataset_files(dataset)]
    last = max((name.since for name in names if name is not None and name.since is not None), default=None)
    while last is not None and last > utc_now():
        time.sleep(0.1)


def _record(workspace: Workspace, removal: Removal) -> PrunedFile:
    file, after = str(removal.path.relative_to(workspace.root)), removal.rows_before - removal.rows
    merged = json.loads(read_file_metadata(removal.path).get("merged", "{}"))
    runs: Counter[str] = Counter()
    for table in read_row_groups(removal.path, ["gridimage_id", "run_id"]) if merged else ():
        ids = table["gridimage_id"] if removal.ids is None else pa.array(removal.ids, pa.int64())
        going = table.filter(pc.is_in(table["gridimage_id"], value_set=ids))
        runs.update({row["values"]: row["counts"] for row in going["run_id"].value_counts().to_pylist()})
    return PrunedFile(file, removal.rows_before, after, dict(runs), merged)


def _rows(path: Path) -> int:
    try:
        return int(pq.ParquetFile(path).metadata.num_rows)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error
