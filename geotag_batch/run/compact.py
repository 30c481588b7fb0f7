"""Merging the small files of the datasets into large ones, so that millions of photos lie in hundreds of files.

Reads and writes one folder at a time and holds the workspace's lock; readers are not disturbed (write/merging.py).
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geotag_batch.committed import parse_name
from geotag_batch.config import Config
from geotag_batch.run.check_file import DATASETS
from geotag_batch.run.leftovers import remove_leftovers
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write.merging import (
    GRACE,
    MARGIN,
    TARGET_ROWS,
    Group,
    Waiting,
    merge,
    remove_repeated,
    small_files,
    tidy_sums,
)
from geotag_batch.write.runs import utc_now
from geotag_batch.write.views import rebuild_views, views_are_stale

__all__ = ["CompactRequest", "Compacted", "compact", "compacted_text", "groups_text", "plan_compact", "remove_merged"]


@dataclass(frozen=True, slots=True)
class CompactRequest:
    """How large files become, how many seconds a merged one waits before it counts, and the others until they go."""

    target_rows: int = TARGET_ROWS
    margin: float = MARGIN
    grace: float = GRACE


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a call did: `merged` small files, of so many `rows`, into `files` large ones.

    Of the files that merged ones repeat it `removed` some, and others are `left`.
    """

    merged: int = 0
    rows: int = 0
    files: int = 0
    removed: int = 0
    left: int = 0


def plan_compact(workspace: Workspace, request: CompactRequest = CompactRequest()) -> list[Group]:
    """Return what would be merged. Raises StorageError if a file cannot be read."""
    return [group for dataset in DATASETS for group in small_files(workspace, dataset, request.target_rows)]


def compact(
    workspace: Workspace,
    config: Config,
    request: CompactRequest = CompactRequest(),
    progress: Callable[[Group], object] = lambda group: None,
) -> Compacted:
    """Remove what was merged long enough ago, then merge what `plan_compact` says; `progress` hears of each group.

    Raises LockedError, StorageError if a file is damaged or the disk refuses, CatalogueError if the views cannot be
    made; what is merged by then is good.
    """
    with hold_lock(workspace):
        remove_leftovers(workspace)
        waiting = remove_merged(workspace, config, request.grace)
        tidy_sums(workspace)
        groups = plan_compact(workspace, request)
        made = []
        for group in groups:
            progress(group)
            made.append(merge(workspace, group, request.margin))
        if made:
            _wait_until_all_count(made)
            rebuild_views(workspace, config)
    merged = sum(len(group.paths) for group in groups)
    rows = sum(group.rows for group in groups)
    return Compacted(merged, rows, len(groups), waiting.removed, waiting.left + merged)


def remove_merged(workspace: Workspace, config: Config, grace: float = GRACE) -> Waiting:
    """Remove the files that were merged so long ago that nobody can be reading them. The caller holds the lock.

    Raises StorageError if a merged file is damaged; nothing is removed then.
    """
    if views_are_stale(workspace, config):  # they may open files that were merged
        rebuild_views(workspace, config)
    made_at = datetime.fromtimestamp(workspace.database.stat().st_mtime, UTC).replace(tzinfo=None)
    return remove_repeated(workspace, made_at, grace)


def _wait_until_all_count(merged: Sequence[Path]) -> None:
    """Wait for the time in the files' names, so that the views can leave out what is in them."""
    names = [parse_name(path.name) for path in merged]
    while any(name is not None and name.since is not None and name.since > utc_now() for name in names):
        time.sleep(0.05)


def groups_text(groups: Sequence[Group]) -> str:
    """Return what would be merged, a line for each folder."""
    folders: defaultdict[Path, list[Group]] = defaultdict(list)
    for group in groups:
        folders[group.paths[0].parent].append(group)
    return "\n".join(
        f"{folder.parent.name}/{folder.name}: {sum(len(group.paths) for group in found):,} files of "
        f"{sum(group.rows for group in found):,} rows into {len(found):,}"
        for folder, found in sorted(folders.items())
    ) or "nothing to merge"  # fmt: skip


def compacted_text(done: Compacted) -> str:
    """Return what a call did."""
    lines = []
    if done.merged:
        lines.append(f"{done.merged:,} files of {done.rows:,} rows merged into {done.files:,}")
    if done.removed:
        lines.append(f"{done.removed:,} merged files removed")
    if done.left:
        lines.append(
            f"{done.left:,} merged files stay for those who read them now; "
            "`geotag compact`, or the next run, removes them from ten minutes later on"
        )
    return "\n".join(lines) or "nothing to merge"
