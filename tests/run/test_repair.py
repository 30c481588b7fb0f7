"""`geotag verify --repair`: what is broken is set aside, all else stays, and the next run redoes exactly that."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from geotag_batch.atomic import move_away
from geotag_batch.config import load_config
from geotag_batch.errors import LockedError, StorageError
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.prune import PruneRequest, prune
from geotag_batch.run.repair import Repair, repair
from geotag_batch.run.verify import verify
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write import quarantine as quarantine_module
from geotag_batch.write.decisions import Decision, append_decisions
from geotag_batch.write.quarantine import quarantine_records, read_quarantine
from geotag_batch.write.runs import read_run_record, read_run_records, write_run_record
from tests.builders import ENCODER, HEAD, RUN_1, RUN_2, commit
from tests.heads import make_head
from tests.run.conftest import Archive, rows_of
from tests.run.test_verify import flip, problems, record

Damage = Callable[[Workspace], None]


def two_runs(workspace: Workspace) -> Workspace:
    """Commit two runs of two chunks each, a failure in the first, with their records."""
    for number, run_id in enumerate((RUN_1, RUN_2)):
        for chunk in (1, 2):
            rows = [{"gridimage_id": 10 * number + 2 * chunk + row} for row in (0, 1)]
            commit(workspace, run_id, embeddings=rows, predictions=rows, number=chunk)
        record(workspace, run_id, embedded=4, predicted=4)
    commit(workspace, RUN_1, failures=[{"gridimage_id": 99, "permanent": True}], number=3)
    record(workspace, RUN_1, embedded=4, predicted=4, failed=1)
    assert problems(workspace) == []
    return workspace


def mended(workspace: Workspace) -> Repair:
    """Repair a workspace with something wrong in it; it is clean then, by its own word and by another look."""
    assert problems(workspace)
    done = repair(workspace, load_config(workspace, {}))
    assert done.report.problems == []
    assert problems(workspace) == []
    assert rows_of(workspace, "SELECT count(*) >= 0 FROM predictions_newest") == [(True,)]
    assert len(rows_of(workspace, "FROM runs")) == len(read_run_records(workspace))
    return done


def moved(done: Repair) -> list[str]:
    """Return what was set aside."""
    return [file.file for file in done.moved]


PREDICTIONS = f"predictions/head={HEAD}/run_date=2026-01-02/{RUN_2}-000002.parquet"
EMBEDDINGS = f"embeddings/encoder={ENCODER}/{RUN_2}-000002.parquet"
FAILURES = f"failures/run_date=2026-01-01/{RUN_1}-000003.parquet"


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (PREDICTIONS, "a flipped bit"),
        (EMBEDDINGS, "a flipped bit in the footer"),
        (FAILURES, "cut"),
        (PREDICTIONS, "empty"),
        (EMBEDDINGS, "a folder"),
        (FAILURES, "a fifo"),
    ],
)
def test_a_broken_file_is_set_aside_and_nothing_else(workspace: Workspace, file: str, kind: str) -> None:
    path = two_runs(workspace).root / file
    data = bytearray(path.read_bytes())
    data[-60 if "footer" in kind else 120] ^= 1
    cut = {"cut": len(data) - 9, "empty": 0}
    path.write_bytes(data[: cut.get(kind)])
    if kind in ("a folder", "a fifo"):
        path.unlink()
        (os.mkfifo if kind == "a fifo" else Path.mkdir)(path)
    others = {other for other in workspace.root.rglob("*.parquet") if other != path}
    done = mended(workspace)
    assert moved(done) == [file]
    assert os.path.lexists(workspace.root / done.folders[0] / file)
    assert {other for other in others if other.exists()} == others
    assert [(each.run_id, each.rows) for each in done.missing] == [(Path(file).name[:21], 1 if file == FAILURES else 2)]


def copy_as_another_chunk(workspace: Workspace) -> None:
    path = workspace.root / PREDICTIONS
    shutil.copy(path, path.with_name(f"{RUN_2}-000009.parquet"))


def move_to_another_head(workspace: Workspace) -> None:
    other = workspace.root / PREDICTIONS.replace(HEAD, "another")
    other.parent.mkdir(parents=True)
    (workspace.root / PREDICTIONS).rename(other)


def leave_debris(workspace: Workspace) -> None:
    for name in ("tmp_x.parquet", ".hidden", "notes/b.txt", b"\xff.parquet"):
        path = Path(os.fsdecode(os.fsencode(workspace.failures) + b"/" + os.fsencode(name)))
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    (workspace.predictions / "gone.parquet").symlink_to("nowhere")
    (workspace.runs / "notes.txt").write_text("")


def drop_a_column(workspace: Workspace) -> None:
    path = workspace.root / PREDICTIONS
    table = pq.read_table(path).drop_columns(["forced"])
    shutil.rmtree(workspace.sums)
    pq.write_table(table, path)


def fail_what_was_predicted(workspace: Workspace) -> None:
    commit(workspace, RUN_2, failures=[{"gridimage_id": 15, "permanent": True}], number=3)
    record(workspace, RUN_2, embedded=4, predicted=4, failed=1)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (copy_as_another_chunk, [PREDICTIONS.replace("000002.", "000009.")]),
        (move_to_another_head, [PREDICTIONS.replace(HEAD, "another")]),
        (
            leave_debris,
            [
                *("failures/.hidden", "failures/notes/b.txt", "failures/tmp_x.parquet", "failures/\udcff.parquet"),
                *("predictions/gone.parquet", "runs/notes.txt"),
            ],
        ),
        (drop_a_column, [PREDICTIONS]),
        (fail_what_was_predicted, [f"failures/run_date=2026-01-02/{RUN_2}-000003.parquet", PREDICTIONS]),
        (lambda workspace: workspace.run_file(RUN_2).write_text("{"), [f"runs/{RUN_2}.json"]),
        (
            lambda workspace: (workspace.sums / f"{RUN_2}-000001.sha256").write_text("half"),
            [f"sums/{RUN_2}-000001.sha256"],
        ),
    ],
)
def test_what_contradicts_itself_is_set_aside(workspace: Workspace, damage: Damage, expected: list[str]) -> None:
    damage(two_runs(workspace))
    done = mended(workspace)
    assert moved(done) == expected
    for file in expected:
        assert not os.path.lexists(workspace.root / file) or file.startswith("runs")
        assert os.path.lexists(workspace.root / done.folders[0] / file)


def test_the_record_says_what_why_when_and_how_many_rows(workspace: Workspace) -> None:
    copy_as_another_chunk(two_runs(workspace))
    mended(workspace)
    first = read_quarantine(quarantine_records(workspace)[0])
    assert [(file.rows, file.why) for file in first.files] == [(2, ("holds a photo that an earlier file holds",))]
    assert first.at.startswith("20")


def test_rows_that_are_lost_later_are_told_from_those_in_quarantine(workspace: Workspace) -> None:
    flip(two_runs(workspace).root / PREDICTIONS)
    mended(workspace)
    (workspace.root / PREDICTIONS.replace("000002.", "000001.")).unlink()
    assert problems(workspace) == [f"runs/{RUN_2}.json: says 4 predictions, there are 0"]
    done = mended(workspace)
    assert [(each.run_id, each.dataset, each.rows) for each in done.missing] == [(RUN_2, "predictions", 4)]
    assert any("4 predictions of run" in note for note in done.report.notes)


def test_a_file_that_comes_back_from_a_backup_is_welcome(workspace: Workspace) -> None:
    path = two_runs(workspace).root / PREDICTIONS
    good = path.read_bytes()
    flip(path)
    mended(workspace)
    path.write_bytes(good)
    report = verify(workspace)
    assert (report.problems, report.notes) == ([], [])


def test_a_pruned_file_that_is_broken_or_gone_is_set_aside_too(archive: Callable[[int], Archive]) -> None:
    made = archive(7)
    made.backfill()
    made.photos = [photo for photo in made.photos if photo["gridimage_id"] not in (2, 7)]
    made.write()
    paths = sorted({removal.path for removal in prune(made.workspace, made.config, PruneRequest(withdrawn=True))})
    paths[-1].write_bytes(b"half")
    paths[0].unlink()
    assert len(moved(mended(made.workspace))) == 2
    assert made.backfill().predicted == 1


def test_a_prune_that_replaced_a_file_by_another_than_it_meant_is_named(archive: Callable[[int], Archive]) -> None:
    made = archive(7)
    made.backfill()
    made.photos = made.photos[1:]
    made.write()
    before = {path: path.read_bytes() for path in made.workspace.predictions.rglob("*.parquet")}
    prune(made.workspace, made.config, PruneRequest(withdrawn=True))
    assert problems(made.workspace) == []
    changed = next(path for path, data in before.items() if path.read_bytes() != data)
    flip(changed)
    assert any("its bytes are not those" in line for line in problems(made.workspace))
    changed.write_bytes(before[changed])  # as a prune that was killed before it replaced the file leaves it
    assert problems(made.workspace) == []


def test_a_run_that_was_killed_is_marked_interrupted(workspace: Workspace) -> None:
    commit(two_runs(workspace), "20260103T000000Z-cccc", predictions=[{"gridimage_id": 1}])
    record(workspace, "20260103T000000Z-cccc", status="running")
    (workspace.staging / "20260103T000000Z-cccc" / "x.staged").write_bytes(b"half")
    done = repair(workspace, load_config(workspace, {}))
    assert done.interrupted == ["20260103T000000Z-cccc"]
    assert read_run_record(workspace, "20260103T000000Z-cccc").status == "interrupted"
    assert not workspace.staging.exists() or not any(path.is_file() for path in workspace.staging.rglob("*"))
    report = verify(workspace)
    assert (report.problems, report.notes) == ([], [])


def test_a_record_that_is_gone_is_made_again_from_the_files(workspace: Workspace) -> None:
    two_runs(workspace).run_file(RUN_1).unlink()
    assert mended(workspace).remade == [RUN_1]
    made = read_run_record(workspace, RUN_1)
    assert (made.head, made.encoder_id, made.predicted, made.embedded, made.failed) == (HEAD, ENCODER, 4, 4, 1)


@pytest.mark.parametrize(
    "change", [{"status": 3}, {"predicted": "four"}, {"timings": {"commit": "long"}}, {"run_id": RUN_1}]
)
def test_a_record_with_values_of_other_types_is_set_aside(workspace: Workspace, change: dict[str, object]) -> None:
    path = two_runs(workspace).run_file(RUN_2)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert moved(mended(workspace)) == [f"runs/{RUN_2}.json"]


def test_a_broken_head_is_set_aside_as_a_whole(workspace: Workspace) -> None:
    head_id, other = make_head(workspace, ENCODER, seed=1), make_head(workspace, ENCODER, seed=2)
    flip(workspace.head_dir(head_id) / "head.safetensors")
    assert moved(mended(workspace)) == [f"heads/{head_id}"]
    assert [path.name for path in workspace.heads.iterdir()] == [other]


def test_an_unreadable_first_file_does_not_condemn_the_others(workspace: Workspace) -> None:
    flip(two_runs(workspace).embeddings_file(ENCODER, RUN_1, 1))
    assert len(moved(mended(workspace))) == 1


def test_the_next_run_redoes_what_was_set_aside_and_nothing_else(archive: Callable[[int], Archive]) -> None:
    made = archive(12)
    made.image(3).write_bytes(b"")
    made.backfill()
    before = made.rows("SELECT gridimage_id, scores FROM predictions_newest ORDER BY 1")
    broken = sorted(made.workspace.predictions.rglob("*.parquet"))[1]
    flip(broken)
    with pytest.raises(StorageError, match=broken.name) as raised:
        os.truncate(broken, 100)
        made.backfill()
    assert "verify --repair" in str(raised.value.hint)
    mended(made.workspace)
    redone = made.backfill()
    assert (redone.photos, redone.predicted, redone.images_encoded) == (5, 5, 0)
    assert made.rows("SELECT gridimage_id, scores FROM predictions_newest ORDER BY 1") == before
    assert problems(made.workspace) == []


def test_a_repair_that_is_killed_can_be_done_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    two_runs(workspace)
    for file in (PREDICTIONS, EMBEDDINGS, FAILURES):
        flip(workspace.root / file)
    record(workspace, RUN_1, status="running", embedded=4, predicted=4, failed=1)
    kills = 0

    def move_or_die(path: Path, final: Path) -> None:
        nonlocal kills
        move_away(path, final)
        kills += 1
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(quarantine_module, "move_away", move_or_die)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                repair(workspace, load_config(workspace, {}))
    assert kills == 3
    assert not any((workspace.root / file).exists() for file in (PREDICTIONS, EMBEDDINGS, FAILURES))
    mended(workspace)


def test_a_broken_file_of_decisions_is_set_aside_and_the_others_count_on(workspace: Workspace) -> None:
    two_runs(workspace)
    for photo in (2, 3):
        append_decisions(workspace, [Decision(photo, tag_names()[0], "accept", "Ann", "review")])
    first, second = workspace.dataset_files("decisions")
    second.write_bytes(second.read_bytes()[:-9])
    (workspace.decisions / "notes.txt").write_text("")
    assert moved(mended(workspace)) == [f"decisions/{second.name}", "decisions/notes.txt"]
    assert rows_of(workspace, "SELECT gridimage_id FROM decisions_newest") == [(2,)]
    assert first.exists()


def test_a_repair_waits_for_no_run(workspace: Workspace) -> None:
    with hold_lock(two_runs(workspace)), pytest.raises(LockedError):
        repair(workspace, load_config(workspace, {}))


def test_a_sound_workspace_is_left_as_it_is(workspace: Workspace) -> None:
    two_runs(workspace)
    record_before = read_run_record(workspace, RUN_1)
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*.parquet")}
    done = repair(workspace, load_config(workspace, {}))
    assert (done.moved, done.folders, done.missing, done.report.problems) == ([], [], [], [])
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*.parquet")} == before
    assert read_run_record(workspace, RUN_1) == record_before
    write_run_record(workspace, replace(record_before, status="done"))
