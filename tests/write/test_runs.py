"""Run ids and run records."""

import re
from datetime import datetime

import pytest

from geotag_batch.duck import run_records_relation
from geotag_batch.errors import StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, new_run_id, read_run_records, utc_now, write_run_record
from tests.builders import commit, query


def record(run_id: str) -> RunRecord:
    now = datetime(2026, 1, 2, 3, 4, 5, 678)
    return RunRecord(run_id, "backfill", "running", now, now, 7, failures={"missing": 2}, timings={"commit": 0.5})


def test_a_run_id_is_the_time_in_utc(workspace: Workspace) -> None:
    run_id = new_run_id(workspace)
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", run_id)
    assert abs((datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ") - utc_now()).total_seconds()) < 5


def test_a_run_id_sorts_after_every_committed_one_whatever_the_clock_says(workspace: Workspace) -> None:
    commit(workspace, "29991231T235958Z-ffff", predictions=[{"gridimage_id": 1}])
    first = new_run_id(workspace)
    assert first.startswith("29991231T235959Z-")
    write_run_record(workspace, record(first))
    assert new_run_id(workspace).startswith("30000101T000000Z-")


def test_two_runs_in_one_second_have_ids_in_order(workspace: Workspace) -> None:
    ids = []
    for _ in range(3):
        ids.append(new_run_id(workspace))
        write_run_record(workspace, record(ids[-1]))
    assert ids == sorted(set(ids))


def test_a_record_is_read_back_as_it_was_written_and_by_duckdb_too(workspace: Workspace) -> None:
    first = record("20260102T030405Z-0001")
    write_run_record(workspace, first)
    assert read_run_records(workspace) == [first]
    rows = query(
        f"SELECT run_id, started_at, finished_at, pending, failures['missing'], timings['commit'] "
        f"FROM {run_records_relation(workspace)}"
    )
    assert rows == [(first.run_id, first.started_at, None, 7, 2, 0.5)]


def test_a_workspace_without_runs_has_an_empty_relation(workspace: Workspace) -> None:
    assert query(f"FROM {run_records_relation(workspace)}") == []


def test_a_broken_record_is_named(workspace: Workspace) -> None:
    workspace.runs.mkdir()
    workspace.run_file("20260102T030405Z-0001").write_text("{")
    with pytest.raises(StorageError, match=r"20260102T030405Z-0001\.json: is not a readable run record"):
        read_run_records(workspace)
