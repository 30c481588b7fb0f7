"""What was pruned: pruned/<time>.json says, before anything is removed, how many rows each file is to keep.

So `verify` can tell rows that were removed on purpose from rows that are lost, and a prune that was killed half-way is
only unfinished: a file that still has its rows has not been pruned.
"""

import json
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from geotag_batch.atomic import write_bytes
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import utc_now

__all__ = ["PrunedFile", "pruned_records", "read_pruned", "record_pruned"]


@dataclass(frozen=True, slots=True)
class PrunedFile:
    """One committed file that lost rows: its path below the workspace, and its rows before and after.

    Of a merged file, `runs` are the rows that it lost by run_id, and `merged` the rows of each file in it.
    """

    file: str
    rows_before: int
    rows_after: int
    runs: dict[str, int] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)


def record_pruned(workspace: Workspace, files: Iterable[PrunedFile]) -> Path:
    """Commit the intention to prune `files`; to be called before the first is touched."""
    name = f"{utc_now():%Y%m%dT%H%M%S}Z-{secrets.token_hex(2)}.json"
    text = json.dumps({"files": [asdict(file) for file in files]}, indent=1) + "\n"
    final = workspace.pruned / name
    write_bytes(text.encode(), final, workspace.staging)
    return final


def pruned_records(workspace: Workspace) -> list[Path]:
    """Return the records of all prunes, the oldest first."""
    return sorted(workspace.pruned.glob("[0-9]*Z-*.json"))


def read_pruned(path: Path) -> list[PrunedFile]:
    """Return what one prune was to remove. Raises StorageError naming a record that cannot be read."""
    try:
        files = [PrunedFile(**entry) for entry in json.loads(path.read_bytes())["files"]]
        if not all(isinstance(file.rows_before, int) and isinstance(file.rows_after, int) for file in files):
            raise TypeError("rows should be numbers")
        return files
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path}: is not a readable record of a prune: {error}") from error
