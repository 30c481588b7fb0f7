"""What is done, pending and failed, and what the last runs did; read afresh, whatever state review.duckdb is in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from geotag_batch.config import Config
from geotag_batch.duck import Connection, connect, dataset_relation, execute_file, storage_trouble
from geotag_batch.errors import CatalogueError, HeadError
from geotag_batch.read.photos import Selection
from geotag_batch.run.ending import as_it_is
from geotag_batch.run.lock import is_locked
from geotag_batch.run.plan import make_plan
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import committed_names
from geotag_batch.write.runs import read_run_records
from geotag_batch.write.views import create_views

__all__ = ["Block", "Decided", "FailedClass", "RunLine", "Status", "get_status"]


@dataclass(frozen=True, slots=True)
class FailedClass:
    """Photos that failed by one class: how many for good, how many are due, and when the next one is (UTC)."""

    error_class: str
    photos: int
    permanent: int
    due: int
    next_retry: datetime | None


@dataclass(frozen=True, slots=True)
class Block:
    """How far one block of 50,000 ids is done."""

    first_id: int
    last_id: int
    photos: int
    tagged: int
    predicted: int
    embedded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Decided:
    """What is decided now: tags of photos, on how many of these, by how many people; and the files it lies in."""

    decisions: int
    photos: int
    reviewers: int
    accepted: int
    added: int
    rejected: int
    files: int


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run: `status` is "interrupted" for a record left running by a process that is gone."""

    run_id: str
    command: str
    status: str
    stop_reason: str | None
    head: str | None
    photos: int
    failed: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """The whole answer; `pending` is None where it cannot be said, and `pending_unknown` says why.

    `predicted` and `embedded` count photos by head_id and encoder_id.
    """

    photos: int
    tagged: int
    current_head: str | None
    predicted: dict[str, int]
    embedded: dict[str, int]
    pending: int | None
    pending_by_reason: dict[str, int]
    pending_unknown: str | None
    failed: list[FailedClass]
    decided: Decided
    runs: list[RunLine]
    blocks: list[Block]


_READ = ("tags", "photos", "decisions", "decisions_newest", "predictions_all", "failures", "coverage")


def get_status(workspace: Workspace, config: Config, *, by_block: bool = False, last_runs: int = 5) -> Status:
    """Return the workspace's status. Raises CatalogueError for a broken catalogue, StorageError for broken files."""
    limit = config.run.memory_limit
    with storage_trouble(workspace.root), connect(memory_limit=limit, spill=workspace.cache) as connection:
        create_views(connection, workspace, config, _READ)
        stored = dataset_relation(workspace, "embeddings", ("gridimage_id",))
        connection.execute(f"CREATE TEMP VIEW embeddings AS FROM {stored}")
        ((photos, tagged),) = _rows(connection, "photos")
        predicted = dict(_rows(connection, "predicted"))
        embedded = dict(_rows(connection, "embedded"))
        failed = [FailedClass(*row) for row in _rows(connection, "failed")]
        (counts,) = _rows(connection, "decided")
        blocks = [Block(*row) for row in _rows(connection, "by_block")] if by_block else []
    pending, by_reason, unknown = _pending(workspace, config)
    return Status(
        photos=photos,
        tagged=tagged,
        current_head=config.head.current,
        predicted=predicted,
        embedded=embedded,
        pending=pending,
        pending_by_reason=by_reason,
        pending_unknown=unknown,
        failed=failed,
        decided=Decided(*[*counts, len(committed_names(workspace))]),
        runs=_last_runs(workspace, last_runs),
        blocks=blocks,
    )


def _rows(connection: Connection, name: str) -> list[tuple[Any, ...]]:
    return execute_file(connection, "status", name).fetchall()


def _pending(workspace: Workspace, config: Config) -> tuple[int | None, dict[str, int], str | None]:
    try:
        with make_plan(workspace, config, Selection()) as plan:
            return plan.pending, plan.by_reason, None
    except (HeadError, CatalogueError) as error:
        return None, {}, error.message


def _last_runs(workspace: Workspace, count: int) -> list[RunLine]:
    records = read_run_records(workspace)[-count:]
    busy = bool(records) and is_locked(workspace)
    lines = []
    for record in reversed(records):
        lines.append(
            RunLine(
                run_id=record.run_id,
                command=record.command,
                status=as_it_is(record, busy=busy).status,
                stop_reason=record.stop_reason,
                head=record.head,
                photos=record.photos,
                failed=record.failed,
                seconds=record.seconds,
            )
        )
    return lines
