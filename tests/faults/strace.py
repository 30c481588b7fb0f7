"""strace, where it is installed: faults in system calls, and traces of them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["MISSING", "Call", "calls", "injecting", "is_usable", "tracing"]

MISSING = "strace is not installed, or may not trace here"

_LINE = re.compile(r"\d+ +(\w+)\((.*)\) += (-?\d+)")
_NAMED = re.compile(r'<(/[^>]*)>|"(/[^"]*)"')


@cache
def is_usable() -> bool:
    """Return whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-f", "--seccomp-bpf", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def injecting(job: list[str], calls_: str, fault: str, trace: Path) -> list[str]:
    """Return the command of `job` in which the system calls `calls_` fail as `fault` says ("error=EIO:when=3")."""
    return [*_strace(calls_, trace, fault), "-e", f"inject={calls_}:{fault}", *job]


def tracing(job: list[str], calls_: str, trace: Path) -> list[str]:
    """Return the command of `job` whose system calls `calls_` are written to `trace`."""
    return [*_strace(calls_, trace), *job]


def _strace(calls_: str, trace: Path, fault: str = "") -> list[str]:
    quiet = ["-qq", "-s", "0", "-o", str(trace)]
    fast = [] if fault.startswith("signal=") else ["--seccomp-bpf"]  # with it strace 6.1 sends none but the first
    return ["strace", "-f", "-y", *fast, *quiet, "-e", f"trace={calls_}", "-e", "signal=none"]


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a trace: its name, the paths that it names, its result, and whether the fault was in it."""

    name: str
    paths: tuple[str, ...]
    result: int
    injected: bool


def calls(trace: Path, below: Path) -> Iterator[Call]:
    """Yield the calls of a trace that name a path below `below`, in order."""
    for line in trace.read_text(errors="replace").splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        paths = tuple(one or other for one, other in _NAMED.findall(found.group(2)))
        if any(path.startswith(str(below)) for path in paths):
            yield Call(found.group(1), paths, int(found.group(3)), "(INJECTED)" in line)
