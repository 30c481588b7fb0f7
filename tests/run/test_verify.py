"""`geotag verify`: a sound workspace is clean, and each kind of damage is named."""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from geotag_batch.run import check_file
from geotag_batch.run import verify as verify_module
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, write_run_record
from tests.builders import ENCODER, HEAD, RUN_1, RUN_2, commit
from tests.heads import make_head
from tests.run.conftest import Archive


def record(workspace: Workspace, run_id: str, status: str = "done", **counts: int) -> None:
    """Write a run's record."""
    at = datetime(2026, 1, 1)
    write_run_record(workspace, RunRecord(run_id, "backfill", status, at, at, 9, **counts))  # type: ignore[arg-type]


def sound(workspace: Workspace) -> Workspace:
    """Commit two photos and a failure, with their record."""
    rows = [{"gridimage_id": 1}, {"gridimage_id": 2}]
    commit(workspace, RUN_1, embeddings=rows, predictions=rows)
    commit(workspace, RUN_1, failures=[{"gridimage_id": 3, "permanent": True}], number=2)
    record(workspace, RUN_1, embedded=2, predicted=2, failed=1)
    return workspace


def problems(workspace: Workspace) -> list[str]:
    """Return what verify calls wrong."""
    return [f"{problem.where}: {problem.what}" for problem in verify(workspace).problems]


def test_an_empty_workspace_is_clean(workspace: Workspace) -> None:
    assert problems(workspace) == []


def test_what_a_run_committed_is_clean(archive: Callable[[int], Archive]) -> None:
    made = archive(7)
    made.image(3).write_bytes(b"")
    made.backfill()
    report = verify(made.workspace)
    assert (report.problems, report.notes) == ([], [])
    assert dict(report.rows) == {"embeddings": 6, "failures": 1, "predictions": 6}


def flip(path: Path) -> None:
    """Flip one bit among the first values of a file."""
    data = bytearray(path.read_bytes())
    data[120] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [flip, lambda path: os.truncate(path, path.stat().st_size - 9), lambda path: os.truncate(path, 0)]
)
@pytest.mark.parametrize("has_sum", [True, False])
def test_a_damaged_file_is_named(workspace: Workspace, damage: Callable[[Path], None], has_sum: bool) -> None:
    path = sound(workspace).embeddings_file(ENCODER, RUN_1, 1)
    damage(path)
    if not has_sum:
        (workspace.sums / f"{RUN_1}-000001.sha256").unlink()
    what = "its bytes are not those that were committed" if has_sum else "cannot be read"
    assert any(f"encoder={ENCODER}/{RUN_1}-000001.parquet: {what}" in line for line in problems(workspace))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tags": ["Castles"]}, "tags has 'Castles', which is none of the 49"),
        ({"tags": ["Coastal", "Energy infrastructure"]}, "tags are not in ascending tag_id"),
        ({"top_tag": "Coastal"}, "top_tag is not always the tag with the greatest score"),
        ({"top_score": 0.8}, "top_score is not always that tag's score"),
        ({"scores": np.full(49, np.nan, np.float32)}, "scores are not all from 0 to 1"),
        ({"set_probability": np.nan}, "set_probability is not always from 0 to 1"),
        ({"forced": True, "tags": []}, "forced rows have other tags than top_tag"),
        ({"forced": True, "tags": ["Coastal"]}, "forced rows have other tags than top_tag"),
        ({"policy_id": "policy-2"}, "has rows of other policies than policy-1"),
        ({"run_id": RUN_2}, f"has rows of run {RUN_2}"),
    ],
)
def test_a_prediction_that_contradicts_itself_is_named(workspace: Workspace, row: dict[str, Any], message: str) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1} | row])
    record(workspace, RUN_1, predicted=1)
    assert any(message in line for line in problems(workspace))


def test_an_embedding_that_is_not_finite_is_named(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1, "title_embedding": np.full(512, np.inf, np.float16)}])
    record(workspace, RUN_1, embedded=1)
    assert any("title_embedding has values that are not finite" in line for line in problems(workspace))


def test_an_unknown_class_of_failure_is_named(workspace: Workspace) -> None:
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1, "error_class": "bad_luck", "permanent": True}])
    record(workspace, RUN_1, failed=1)
    assert any("error_class bad_luck is none of those" in line for line in problems(workspace))


def test_a_photo_that_is_there_twice_is_named(workspace: Workspace) -> None:
    for number in (1, 2):
        commit(workspace, RUN_1, predictions=[{"gridimage_id": 7}], embeddings=[{"gridimage_id": 7}], number=number)
    record(workspace, RUN_1, predicted=2, embedded=2)
    assert problems(workspace) == [
        f"{RUN_1}: photo 7 was predicted 2 times by {HEAD}",
        f"{RUN_1}: photo 7 was embedded 2 times by {ENCODER}",
    ]


def test_a_photo_that_was_predicted_and_failed_in_one_run_is_named(workspace: Workspace) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 7}], failures=[{"gridimage_id": 7, "permanent": True}])
    record(workspace, RUN_1, predicted=1, failed=1)
    assert problems(workspace) == [f"{RUN_1}: photo 7 was predicted and failed"]


def test_a_file_in_the_wrong_folder_is_named(workspace: Workspace) -> None:
    sound(workspace)
    path = workspace.predictions_file(HEAD, RUN_1, 1)
    other = workspace.predictions / "head=other" / "run_date=2025-12-31" / path.name
    other.parent.mkdir(parents=True)
    path.rename(other)
    found = problems(workspace)
    assert any(f"its metadata says head_id {HEAD}, it should say other" in line for line in found)
    assert any("lies under run_date=2025-12-31, its run began on 2026-01-01" in line for line in found)


def test_files_that_nobody_committed_are_named(workspace: Workspace) -> None:
    sound(workspace)
    for name in ("tmp_x.parquet", ".hidden.parquet", "notes.txt"):
        (workspace.failures / name).write_text("")
    assert len([line for line in problems(workspace) if "is not a committed file" in line]) == 3


@pytest.mark.parametrize(("found", "recorded"), [(2, 3), (2, 1)])
def test_counts_that_differ_from_the_record_are_named(workspace: Workspace, found: int, recorded: int) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": number} for number in range(found)])
    record(workspace, RUN_1, predicted=recorded)
    assert problems(workspace) == [f"runs/{RUN_1}.json: says {recorded} predictions, there are {found}"]


def test_a_run_that_was_killed_before_it_could_count_is_not_wrong(workspace: Workspace) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1}])
    record(workspace, RUN_1, status="running")
    (workspace.staging / RUN_1 / "x.parquet.staged").write_bytes(b"half")
    report = verify(workspace)
    assert report.problems == []
    assert report.notes == [
        f"run {RUN_1} was interrupted; what it committed is good",
        "1 staged files of an interrupted command; a later run removes them",
    ]


def test_a_run_that_commits_and_ends_meanwhile_is_not_wrong(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run commits a chunk and says so, and another begins, between the records and the files."""
    record(workspace, RUN_1, status="running")

    def commit_first(workspace: Workspace, dataset: str, path: Path) -> check_file.Checked:
        if not workspace.run_file(RUN_2).exists():
            record(workspace, RUN_1, predicted=2)
            record(workspace, RUN_2, status="running")
            commit(workspace, RUN_2, predictions=[{"gridimage_id": 3}])
        return check_file.check_file(workspace, dataset, path)

    commit(workspace, RUN_1, failures=[{"gridimage_id": 9, "permanent": True}])
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1}, {"gridimage_id": 2}])
    monkeypatch.setattr(verify_module, "check_file", commit_first)
    assert problems(workspace) == []


def test_files_of_a_run_without_record_are_named(workspace: Workspace) -> None:
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1}])
    assert problems(workspace) == [f"runs/{RUN_1}.json: is missing, but there are files of that run"]


def test_a_record_that_cannot_be_read_is_named(workspace: Workspace) -> None:
    sound(workspace)
    workspace.run_file(RUN_1).write_text(json.dumps({"run_id": RUN_1}))
    assert any("is not a readable run record" in line for line in problems(workspace))


def test_a_head_with_a_flipped_bit_is_named(workspace: Workspace) -> None:
    head_id = make_head(workspace, ENCODER, seed=1)
    assert problems(workspace) == []
    flip(workspace.head_dir(head_id) / "head.safetensors")
    assert any(line.startswith(f"heads/{head_id}: ") for line in problems(workspace))


def test_embeddings_of_other_weights_under_the_same_encoder_are_named(workspace: Workspace) -> None:
    sound(workspace)
    path = workspace.embeddings_file(ENCODER, RUN_1, 1)
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"geotag.weights_sha256": b"1" * 64, b"geotag.run_id": RUN_2.encode()}
    index = table.schema.get_field_index("run_id")
    table = table.set_column(index, table.schema.field(index), [[RUN_2] * table.num_rows])
    pq.write_table(table.replace_schema_metadata(metadata), workspace.embeddings_file(ENCODER, RUN_2, 1))
    record(workspace, RUN_2, embedded=2)
    assert problems(workspace) == [
        f"embeddings/encoder={ENCODER}/{RUN_2}-000001.parquet: "
        "was made with other weights than most of the encoder's embeddings"
    ]
