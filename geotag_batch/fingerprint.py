"""Fingerprints that decide reuse: encoder_id, head_id, policy_id; and the metadata of every committed file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch import __version__

__all__ = ["file_metadata", "named_id", "policy_id", "safe_name", "short_hash", "software_versions", "tensors_digest"]

_LIBRARIES = ("torch", "open_clip_torch", "pyarrow", "duckdb", "pillow", "numpy")


def tensors_digest(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 (hex) over sorted tensor name, shape and float32 bytes.

    The same for the same weights, whatever file and number format they came in (float16 widens exactly).
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}:{','.join(map(str, tensor.shape))}:".encode())
        digest.update(np.ascontiguousarray(tensor, dtype="<f4").data)
    return digest.hexdigest()


def short_hash(facts: Mapping[str, Any]) -> str:
    """Return 8 hex digits of the SHA-256 of `facts` as canonical JSON."""
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def safe_name(name: str) -> str:
    """Return `name` with everything replaced that does not belong into the name of a file or folder."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "-" for char in name)
    return safe.strip(".-") or "unnamed"


def named_id(name: str, facts: Mapping[str, Any]) -> str:
    """Return `name`, made safe for a folder, with the short hash of `facts` behind it."""
    return f"{safe_name(name)}-{short_hash(facts)}"


def policy_id(policy: Mapping[str, Any]) -> str:
    """Return the id of a decision policy from its canonical form."""
    return named_id("policy", policy)


def software_versions() -> dict[str, str]:
    """Return the versions of geotag-batch, Python and the libraries, without importing any of them."""
    return dict(_installed())


@cache
def _installed() -> Mapping[str, str]:
    found = {"geotag-batch": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def file_metadata(dataset: str, version: int, run_id: str | None, **ids: str | None) -> dict[bytes, bytes]:
    """Return the key-value metadata of a committed Parquet file; every key begins with ``geotag.``.

    `run_id` is None for what no run wrote; None is left out, here and in `ids`.
    """
    facts = {
        "dataset": dataset,
        "schema_version": str(version),
        "run_id": run_id,
        "software": json.dumps(software_versions(), sort_keys=True),
        **ids,
    }
    return {f"geotag.{key}".encode(): value.encode() for key, value in facts.items() if value is not None}
