"""Waiting, and looking for processes that should be gone."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["processes_of", "wait_for"]


def processes_of(root: Path) -> list[str]:
    """Return the ids of other processes that name `root` on their command line or have a file below it open."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            if str(root) in (folder / "cmdline").read_text() or any(
                str(root) in os.readlink(link) for link in (folder / "fd").iterdir()
            ):
                found.append(folder.name)
        except OSError:
            continue
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
