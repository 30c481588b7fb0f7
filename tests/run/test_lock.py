"""The lock: one holder, gone with its process."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from geotag_batch.errors import LockedError
from geotag_batch.run.lock import hold_lock, is_locked
from geotag_batch.workspace import Workspace

HOLDER = """
import sys, time
from pathlib import Path
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
with hold_lock(Workspace(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_asking_whether_it_is_locked_does_not_keep_a_run_from_starting(workspace: Workspace) -> None:
    with hold_lock(workspace):
        pass
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.is_set():
            is_locked(workspace)
            time.sleep(0.005)  # a hundred times as often as anybody asks, but not all the time

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(20):
            with hold_lock(workspace):
                pass
    finally:
        stopped.set()
        asking.join()


def test_a_second_holder_is_refused_until_the_first_is_gone_even_by_kill(workspace: Workspace) -> None:
    assert not is_locked(workspace)
    with subprocess.Popen([sys.executable, "-c", HOLDER, workspace.root], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(workspace)
        with pytest.raises(LockedError, match="another geotag command is writing"), hold_lock(workspace):
            pass
        os.kill(holder.pid, signal.SIGKILL)
    with hold_lock(workspace):
        pass
    assert not is_locked(workspace)
