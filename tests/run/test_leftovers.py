"""What killed commands left behind goes; what living ones have staged stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

from geotag_batch.errors import LockedError
from geotag_batch.locks import hold_file
from geotag_batch.run.leftovers import remove_leftovers
from geotag_batch.workspace import Workspace
from tests.builders import RUN_1


def leave(path: Path, *, days: float = 0.0) -> Path:
    """Leave a file of some age."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    then = time.time() - 86400 * days
    os.utime(path, (then, then))
    return path


def test_what_the_lock_guards_goes_at_once_and_all_else_after_a_day(workspace: Workspace) -> None:
    root = workspace.root
    of_a_run, of_an_import = (leave(root / "staging" / name) for name in (f"{RUN_1}/x.parquet.staged", "head.staged"))
    decided, in_use = (leave(place / "x.staged") for place in (workspace.decisions_staging, workspace.views_staging))
    places = (root / "cache" / "training" / "staging", root / "reports" / "evaluate" / ".staging")
    young = [leave(place / "young.staged", days=0.9) for place in places]
    old = [leave(place / "old.staged", days=1.1) for place in places]
    kept = [
        leave(root / "cache" / "training" / "linear.safetensors", days=90),
        leave(root / "reports" / "evaluate" / "page.html", days=90),
        leave(root / "predictions" / "staging" / "x", days=90),
    ]
    with hold_file(workspace.views_lock_file, 0, LockedError("the views are being made")):
        remove_leftovers(workspace)
    assert not decided.exists()
    assert in_use.exists()
    assert not of_a_run.parent.exists()
    assert not of_an_import.exists()
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*young, *kept])


def test_spilled_data_goes_when_its_process_is_gone(workspace: Workspace) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    gone = leave(workspace.cache / f"duckdb_temp_{ended.pid}_0_storage_DEFAULT-0.tmp", days=2)
    just_gone = leave(workspace.cache / f"duckdb_temp_{ended.pid}_0_owner")
    alive = leave(workspace.cache / f"duckdb_temp_{os.getpid()}_0_storage_DEFAULT-0.tmp", days=2)
    other = leave(workspace.cache / "duckdb_temp_notes.txt", days=2)
    remove_leftovers(workspace)
    assert [path.exists() for path in (gone, just_gone, alive, other)] == [False, True, True, True]
