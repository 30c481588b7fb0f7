"""Occupying the names that a holder of the lease who did not give it back may still be about to commit.

It may have been paused between renewing its lease and sending a file, and no store can tie the one to the other. But a
committed name is never overwritten: so its successor puts a file without rows under each name that the lost holder had
announced, before it plans. Whatever landed before is seen by the plan, whatever comes later is refused.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from geotag_batch.errors import StorageError
from geotag_batch.locations import StorePath
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, write_table

__all__ = ["announce", "fence"]


def announce(workspace: Workspace, name: ChunkName, dim: int) -> None:
    """Say in the lease which chunk is committed next; nothing in a folder, whose lock dies with its process.

    Raises LockedError if the lease is lost, StoreError.
    """
    if not isinstance(workspace.root, StorePath):
        return
    from geotag_batch.lease import guard_of  # noqa: PLC0415  nothing that a folder needs

    lease = guard_of(workspace.root / "geotag.toml")
    if lease is not None:
        lease.confirm({**asdict(name), "dim": dim})


def fence(workspace: Workspace, committing: Mapping[str, Any] | None) -> None:
    """Occupy the names of the chunk that a lost holder announced last, where it has not committed them.

    The caller holds the lease. Raises StorageError if the announcement makes no sense, StoreError.
    """
    if committing is None:
        return
    try:
        values = dict(committing)
        dim = int(values.pop("dim"))
        name = ChunkName(**values)
    except (TypeError, ValueError, KeyError) as error:
        raise StorageError(
            f"{workspace.lock_file}: says nothing sensible of what was being committed",
            hint="remove it if no command is writing there, then start again",
        ) from error
    finals = {"failures": workspace.failures_file(name.run_id, name.number)}
    if name.encoder_id is not None:
        finals["embeddings"] = workspace.embeddings_file(name.encoder_id, name.run_id, name.number)
    if name.head_id is not None:
        finals["predictions"] = workspace.predictions_file(name.head_id, name.run_id, name.number)
    for dataset, final in finals.items():
        empty = load_schema(dataset).arrow(dim).empty_table()
        try:
            write_table(empty, dataset, name, final, workspace.staging, dim=dim)
        except StorageError:
            if not final.is_file():  # else it was committed in time
                raise
