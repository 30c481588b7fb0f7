"""Committing decisions: durable, in order whatever the clock says, never over somebody else's word."""

import subprocess
import sys
import threading
from datetime import datetime
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from geotag_batch import atomic
from geotag_batch.config import Config
from geotag_batch.errors import DecisionConflictError, InputError, LockedError, StorageError
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write import decisions as module
from geotag_batch.write.decisions import Decision, DecisionLog, append_decisions, hold_decisions
from geotag_batch.write.views import rebuild_views, views_are_stale


def accept(photo: int, tag: str = "Paths", reviewer: str = "Ann", **more: Any) -> Decision:  # noqa: ANN401
    return Decision(photo, tag, more.pop("decision", "accept"), reviewer, "review", **more)


def ask(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_what_was_acknowledged_is_in_the_views_with_everything_it_was_made_against(workspace: Workspace) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5)
    first = accept(1, head="head-1", policy_id="policy-1", run_id="run-1", score=0.75, decided_at=at)
    ids = append_decisions(workspace, [first, accept(2, "Coastal", decision="reject")])
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT * EXCLUDE decided_at FROM decisions ORDER BY decision_id") == [
        (ids[0], 1, "Paths", "accept", "Ann", "review", "head-1", "policy-1", "run-1", 0.75),
        (ids[1], 2, "Coastal", "reject", "Ann", "review", None, None, None, None),
    ]
    assert ask(workspace, "SELECT decided_at FROM decisions WHERE gridimage_id = 1") == [(at,)]


def test_the_newest_word_counts_and_a_withdrawn_one_leaves_the_tag_undecided(workspace: Workspace) -> None:
    for decision in ("accept", "reject"):
        append_decisions(workspace, [accept(1, decision=decision), accept(2, decision=decision)])
    append_decisions(workspace, [accept(2, decision="withdraw", reviewer="Bob"), accept(3, decision="add")])
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT gridimage_id, decision FROM decisions_newest ORDER BY 1") == [
        (1, "reject"),
        (3, "add"),
    ]
    assert ask(workspace, "SELECT count(*) FROM decisions") == [(6,)]


def test_a_clock_that_goes_back_does_not_put_a_decision_before_an_earlier_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    for day in (20, 20, 3):
        monkeypatch.setattr(module, "utc_now", lambda day=day: datetime(2026, 1, day))
        ids += append_decisions(workspace, [accept(1), accept(2)])
    assert ids == sorted(set(ids))


def test_views_without_decisions_are_empty_and_become_stale_with_the_first_file(workspace: Workspace) -> None:
    rebuild_views(workspace, Config())
    assert ask(workspace, "FROM decisions") == ask(workspace, "FROM decisions_newest") == []
    append_decisions(workspace, [accept(1)])
    assert views_are_stale(workspace, Config())


def test_another_reviewers_newer_word_is_not_overwritten_and_is_named(workspace: Workspace) -> None:
    (seen,) = append_decisions(workspace, [accept(1)])
    with pytest.raises(DecisionConflictError, match="Ann has decided on photo 1 meanwhile"):
        append_decisions(workspace, [accept(2, reviewer="Bob"), accept(1, reviewer="Bob")], {1: None, 2: None})
    assert len(list(workspace.dataset_files("decisions"))) == 1
    append_decisions(workspace, [accept(1, "Coastal", reviewer="Bob")], {1: seen})


def test_a_reviewers_own_newer_word_is_no_conflict(workspace: Workspace) -> None:
    append_decisions(workspace, [accept(1)], {1: None})
    append_decisions(workspace, [accept(1, decision="withdraw")], {1: None})
    assert len(list(workspace.dataset_files("decisions"))) == 2


def test_a_log_sees_what_others_committed_since_it_looked_last(workspace: Workspace) -> None:
    log = DecisionLog(workspace)
    log.append([accept(1)], {1: None})
    append_decisions(workspace, [accept(2, reviewer="Bob")])
    with pytest.raises(DecisionConflictError, match="Bob has decided on photo 2"):
        log.append([accept(2)], {2: None})


def test_reviewers_do_not_wait_for_a_run(workspace: Workspace) -> None:
    with hold_lock(workspace):
        assert len(append_decisions(workspace, [accept(1)])) == 1


def test_a_commit_waits_for_another_one_and_gives_up_by_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    with hold_decisions(workspace), pytest.raises(LockedError, match="writing decisions"):
        append_decisions(workspace, [accept(1)])


def test_many_reviewers_at_once_lose_nothing(workspace: Workspace) -> None:
    def decide(reviewer: int) -> None:
        for photo in range(1, 6):
            append_decisions(workspace, [accept(photo, reviewer=str(reviewer))])

    threads = [threading.Thread(target=decide, args=(reviewer,)) for reviewer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT count(DISTINCT decision_id), count(*) FROM decisions") == [(20, 20)]


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (accept(1, "Cheese"), "'Cheese' is none of the 49 tags"),
        (accept(1, decision="maybe"), "'maybe' is none of accept"),
        (accept(0), "0 is no gridimage_id"),
        (accept(1, reviewer=" "), "has no reviewer"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused_with_those_beside_it(
    workspace: Workspace, decision: Decision, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        append_decisions(workspace, [accept(5), decision])
    assert list(workspace.dataset_files("decisions")) == []


def test_a_commit_that_the_disk_refuses_leaves_nothing_visible(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_fsync_file", refuse)
    with pytest.raises(StorageError, match="No space left"):
        append_decisions(workspace, [accept(1)])
    assert list(workspace.decisions.glob("*")) == []


def test_what_was_acknowledged_survives_a_kill(workspace: Workspace) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from geotag_batch.workspace import Workspace\n"
        "from geotag_batch.write.decisions import Decision, append_decisions\n"
        "for photo in range(1, 100):\n"
        "    append_decisions(Workspace(Path(sys.argv[1])), [Decision(photo, 'Paths', 'accept', 'Ann', 'review')])\n"
        "    print(photo, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(workspace.root)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        acknowledged += [int(line) for line in child.stdout]
    found = {pq.read_table(path)["gridimage_id"][0].as_py() for path in workspace.dataset_files("decisions")}
    assert set(acknowledged) <= found
    append_decisions(workspace, [accept(1)])
    assert not list(workspace.staging.rglob("*.staged"))
