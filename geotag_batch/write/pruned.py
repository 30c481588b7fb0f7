"""What was pruned: pruned/<time>.json says, before anything is removed, how many rows each file is to keep.

So `verify` can tell rows that were removed on purpose from rows that are lost, and a prune that was killed half-way is
only unfinished: a file that still has its rows has not been pruned.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from geotag_batch.atomic import write_bytes
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import utc_now

__all__ = ["PrunedFile", "read_pruned", "record_pruned"]


@dataclass(frozen=True, slots=True)
class PrunedFile:
    """One committed file that lost rows: its path below the workspace, and its rows before and after."""

    file: str
    rows_before: int
    rows_after: int


def record_pruned(workspace: Workspace, files: Iterable[PrunedFile]) -> Path:
    """Commit the intention to prune `files`; to be called before the first is touched."""
    name = f"{utc_now():%Y%m%dT%H%M%S}Z-{secrets.token_hex(2)}.json"
    text = json.dumps({"files": [asdict(file) for file in files]}, indent=1) + "\n"
    final = workspace.pruned / name
    write_bytes(text.encode(), final, workspace.staging)
    return final


def read_pruned(workspace: Workspace) -> Mapping[str, set[int]]:
    """Return, for each file that was ever to be pruned, the numbers of rows that it may have.

    The greatest is what its run committed, the least what all prunes leave of it.
    Raises StorageError naming a record that cannot be read.
    """
    rows: dict[str, set[int]] = {}
    for path in sorted(workspace.pruned.glob("[0-9]*Z-*.json")):
        try:
            for entry in json.loads(path.read_bytes())["files"]:
                file = PrunedFile(**entry)
                rows.setdefault(file.file, set()).update((file.rows_before, file.rows_after))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StorageError(f"{path}: is not a readable record of a prune: {error}") from error
    return rows
