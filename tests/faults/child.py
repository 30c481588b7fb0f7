"""Starts the installed job with a fault in it: `python -m tests.faults.child FAULT ARGUMENTS -- geotag backfill ...`.

It runs in the job's own process, before any module of the job is imported, and leaves the job's code alone.
"""

import os
import runpy
import signal
import sys
from collections.abc import Callable

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}


def announced(root: str, react: Callable[[str], None]) -> None:
    """Call `react` before each file-system step below `root` that Python announces: opening, renaming, removing..."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if (event == "open" or event in _CHANGES) and any(
            isinstance(argument, (str, bytes, os.PathLike)) and os.fsdecode(argument).startswith(root)
            for argument in arguments[:2]
        ):
            react(event)

    sys.addaudithook(hook)


def kill_at(step: str, root: str) -> None:
    """Die by SIGKILL at the given step, the first being 1."""
    left = [int(step)]

    def count(_: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    announced(root, count)


FAULTS: dict[str, Callable[..., None]] = {"kill-at": kill_at}


def main() -> None:
    """Install the fault, then be the job."""
    end = sys.argv.index("--")
    fault, *arguments = sys.argv[1:end]
    sys.argv = sys.argv[end + 1 :]
    FAULTS[fault](*arguments)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
