"""The whole job on a small archive: what is committed, what is redone, and what an error leaves behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from geotag_batch.config import set_key
from geotag_batch.encode.encoder import EncoderMemoryError
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError, FailureBudgetError, ImageRootError, LockedError, StorageError
from geotag_batch.run import formats, worker
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.heads import set_policy
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.plan import Selection
from geotag_batch.run.status import get_status
from geotag_batch.write.dataset import commit_chunk
from geotag_batch.write.decisions import hold_decisions
from geotag_batch.write.runs import read_run_records
from tests.builders import query
from tests.heads import make_head
from tests.run.conftest import Archive
from tests.run.processes import processes_of, wait_for

Make = Callable[[int], Archive]
GEOTAG = [sys.executable, "-c", "from geotag_batch.jobs.cli import main; main()"]


def geotag(archive: Archive, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [*GEOTAG, *arguments, "-C", str(archive.workspace.root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_photo_becomes_one_prediction_that_duckdb_reads(archive: Make) -> None:
    made = archive(12)
    record = made.backfill()
    assert (record.status, record.exit_code, record.chunks) == ("done", 0, 3)
    assert (record.photos, record.predicted, record.embedded, record.failed) == (12, 12, 12, 0)
    assert (record.images_encoded, record.titles_encoded) == (12, 7)
    rows = made.rows("SELECT gridimage_id, title, len(tags) > 0, has_image, has_title, has_location FROM predictions")
    assert sorted(rows) == [(number, f"Photo {number % 7}", True, True, True, True) for number in range(1, 13)]
    assert read_run_records(made.workspace) == [record]


def test_scores_are_the_heads_sigmoid_of_the_embeddings_as_stored(archive: Make) -> None:
    made = archive(4)
    made.backfill()
    weight, bias = made_weights(made)
    glob = f"{made.workspace.root}/embeddings/encoder=*/*.parquet"
    stored = query(f"SELECT image_embedding, title_embedding FROM '{glob}' ORDER BY gridimage_id")
    (place,) = set(made.rows("SELECT latitude, longitude FROM predictions"))
    located = [(place[0] - 49.9) / (61.9 - 49.9), (place[1] + 8.6) / (2.1 + 8.6)]
    features = np.array([[*image, *title, *located] for image, title in stored], np.float64)
    expected = 1 / (1 + np.exp(-(features @ weight.T + bias)))
    assert np.abs(made.scores(made.config.head.current or "") - expected).max() < 1e-5


def made_weights(made: Archive) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the current head's tensors with the safetensors library itself."""
    tensors = load_file(made.workspace.head_dir(made.config.head.current or "") / "head.safetensors")
    return tensors["weight"].astype(np.float64), tensors["bias"].astype(np.float64)


def test_a_second_run_has_nothing_to_do_and_writes_nothing(archive: Make) -> None:
    made = archive(3)
    made.backfill()
    before = {path: path.stat().st_mtime_ns for path in made.workspace.root.rglob("*") if path.is_file()}
    record = made.backfill()
    assert (record.status, record.exit_code, record.photos) == ("done", 0, 0)
    assert {path: path.stat().st_mtime_ns for path in made.workspace.root.rglob("*") if path.is_file()} == before


def test_force_tags_again_and_the_newest_prediction_wins(archive: Make) -> None:
    made = archive(3)
    made.backfill()
    record = made.backfill(redo_before=datetime(2999, 1, 1))
    assert (record.predicted, record.embedded, record.images_encoded) == (3, 0, 0)
    assert made.rows("SELECT count(*), min(run_id) FROM predictions") == [(3, record.run_id)]
    assert made.rows("SELECT count(*) FROM predictions_all") == [(6,)]
    again = made.backfill(redo_before=datetime(2999, 1, 1), reembed=True)
    assert (again.predicted, again.embedded, again.images_encoded) == (3, 3, 3)


def test_another_head_is_scored_without_opening_an_image(archive: Make) -> None:
    made = archive(6)
    made.backfill()
    first = made.config.head.current
    made.use(make_head(made.workspace, FakeEncoder.encoder_id, seed=2))
    for number in range(1, 7):
        made.image(number).unlink()
    record = made.backfill()
    assert (record.predicted, record.embedded, record.failed) == (6, 0, 0)
    pairs = made.rows("SELECT gridimage_id, head_a, head_b FROM head_diff")
    assert pairs and {row[1:] for row in pairs} == {tuple(sorted((str(first), str(made.config.head.current))))}


def test_scoring_now_and_scoring_again_later_give_identical_numbers(archive: Make) -> None:
    made = archive(11)
    made.backfill()
    head = str(made.config.head.current)
    before = made.scores(head)
    set_key(made.workspace, "run.chunk_size", 3)
    made.backfill(redo_before=datetime(2999, 1, 1))
    assert np.array_equal(before, made.scores(head))


def test_another_policy_decides_again_from_stored_scores_alone(archive: Make) -> None:
    made = archive(4)
    made.backfill()
    head = str(made.config.head.current)
    before = made.scores(head)
    set_policy(made.workspace, head, threshold=0.999, at_least_one=True)
    for path in (*made.workspace.embeddings.rglob("*.parquet"), *made.image(1).parent.iterdir()):
        path.unlink()
    record = made.backfill()
    assert (record.predicted, record.embedded) == (4, 0)
    assert np.array_equal(before, made.scores(head))
    forced = int((before.max(axis=1) <= 0.999).sum())
    assert forced and made.rows("SELECT count(*) FROM predictions WHERE len(tags) = 1 AND forced") == [(forced,)]


def test_a_changed_title_makes_a_whole_new_embedding_from_the_stored_image(archive: Make) -> None:
    made = archive(2)
    made.backfill()
    made.image(1).unlink()
    made.photos[0]["title"] = "Something else"
    made.write()
    record = made.backfill()
    assert (record.predicted, record.images_encoded, record.titles_encoded, record.embedded) == (1, 0, 1, 1)
    glob = f"{made.workspace.root}/embeddings/encoder=*/*.parquet"
    rows = query(
        f"SELECT count(DISTINCT image_embedding), count(DISTINCT title_embedding), count(DISTINCT image_signature) "
        f"FROM '{glob}' WHERE gridimage_id = 1"
    )
    assert rows == [(1, 2, 1)]


def test_an_updated_photo_whose_image_is_the_same_is_not_encoded_again(archive: Make) -> None:
    made = archive(2)
    made.backfill()
    for photo in made.photos:
        photo["updated_at"] = datetime(2999, 1, 1)
    made.write()
    made.draw(2, shade=200)
    os.utime(made.image(2), (1, 1))
    record = made.backfill()
    assert (record.predicted, record.images_encoded, record.embedded) == (2, 1, 1)


def test_changed_images_are_found_where_asked_for(archive: Make) -> None:
    made = archive(3)
    made.backfill()
    made.draw(2, shade=200)
    os.utime(made.image(2), (1, 1))
    assert made.backfill().photos == 0
    record = made.backfill(check_images=True)
    assert (record.photos, record.images_encoded) == (1, 1)
    assert made.backfill(check_images=True).photos == 0


def test_one_bad_image_costs_one_photo(archive: Make) -> None:
    made = archive(9)
    made.image(2).write_text("<html>no such page</html>")
    made.image(3).write_bytes(made.image(3).read_bytes()[:-200])
    made.image(4).write_bytes(b"")
    made.image(5).unlink()
    record = made.backfill()
    assert (record.photos, record.predicted, record.failed) == (9, 5, 4)
    rows = made.rows("SELECT gridimage_id, error_class, permanent, attempts FROM failures ORDER BY gridimage_id")
    assert rows == [
        (2, "not_an_image", True, 1),
        (3, "truncated", True, 1),
        (4, "empty", True, 1),
        (5, "missing", False, 1),
    ]
    assert made.backfill().photos == 0


def test_a_failed_photo_is_retried_when_due_and_then_forgotten(archive: Make) -> None:
    made = archive(2)
    made.image(1).unlink()
    made.backfill()
    set_key(made.workspace, "run.retry_after_hours", 0.0)
    assert made.backfill().photos == 0  # the wait that was set when it failed still counts
    assert made.backfill(retry_failed=True).failed == 1
    assert made.rows("SELECT attempts FROM failures") == [(2,)]
    made.draw(1)
    assert made.backfill().predicted == 1
    assert made.rows("SELECT count(*) FROM failures") == [(0,)]


def test_too_many_first_failures_stop_the_run_and_commit_nothing_of_the_chunk(archive: Make) -> None:
    made = archive(240)
    set_key(made.workspace, "run.chunk_size", 120)
    for number in range(121, 200):
        made.image(number).write_bytes(b"not an image")
    with pytest.raises(FailureBudgetError, match=r"79 of 240 photos failed at their first attempt.*not_an_image 79"):
        made.backfill()
    assert made.rows("SELECT count(*) FROM predictions") == [(120,)]
    assert made.rows("SELECT count(*) FROM failures") == [(0,)]
    (record,) = read_run_records(made.workspace)
    assert (record.status, record.exit_code, record.photos) == ("failed", 6, 120)


@pytest.mark.parametrize("state", ["gone", "empty"])
def test_an_image_root_that_is_not_there_marks_no_photo_as_failed(archive: Make, state: str) -> None:
    made = archive(3)
    images = made.workspace.root / "images"
    images.rename(made.workspace.root / "unmounted")
    if state == "empty":
        images.mkdir()
    with pytest.raises(ImageRootError):
        made.backfill()
    assert not list(made.workspace.failures.rglob("*.parquet"))
    (made.workspace.root / "unmounted").rename(images) if state == "gone" else None


def test_an_image_root_that_goes_away_during_the_run_marks_no_photo_as_failed(
    archive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(300)

    def commit_and_unmount(*arguments: Any) -> None:  # noqa: ANN401
        commit_chunk(*arguments)
        if (made.workspace.root / "images").exists():
            (made.workspace.root / "images").rename(made.workspace.root / "unmounted")

    monkeypatch.setattr(worker, "commit_chunk", commit_and_unmount)
    with pytest.raises(ImageRootError):
        made.backfill()
    assert made.rows("SELECT count(*) FROM failures") == [(0,)]
    assert 5 <= made.rows("SELECT count(*) FROM predictions")[0][0] < 300


def test_an_encoder_that_is_not_the_heads_is_refused_naming_both(archive: Make) -> None:
    made = archive(2)
    made.use(make_head(made.workspace, "ViT-B-32-quickgelu-12345678", seed=3))
    with pytest.raises(EncoderError, match=rf"ViT-B-32-quickgelu-12345678.*{FakeEncoder.encoder_id}"):
        made.backfill()


def test_weights_other_than_those_of_the_stored_embeddings_are_refused(
    archive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(2)
    made.backfill()
    monkeypatch.setattr(FakeEncoder, "weights_sha256", "f" * 64)
    with pytest.raises(EncoderError, match="are not those that made its stored embeddings"):
        made.backfill(redo_before=datetime(2999, 1, 1), reembed=True)


def test_a_second_writer_is_told_that_the_workspace_is_locked(archive: Make) -> None:
    made = archive(1)
    with hold_lock(made.workspace):
        done = geotag(made, "backfill")
    assert done.returncode == 75
    assert "another geotag command is writing" in done.stderr
    with hold_lock(made.workspace), pytest.raises(LockedError), hold_lock(made.workspace):
        pass


def test_the_time_window_ends_the_run_and_the_next_run_goes_on(archive: Make) -> None:
    made = archive(12)
    record = made.backfill(seconds=0.0)
    assert (record.status, record.exit_code, record.stop_reason) == ("window", 0, "the time window is over")
    assert record.photos < 12
    rest = made.backfill()
    assert rest.photos == 12 - record.photos
    assert made.rows("SELECT count(*), count(DISTINCT gridimage_id) FROM predictions_all") == [(12, 12)]


def test_a_limit_ends_the_run_after_so_many_photos(archive: Make) -> None:
    made = archive(8)
    record = made.backfill(limit=6)
    assert (record.status, record.stop_reason, record.photos, record.pending) == ("window", "--limit reached", 6, 8)


class _SmallMemory(FakeEncoder):
    """Takes two images at a time, and photo 3 (blue 200) not even alone."""

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(pixels) > 2 or (pixels[:, 0, 0, 2] > 150).any():
            raise EncoderMemoryError("too much")
        return super().encode_images(pixels)


def test_when_memory_runs_out_the_batch_halves_and_the_run_goes_on(
    archive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(8)
    made.draw(3, shade=250)
    monkeypatch.setattr(formats, "load_encoder", lambda *_: _SmallMemory())
    record = made.backfill()
    assert (record.predicted, record.failed, record.failures) == (7, 1, {"out_of_memory": 1})
    assert made.rows("SELECT gridimage_id, stage, encoder_id FROM failures") == [(3, "encode", FakeEncoder.encoder_id)]


class _ShortOfTitles(FakeEncoder):
    """Takes two titles at a time, and "Photo 3" not even alone."""

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        if len(titles) > 2 or "Photo 3" in titles:
            raise EncoderMemoryError("too much")
        return super().encode_titles(titles)


def test_a_title_that_does_not_fit_into_memory_costs_its_photos(archive: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(11)
    monkeypatch.setattr(formats, "load_encoder", lambda *_: _ShortOfTitles())
    record = made.backfill()
    assert (record.predicted, record.failures) == (9, {"out_of_memory": 2})
    assert made.rows("SELECT gridimage_id FROM failures ORDER BY 1") == [(3,), (10,)]


class _Overflowing(FakeEncoder):
    """Gives a title vector that float16 cannot hold."""

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        vectors = super().encode_titles(titles)
        vectors[[title == "Photo 2" for title in titles]] *= 1e6
        return vectors


def test_an_embedding_that_is_not_finite_as_stored_is_a_failure(archive: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(4)
    monkeypatch.setattr(formats, "load_encoder", lambda *_: _Overflowing())
    record = made.backfill()
    assert (record.predicted, record.embedded, record.failures) == (3, 3, {"bad_embedding": 1})


def test_embedding_alone_writes_no_predictions_and_makes_scoring_cheap(archive: Make) -> None:
    made = archive(4)
    for photo in made.photos[:3]:
        photo["tags"] = ["Coastal"]
    made.write()
    record = run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    assert (record.embedded, record.predicted, record.head) == (3, 0, None)
    assert run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged"))).photos == 0
    scored = made.backfill(select="tagged")
    assert (scored.predicted, scored.images_encoded) == (3, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_commits_what_is_finished_and_the_next_run_goes_on(archive: Make, number: signal.Signals) -> None:
    made = archive(200)
    command = [*GEOTAG, "backfill", "-C", str(made.workspace.root)]
    not_ignored = partial(signal.signal, number, signal.SIG_DFL)  # as it would be under nohup
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=not_ignored) as process:  # noqa: PLW1509
        wait_for(lambda: list(made.workspace.predictions.rglob("*.parquet")))
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    (record,) = read_run_records(made.workspace)
    assert (record.status, record.stop_reason) == ("stopped", f"by {number.name}")
    assert 0 < record.photos < 200
    assert made.rows("SELECT count(*) FROM predictions") == [(record.photos,)]
    set_key(made.workspace, "run.chunk_size", 200)
    assert made.backfill().photos == 200 - record.photos


def test_a_run_started_with_nohup_outlives_its_terminal(archive: Make) -> None:
    made = archive(60)
    ignored = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    command = [*GEOTAG, "backfill", "-C", str(made.workspace.root)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=ignored) as process:  # noqa: PLW1509
        wait_for(lambda: list(made.workspace.predictions.rglob("*.parquet")))
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert made.rows("SELECT count(*) FROM predictions") == [(60,)]


def test_a_killed_run_leaves_no_process_and_nothing_half_done(archive: Make) -> None:
    made = archive(300)
    for delay in (0.0, 0.05, 0.2):
        with subprocess.Popen([*GEOTAG, "backfill", "-C", str(made.workspace.root)], stderr=subprocess.PIPE) as process:
            before = len(list(made.workspace.predictions.rglob("*.parquet")))
            wait_for(partial(more_files_than, made, before))
            time.sleep(delay)
            process.kill()
        wait_for(lambda: not processes_of(made.workspace.root))
    set_key(made.workspace, "run.chunk_size", 300)
    made.backfill()
    rows = made.rows("SELECT count(*), count(DISTINCT gridimage_id) FROM predictions_all")
    assert rows == [(300, 300)]
    assert geotag(made, "verify").returncode == 0


def more_files_than(made: Archive, count: int) -> bool:
    """Return whether more than `count` files of predictions are committed."""
    return len(list(made.workspace.predictions.rglob("*.parquet"))) > count


@pytest.mark.parametrize("dataset", ["predictions", "embeddings", "failures"])
def test_a_damaged_committed_file_is_no_bug_but_an_error_that_names_it(archive: Make, dataset: str) -> None:
    made = archive(3)
    made.image(2).unlink()
    made.backfill()
    (path,) = made.workspace.dataset_files(dataset)
    os.truncate(path, path.stat().st_size - 9)
    with pytest.raises(StorageError, match=re.escape(path.name)):
        made.backfill(redo_before=datetime(2999, 1, 1))
    with pytest.raises(StorageError, match=re.escape(path.name)):
        get_status(made.workspace, made.config)


def test_a_run_with_nothing_to_do_imports_no_torch(archive: Make) -> None:
    made = archive(1)
    made.backfill()
    code = (
        "import sys; from geotag_batch.jobs.cli import cli; "
        f"cli.main(['backfill', '-C', {str(made.workspace.root)!r}], standalone_mode=False)"
    )
    script = f"try:\n    {code.replace('; ', chr(10) + '    ')}\nexcept SystemExit as end:\n    print(end.code)\n"
    script = "import sys\n" + script + "print('torch' in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-2:] == ["0", "False"]
    assert "nothing to do" in done.stdout


def test_the_summary_names_the_command_that_goes_on_with_the_same_redo_time(archive: Make) -> None:
    made = archive(3)
    done = geotag(made, "backfill", "--force", "--limit", "2")
    assert done.returncode == 0
    assert "go on with: geotag backfill --redo-before 2" in done.stdout


def test_what_killed_commands_staged_is_removed_unless_its_owner_is_at_work(archive: Make) -> None:
    made = archive(1)
    workspace = made.workspace
    left = [workspace.staging / "a-killed-run" / "x.staged", workspace.views_staging / "x", workspace.staging / "x"]
    in_use = workspace.decisions_staging / "x"
    for path in (*left, in_use):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    with hold_decisions(workspace):
        made.backfill()
    assert [path for path in (*left, in_use) if path.exists()] == [in_use]
    made.backfill()
    assert not in_use.exists()
