"""What kind of machine this is, as far as a choice depends on it."""

import os
import platform
from functools import cache
from pathlib import Path

__all__ = ["cgroup_cores", "cgroup_memory", "physical_memory", "processor_flags", "processor_name", "usable_cores"]

_CPUINFO, _MEMINFO, _CGROUP = (Path("/proc", name) for name in ("cpuinfo", "meminfo", "self/cgroup"))
_CGROUPS = Path("/sys/fs/cgroup")


@cache
def processor_name() -> str:
    """Return the processor's name as its maker gives it, where the system tells, else its kind."""
    facts = (line.split(":", 1) for line in _lines(_CPUINFO) if ":" in line)
    names = [value.strip() for key, value in facts if key.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def processor_flags() -> frozenset[str]:
    """Return the processor's features by the kernel's names, such as avx2; empty where the system does not tell."""
    for line in _lines(_CPUINFO):
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def physical_memory() -> tuple[int | None, int | None]:
    """Return the machine's memory and what of it is available, in bytes; None where the system does not tell."""
    found = {}
    for line in _lines(_MEMINFO):
        key, _, value = line.partition(":")
        if value.split()[1:] == ["kB"]:
            found[key] = int(value.split()[0]) * 1024
    return found.get("MemTotal"), found.get("MemAvailable")


def cgroup_memory() -> int | None:
    """Return the least memory that a control group of this process allows, in bytes; None without a limit.

    memory.max of version 2, memory.limit_in_bytes of version 1.
    """
    limits = [
        int(text)
        for folder in _control_groups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        for text in _lines(folder / name)
        if text.isdecimal() and int(text) < 2**60  # version 1 writes "none" as a number near 2**63
    ]
    return min(limits, default=None)


def cgroup_cores() -> float | None:
    """Return how many cores' time the control groups of this process allow; None without a limit.

    cpu.max of version 2, cpu.cfs_quota_us over cpu.cfs_period_us of version 1.
    """
    shares = []
    for folder in _control_groups("cpu"):
        words = " ".join(_lines(folder / "cpu.max")).split()
        words = words or [*_lines(folder / "cpu.cfs_quota_us"), *_lines(folder / "cpu.cfs_period_us")]
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
            shares.append(int(words[0]) / int(words[1]))
    return min(shares, default=None)


def _control_groups(controller: str) -> list[Path]:
    """Return the folders of this process's control groups, and all above them, of version 2 and of `controller`.

    Inside a container a group's path may not be visible; what is mounted at the root then belongs to it all the same.
    """
    folders = []
    for line in _lines(_CGROUP):
        number, controllers, path = line.split(":", 2)
        if number == "0" or controller in controllers.split(","):
            root = _CGROUPS if number == "0" else _CGROUPS / controllers
            own = root / path.lstrip("/")
            folders += [folder for folder in (own, *own.parents) if folder.is_relative_to(root)]
    return folders


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # another system, or not to be seen in a container
        return []
