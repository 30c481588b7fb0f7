"""`geotag status`: counts by value, before anything is there and after."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from geotag_batch.config import Config, load_config
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.status import Block, Decided, get_status
from geotag_batch.run.status_text import status_json, status_text
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from geotag_batch.write.runs import read_run_records, write_run_record
from tests.heads import make_head
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def test_an_empty_workspace_has_a_status_and_says_why_pending_is_unknown(workspace: Workspace) -> None:
    status = get_status(workspace, Config(), by_block=True)
    assert (status.photos, status.predicted, status.embedded, status.runs, status.blocks) == (0, {}, {}, [], [])
    assert (status.pending, status.pending_unknown) == (None, "no head is in use")
    assert "pending    unknown: no head is in use" in status_text(status)


def test_counts_are_of_photos_not_of_rows(archive: Make) -> None:
    made = archive(6)
    made.photos[0]["tags"] = ["Coastal"]
    made.write()
    made.image(2).unlink()
    made.backfill()
    made.backfill(redo_before=datetime(2999, 1, 1))
    first = str(made.config.head.current)
    made.use(make_head(made.workspace, FakeEncoder.encoder_id, seed=9))
    status = get_status(made.workspace, made.config, by_block=True)
    assert (status.photos, status.tagged) == (6, 1)
    assert status.predicted == {first: 4}
    assert status.embedded == {FakeEncoder.encoder_id: 4}
    assert (status.pending, status.pending_by_reason) == (4, {"head changed": 4})
    assert [(kind.error_class, kind.photos, kind.due) for kind in status.failed] == [("missing", 1, 0)]
    assert [run.status for run in status.runs] == ["done", "done"]
    assert status.blocks == [Block(0, 49999, 6, 1, 0, 4, 1)]
    text = status_text(status)
    assert "photos     6, of which 1 are tagged" in text
    assert f"predicted  4 by {first}\n" in text
    assert "1  missing (0 due now, next retry" in text


def test_json_has_the_same_facts(archive: Make) -> None:
    made = archive(3)
    made.image(3).write_bytes(b"")
    made.backfill()
    facts = json.loads(status_json(get_status(made.workspace, made.config)))
    assert (facts["photos"], facts["pending"], facts["current_head"]) == (3, 0, made.config.head.current)
    assert facts["failed"] == [{"error_class": "empty", "photos": 1, "permanent": 1, "due": 0, "next_retry": None}]
    assert facts["runs"][0]["photos"] == 3


def test_a_run_left_running_is_interrupted_unless_somebody_holds_the_lock(archive: Make) -> None:
    made = archive(1)
    made.backfill()
    (record,) = read_run_records(made.workspace)
    write_run_record(made.workspace, replace(record, status="running", finished_at=None))
    assert get_status(made.workspace, load_config(made.workspace, {})).runs[0].status == "interrupted"
    with hold_lock(made.workspace):
        assert get_status(made.workspace, load_config(made.workspace, {})).runs[0].status == "running"


def test_what_is_decided_is_counted_as_it_stands_now(archive: Make) -> None:
    made = archive(3)
    for photo, tag, kind, reviewer in (
        (1, "Paths", "accept", "Ann"),
        (1, "Coastal", "reject", "Ann"),
        (2, "Paths", "reject", "Bob"),
        (2, "Paths", "add", "Ann"),
        (3, "Paths", "accept", "Cid"),
        (3, "Paths", "withdraw", "Cid"),
    ):
        append_decisions(made.workspace, [Decision(photo, tag, kind, reviewer, "review")])
    status = get_status(made.workspace, made.config)
    assert status.decided == Decided(3, 2, 1, accepted=1, added=1, rejected=1, files=6)
    assert "decided    3 tags of 2 photos by 1 reviewer (1 accepted, 1 added, 1 rejected)" in status_text(status)
