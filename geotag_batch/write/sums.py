"""The SHA-256 of each committed file: sums/<run_id>-<chunk>.sha256, in the form of sha256sum.

Parquet's page checksums cover the pages and nothing else: of bits flipped in a footer, reading it noticed half. So
`verify` compares whole files. A sum is written after its files are committed: a crash in between leaves files without
one, which is not wrong. By hand: `cd WORKSPACE && sha256sum --check --quiet --ignore-missing sums/*`.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from geotag_batch.atomic import remove_committed, write_bytes
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace

__all__ = ["add_sums", "file_sha256", "matches_sum", "read_sums", "remove_idle_sums", "sums_file"]

_LINE = re.compile(r"([0-9a-f]{64})  ([^\n]+)")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_sums(workspace: Workspace, chunk: str, sums: Iterable[tuple[Path, str]]) -> None:
    """Record what the bytes of committed files of `chunk` (<run_id>-<chunk>) may be, beside what is recorded for them.

    A file that is to be replaced thereby has two sums for a while, and a crash in between is harmless. Raises
    StorageError.
    """
    final = workspace.sums / f"{chunk}.sha256"
    known = read_sums(final) if final.exists() else []
    new = [(str(path.relative_to(workspace.root)), digest) for path, digest in sums]
    text = "".join(f"{digest}  {file}\n" for file, digest in dict.fromkeys([*known, *new]))
    write_bytes(text.encode(), final, workspace.staging / chunk.rpartition("-")[0], replace=True)


def sums_file(workspace: Workspace, path: Path) -> Path:
    """Return where the sum of a committed file is recorded."""
    return workspace.sums / f"{path.stem}.sha256"


def remove_idle_sums(workspace: Workspace, names: Iterable[str]) -> None:
    """Remove the sums of committed files of these names, if nothing that they speak of is there any more.

    Raises StorageError if one cannot be read or removed.
    """
    for name in sorted(set(names)):
        recorded = sums_file(workspace, Path(name))
        if recorded.exists() and not any((workspace.root / file).exists() for file, _ in read_sums(recorded)):
            remove_committed(recorded)


def read_sums(path: Path) -> list[tuple[str, str]]:
    """Return the (file below the workspace, SHA-256) pairs of one file of sums. Raises StorageError if it is broken."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint=_REPAIR) from error
    matches = [_LINE.fullmatch(line) for line in lines]
    if None in matches or not matches:
        raise StorageError(f"{path}: is not a list of SHA-256 sums", hint=_REPAIR)
    return [(match.group(2), match.group(1)) for match in matches if match is not None]


def matches_sum(workspace: Workspace, path: Path) -> bool | None:
    """Return whether a file's bytes are those that were committed; None where no sum of it is recorded.

    Raises OSError if the file cannot be read, StorageError if its sums cannot.
    """
    digest = file_sha256(path)  # before its sums are read: a prune that replaces it meanwhile records the sum first
    recorded = sums_file(workspace, path)
    if not recorded.exists():
        return None
    sums = [known for file, known in read_sums(recorded) if file == str(path.relative_to(workspace.root))]
    return digest in sums if sums else None


_REPAIR = "run `geotag verify --repair`"
