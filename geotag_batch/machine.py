"""What kind of machine this is, as far as a choice depends on it."""

import os
import platform
from functools import cache
from pathlib import Path

__all__ = ["processor_name", "usable_cores"]

_CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_name() -> str:
    """Return the processor's name as its maker gives it, where the system tells, else its kind."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    facts = (line.split(":", 1) for line in lines if ":" in line)
    names = [value.strip() for key, value in facts if key.strip() == "model name"]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
