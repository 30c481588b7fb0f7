"""Starts the installed job with a fault in it: `python -m tests.faults.child FAULT ARGUMENTS -- geotag backfill ...`.

It runs in the job's own process, before any module of the job is imported, and leaves the job's code alone.
"""

import atexit
import datetime
import errno
import os
import pathlib
import runpy
import signal
import sys
import time
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


def interrupt_at_the_end(root: str) -> None:
    """Send SIGINT when a run that has done everything publishes its views for the last time."""

    def react(event: str) -> None:
        if event != "os.rename" or sent:  # to look at the records is a step too
            return
        if any('"done"' in path.read_text() for path in pathlib.Path(root, "runs").glob("*.json")):
            sent.append(event)
            os.kill(os.getpid(), signal.SIGINT)

    sent: list[str] = []
    announced(root, react)


def fail_fsync(step: str, log: str) -> None:
    """Let the given fsync fail with EIO; write to `log` what is synced, and what is renamed afterwards."""
    left = [int(step)]
    real = os.fsync

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{'synced' if left[0] else 'FAILED'} {os.fstat(descriptor).st_ino} {path}\n")
        if not left[0]:
            os.dup(descriptor)  # the inode's number must not be another file's later
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


def clock(start: str, jump: str, at_once: str, root: str) -> None:
    """Let the clock be at `start` (UTC) now, and jump by so many seconds at once or when a chunk is committed."""
    offset = [datetime.datetime.fromisoformat(f"{start}+00:00").timestamp() - time.time()]
    real_time = time.time

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
            return cls.fromtimestamp(real_time() + offset[0], tz)

    def react(event: str) -> None:
        if event == "os.rename" and at_once != "True" and any(pathlib.Path(root, "predictions").rglob("*.parquet")):
            jump_now()

    jumps = [int(jump)]

    def jump_now() -> None:
        offset[0] += jumps.pop() if jumps else 0

    datetime.datetime = Shifted  # type: ignore[misc]
    time.time = lambda: real_time() + offset[0]
    announced(root, react)
    if at_once == "True":
        jump_now()


def record(log: str, root: str) -> None:
    """Write to `log` what is done to the folders and files below `root`, native code's doings too, and what is synced.

    Before each announced step and each fsync, and at the end, the tree is compared with what it was.
    """
    from tests.faults.recorder import Recorder  # noqa: PLC0415

    recorder = Recorder(pathlib.Path(log), pathlib.Path(root))
    real = os.fsync

    def fsync(descriptor: int) -> None:
        with recorder.turn:
            recorder.look()
            real(descriptor)
            recorder.synced(os.fstat(descriptor).st_ino)

    os.fsync = fsync  # type: ignore[assignment]
    for name in ("rename", "replace", "unlink", "remove", "mkdir", "rmdir"):
        # Another thread must not look while a name changes: a folder that is read meanwhile may lack it.
        setattr(os, name, recorder.in_turn(getattr(os, name)))
    announced(root, lambda _: recorder.look())
    atexit.register(recorder.look)


def mutant(name: str, fault: str, *arguments: str) -> None:
    """Put a deliberately wrong writer into the job, and another fault beside it."""
    from tests.faults.mutants import install  # noqa: PLC0415  imports the job

    install(name)
    FAULTS[fault](*arguments)


FAULTS: dict[str, Callable[..., None]] = {
    "kill-at": kill_at,
    "fail-fsync": fail_fsync,
    "clock": clock,
    "record": record,
    "mutant": mutant,
    "none": lambda: None,
    "interrupt-at-the-end": interrupt_at_the_end,
}


def main() -> None:
    """Install the fault, then be the job."""
    end = sys.argv.index("--")
    fault, *arguments = sys.argv[1:end]
    sys.argv = sys.argv[end + 1 :]
    FAULTS[fault](*arguments)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
