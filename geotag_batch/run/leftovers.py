"""Removing what killed commands left behind: staged files, and what DuckDB spilled.

Not every command that stages holds the workspace's lock (a training saves its checkpoints, a report its pages), so what
goes is decided by whose it is, and else by its age.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from geotag_batch.errors import LockedError
from geotag_batch.locks import hold_file
from geotag_batch.workspace import Workspace
from geotag_batch.write.claims import end_all_claims

__all__ = ["remove_leftovers"]

_DAY = 86400.0  # seconds; a file is staged for as long as it takes to write it
_SPILLED = re.compile(r"duckdb_temp_(\d+)_.*")  # DuckDB names them after its process, and removes them at its end


def remove_leftovers(workspace: Workspace) -> None:
    """Remove what can have no owner any more. The caller holds the lock; what cannot be removed is left.

    Raises LockedError if a worker of a killed run is still committing.

    What is in staging/ goes at once, for its owner held the lock; decisions and views are staged under locks of their
    own: where one is held, its holder is at work. What is staged elsewhere goes when it is a day old; so does what
    DuckDB spilled, if its process is gone. DuckDB itself would remove that too, but only when it spills again.
    """
    end_all_claims(workspace)  # first: a worker elsewhere may outlive the run that was killed
    locks = {
        workspace.decisions_staging: workspace.decisions_lock_file,
        workspace.views_staging: workspace.views_lock_file,
    }
    for path in workspace.staging.glob("*"):
        if path in locks:
            with contextlib.suppress(LockedError), hold_file(locks[path], 0, LockedError(f"{path} is in use")):
                shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    oldest = time.time() - _DAY
    for path in [*_staged_elsewhere(workspace), *_spilled(workspace)]:
        with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
            if path.lstat().st_mtime < oldest:
                path.unlink()


def _staged_elsewhere(workspace: Workspace) -> Iterator[Path]:
    for pattern in ("cache/*/staging/*", "reports/*/.staging/*", "exports/.staging/*"):
        yield from (path for path in workspace.scratch.glob(pattern) if path.is_symlink() or not path.is_dir())


def _spilled(workspace: Workspace) -> Iterator[Path]:
    for path in workspace.cache.glob("duckdb_temp_*"):
        match = _SPILLED.fullmatch(path.name)
        if match and not _is_alive(int(match.group(1))):
            yield path


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; no pid at all
        return True
    return True
