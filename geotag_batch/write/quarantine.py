"""What `verify --repair` set aside: quarantine/<time>/, with the tree of the workspace below it, and a record.

The record says what went, why, and how many rows it had where that is known; it is committed before the first file
moves, so a repair that was killed half-way is only unfinished. It also says how many rows of a run are in no file any
more, so that `verify` can tell these from rows that are lost later.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from geotag_batch.atomic import move_away, write_bytes
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import stamp_after, utc_now

__all__ = [
    "MissingRows",
    "Quarantine",
    "QuarantinedFile",
    "quarantine",
    "quarantine_records",
    "read_quarantine",
]

_RECORD = "quarantine.json"


@dataclass(frozen=True, slots=True)
class QuarantinedFile:
    """One file or folder that was set aside: its path below the workspace, its rows (None: not known), and why.

    Of a merged file, `runs` are the rows by run_id that are in no other file, and `merged` the rows of each file in it.
    """

    file: str
    rows: int | None
    why: tuple[str, ...]
    runs: dict[str, int] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MissingRows:
    """Rows that a run's record counts and that no file holds; negative where files hold more than it counts."""

    run_id: str
    dataset: str
    rows: int


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What one step of a repair set aside, as its record says."""

    at: str
    files: tuple[QuarantinedFile, ...] = ()
    missing: tuple[MissingRows, ...] = ()
    marked: tuple[str, ...] = field(default=())


def quarantine(
    workspace: Workspace,
    files: Iterable[QuarantinedFile] = (),
    missing: Iterable[MissingRows] = (),
    marked: Iterable[str] = (),
) -> Path:
    """Record, then move `files` away; return the new folder. The caller holds the lock. Raises StorageError.

    `marked` are the runs whose records were marked or made anew.
    """
    at = f"{utc_now():%Y-%m-%d %H:%M:%S}"
    record = Quarantine(at, tuple(files), tuple(missing), tuple(marked))
    last = max((path.parent.name for path in quarantine_records(workspace)), default="")
    folder = workspace.quarantine / stamp_after(last)
    text = json.dumps(asdict(record), indent=1) + "\n"  # ASCII: a file's name need not be valid UTF-8
    write_bytes(text.encode(), folder / _RECORD, workspace.staging)
    for file in record.files:
        move_away(workspace.root / file.file, folder / file.file)
    return folder


def quarantine_records(workspace: Workspace) -> list[Path]:
    """Return the records of all repairs, the oldest first."""
    return sorted(workspace.quarantine.glob(f"[0-9]*Z-*/{_RECORD}"))


def read_quarantine(path: Path) -> Quarantine:
    """Return one record. Raises StorageError if it cannot be read."""
    try:
        document = json.loads(path.read_bytes())
        return Quarantine(
            at=str(document["at"]),
            files=tuple(_file(entry) for entry in document["files"]),
            missing=tuple(_missing(entry) for entry in document["missing"]),
            marked=tuple(map(str, document["marked"])),
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path}: is not a readable record of a repair: {error}") from error


def _file(entry: Mapping[str, object]) -> QuarantinedFile:
    rows, why = entry["rows"], entry["why"]
    if not isinstance(rows, int | None) or not isinstance(why, list):
        raise TypeError(f"{entry['file']}: rows should be a number or null, why a list")
    runs, merged = entry.get("runs", {}), entry.get("merged", {})
    if not isinstance(runs, dict) or not isinstance(merged, dict):
        raise TypeError(f"{entry['file']}: runs and merged should be objects")
    return QuarantinedFile(str(entry["file"]), rows, tuple(map(str, why)), runs, merged)


def _missing(entry: Mapping[str, object]) -> MissingRows:
    rows = entry["rows"]
    if not isinstance(rows, int):
        raise TypeError(f"rows missing of run {entry['run_id']} should be a number")
    return MissingRows(str(entry["run_id"]), str(entry["dataset"]), rows)
