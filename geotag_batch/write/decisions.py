"""Decisions: one reviewer's word on one tag of one photo, appended to decisions/ and never changed.

A commit is one file and one rename, under a lock of its own that is held for that commit alone, so that reviewers and a
night's run do not wait for each other. A decision_id is the file's id and the row's number in it. A file's id is a time
to the microsecond that is raised past all before, so that the greatest decision_id of a photo and tag is the newest
word on it, whatever the clocks say.
"""

import fnmatch
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.errors import DecisionConflictError, InputError, LockedError, StorageError
from geotag_batch.fingerprint import file_metadata
from geotag_batch.locations import StorePath
from geotag_batch.locks import hold_file
from geotag_batch.schema import CURRENT_VERSION, check_table, load_schema
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import DATASET_PATTERNS, Workspace
from geotag_batch.write.dataset import publish_parquet
from geotag_batch.write.runs import utc_now

__all__ = [
    "KINDS",
    "Decision",
    "DecisionLog",
    "append_chosen",
    "append_decisions",
    "check_decision",
    "committed_names",
    "hold_decisions",
    "publish_decisions",
]

KINDS = ("accept", "reject", "add", "withdraw")
"""What a decision can be: a predicted tag is right, a tag is wrong, a tag is right though not predicted, undecided."""

_TIME = "%Y%m%dT%H%M%S%fZ"
_PATIENCE = 10.0  # seconds; a commit takes some milliseconds, a large import a second or two
_MOST_ROWS = 9_999_999  # what the digits of a row's number allow


@dataclass(frozen=True, slots=True)
class Decision:
    """One reviewer's word on one tag of one photo, as in schemas/decisions.v1.json.

    `head`, `policy_id`, `run_id` and `score` are those of the prediction that the reviewer saw. `decided_at` (UTC,
    without zone) None is the time of the commit.
    """

    gridimage_id: int
    tag: str
    decision: str
    reviewer: str
    source: str
    head: str | None = None
    policy_id: str | None = None
    run_id: str | None = None
    score: float | None = None
    decided_at: datetime | None = None


def append_decisions(
    workspace: Workspace, decisions: Sequence[Decision], expected: Mapping[int, str | None] | None = None
) -> list[str]:
    """Commit `decisions` in one step; return their decision_ids, in order, once they are durable.

    `expected` says, for each photo, the newest decision_id that its reviewer has seen (None: no decision): if another
    reviewer has decided on one of them since, nothing is written and DecisionConflictError names photo and reviewer.
    Without it nothing is compared. Whoever appends often keeps a DecisionLog, which reads each file once.

    Raises InputError for a decision that makes no sense, LockedError, StorageError.
    """
    return DecisionLog(workspace).append(decisions, expected)


def append_chosen(workspace: Workspace, choose: Callable[[], Sequence[Decision]]) -> list[str]:
    """Commit what `choose` returns, which is called when nobody else can commit; otherwise as `append_decisions`."""
    with hold_decisions(workspace):
        decisions = choose()
        check_decisions(decisions)
        return _commit(workspace, decisions, committed_names(workspace))[1] if decisions else []


def check_decisions(decisions: Sequence[Decision]) -> None:
    """Raise InputError for one that makes no sense, or for more than a file can hold."""
    for decision in decisions:
        check_decision(decision)
    if len(decisions) > _MOST_ROWS:
        raise InputError(f"{len(decisions):,} decisions are more than one commit takes: {_MOST_ROWS:,}")


def check_decision(decision: Decision) -> None:
    """Raise InputError if the tag is none of the 49, the decision none of KINDS, or the photo or reviewer missing."""
    if decision.tag not in tag_index():
        raise InputError(f"{decision.tag!r} is none of the {len(tag_index())} tags", hint="see schemas/tags.csv")
    if decision.decision not in KINDS:
        raise InputError(f"{decision.decision!r} is none of {', '.join(KINDS)}")
    if decision.gridimage_id < 1:
        raise InputError(f"{decision.gridimage_id} is no gridimage_id: it must be positive")
    if not decision.reviewer.strip() or not decision.source.strip():
        raise InputError(f"a decision on photo {decision.gridimage_id} has no reviewer or no source")


@contextmanager
def hold_decisions(workspace: Workspace) -> Iterator[None]:
    """Hold the lock that committing and merging decisions take. Raises LockedError, StorageError."""
    busy = LockedError(
        f"another command is writing decisions in {workspace.root}",
        hint="it should take a moment only; start again",
    )
    with hold_file(workspace.decisions_lock_file, _PATIENCE, busy):
        yield


class DecisionLog:
    """Appends to a workspace's decisions, and remembers who has decided on which photo last.

    Good for the length of a process that appends often: each committed file is read once. Threads may share it, for
    everything happens under the decisions' lock.
    """

    def __init__(self, workspace: Workspace) -> None:
        """Begin with nothing read."""
        self._workspace = workspace
        self._read: set[str] = set()
        self._newest: dict[int, dict[str, str]] = {}  # photo -> reviewer -> decision_id

    def append(self, decisions: Sequence[Decision], expected: Mapping[int, str | None] | None = None) -> list[str]:
        """Commit as `append_decisions` does."""
        check_decisions(decisions)
        if not decisions:
            return []
        with hold_decisions(self._workspace):
            names = committed_names(self._workspace)
            if expected:
                self._read_new_files(names)
                self._refuse_conflicts(decisions, expected)
            file_id, ids = _commit(self._workspace, decisions, names)
            self._read.add(self._workspace.decisions_file(file_id, len(ids)).name)
            for decision, decision_id in zip(decisions, ids, strict=True):
                self._remember(decision.gridimage_id, decision.reviewer, decision_id)
        return ids

    def _refuse_conflicts(self, decisions: Sequence[Decision], expected: Mapping[int, str | None]) -> None:
        for decision in decisions:
            seen = expected.get(decision.gridimage_id) or ""
            if decision.gridimage_id not in expected:
                continue
            for reviewer, newest in self._newest.get(decision.gridimage_id, {}).items():
                if newest > seen and reviewer != decision.reviewer:
                    raise DecisionConflictError(decision.gridimage_id, reviewer, newest)

    def _read_new_files(self, names: Sequence[str]) -> None:
        for name in set(names) - self._read:
            table = _read_columns(self._workspace.decisions / name)
            for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
                self._remember(*row)
            self._read.add(name)

    def _remember(self, photo: int, reviewer: str, decision_id: str) -> None:
        by_reviewer = self._newest.setdefault(photo, {})
        by_reviewer[reviewer] = max(decision_id, by_reviewer.get(reviewer, ""))


def committed_names(workspace: Workspace) -> list[str]:
    """Return the names of the committed files of decisions, in no order: in a hundredth of the time of a Path each."""
    if isinstance(workspace.decisions, StorePath):
        return [path.name for path in workspace.dataset_files("decisions")]
    try:
        return fnmatch.filter(os.listdir(workspace.decisions), DATASET_PATTERNS["decisions"])
    except FileNotFoundError:
        return []


def _read_columns(path: Path) -> pa.Table:
    try:
        return pq.read_table(path, columns=["gridimage_id", "reviewer", "decision_id"], partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error


def _commit(workspace: Workspace, decisions: Sequence[Decision], names: Sequence[str]) -> tuple[str, list[str]]:
    """Publish one file beside those of `names`, return its id and the decision_ids; the caller holds the lock."""
    for left in workspace.decisions_staging.glob("*"):
        left.unlink()  # by a killed command
    now = utc_now()
    file_id = _new_file_id(names, now)
    ids = [f"{file_id}-{row:07d}" for row in range(1, len(decisions) + 1)]
    rows = [
        {**asdict(decision), "decision_id": decision_id, "decided_at": decision.decided_at or now}
        for decision, decision_id in zip(decisions, ids, strict=True)
    ]
    publish_decisions(workspace, pa.Table.from_pylist(rows, schema=load_schema("decisions").arrow()), file_id)
    return file_id, ids


def publish_decisions(workspace: Workspace, table: pa.Table, file_id: str, merged: Sequence[str] = ()) -> Path:
    """Publish a file of decisions, and return it; `merged` are the names of the files whose decisions it repeats.

    The caller holds the decisions' lock.
    """
    final = workspace.decisions_file(file_id, table.num_rows)
    check_table(table, load_schema("decisions").arrow(), str(final))
    names = json.dumps(list(merged)) if merged else None
    metadata = file_metadata("decisions", CURRENT_VERSION["decisions"], None, merged=names)
    publish_parquet(table, metadata, final, workspace.decisions_staging)
    return final


def _new_file_id(names: Sequence[str], now: datetime) -> str:
    """Return the id of a file whose decisions sort after those of the files `names`."""
    last = max(names, default="").partition("-")[0]
    if last and now.strftime(_TIME) <= last:
        now = datetime.strptime(last, _TIME) + timedelta(microseconds=1)
    return f"{now.strftime(_TIME)}-{secrets.token_hex(2)}"
