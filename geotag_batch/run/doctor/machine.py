"""The doctor's look at the machine: Python, processor, memory, the folder for temporary files."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from geotag_batch.config import Config
from geotag_batch.errors import ConfigError, StorageError
from geotag_batch.machine import (
    cgroup_cores,
    cgroup_memory,
    physical_memory,
    processor_flags,
    processor_name,
    usable_cores,
)
from geotag_batch.run.doctor.check import Check, ok, problem, warning

__all__ = ["examine_memory", "examine_processor", "examine_python", "examine_temporary"]

_GB = 1e9
_LEAST_MEMORY = 3 * _GB
"""A run with ViT-B/32 was measured to take 1.8 GiB (docs/performance.md), planning over 8 million photos 0.9."""

_FORMATS = {
    "avx512_bf16": "bfloat16",
    "amx_bf16": "bfloat16",
    "avx512_vnni": "int8",
    "avx_vnni": "int8",
    "amx_int8": "int8",
}
"""Instructions with which a processor multiplies a number format faster than float32."""


def examine_python() -> Iterator[Check]:
    """Look at the interpreter."""
    seen = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        yield problem("python", seen, "use a 64-bit Python 3.11 or newer", ConfigError.exit_code)
    else:
        yield ok("python", seen)


def examine_processor() -> Iterator[Check]:
    """Look at cores and instructions."""
    cores, flags = usable_cores(), processor_flags()
    formats: dict[str, list[str]] = {}
    for flag, name in _FORMATS.items():
        if flag in flags:
            formats.setdefault(name, []).append(flag)
    fast = ", ".join(f"{name} ({', '.join(found)})" for name, found in formats.items()) or "none faster than float32"
    seen = f"{processor_name()}, {cores} cores for this process; number formats: {fast}"
    quota = cgroup_cores()
    if quota is not None and quota < cores:
        yield warning(
            "processor",
            f"{seen}; its control group allows {quota:g} cores' time",
            "set run.workers in geotag.toml, which counts the cores, or raise CPUQuota= (cpu.max)",
        )
    elif flags and platform.machine() in ("x86_64", "AMD64") and "avx2" not in flags:
        yield warning("processor", f"{seen}; no AVX2", "expect a fraction of the speed, or take another machine")
    else:
        yield ok("processor", seen)


def examine_memory(config: Config) -> Iterator[Check]:
    """Look at how much memory a run may take."""
    total, available = physical_memory()
    limit = cgroup_memory()
    if total is None:
        yield ok("memory", "this system does not say how much there is")
        return
    may = total if limit is None else min(limit, total)
    seen = f"{total / _GB:.1f} GB"
    seen += f", {available / _GB:.1f} GB of it available" if available is not None else ""
    seen += f", {limit / _GB:.1f} GB allowed by the control group" if limit is not None and limit < total else ""
    least = _LEAST_MEMORY
    if may < least:
        to_do = (
            f"give it {least / _GB:.0f} GB (MemoryMax= of the unit), or lower run.memory_limit "
            f"({config.run.memory_limit}), run.workers and run.chunk_size"
        )
        yield warning("memory", seen, to_do)
    elif available is not None and available < least:
        yield warning("memory", seen, "look at what else takes the memory now")
    else:
        yield ok("memory", seen)


def examine_temporary() -> Iterator[Check]:
    """Look at the folder where the sockets of decoding processes lie."""
    name = "temporary files"
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "trial").write_bytes(b"trial")
        free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError as error:
        to_do = "let this user write there, or set TMPDIR"
        yield problem(name, f"{os.environ.get('TMPDIR', '/tmp')}: {error}", to_do, StorageError.exit_code)
        return
    yield ok(name, f"{tempfile.gettempdir()} can be written, {free / _GB:.1f} GB free")
