"""What any engine must do: the same tests for the local one and for Ray's, with two workers on one machine.

A cluster of several machines, and what happens when they die, is in tests/faults/clusters.py.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError, FailureBudgetError, ImageRootError
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.engine import EngineOptions
from geotag_batch.run.plan import Selection
from geotag_batch.run.verify import verify
from geotag_batch.write.runs import RunRecord, read_run_records
from tests.faults.clusters import workers_of
from tests.heads import make_head
from tests.run.conftest import Archive
from tests.run.processes import wait_for

pytestmark = pytest.mark.slow

Make = Callable[[int], Archive]
LOCAL = EngineOptions()
GEOTAG = [sys.executable, "-c", "from geotag_batch.jobs.cli import main; main()"]
OUTCOMES = (
    "SELECT gridimage_id, tags, scores, top_tag, forced, has_image, title_hash, image_signature, latitude, policy_id "
    "FROM predictions_all ORDER BY gridimage_id"
)


@pytest.fixture(params=["local", "ray"])
def engine(request: pytest.FixtureRequest) -> EngineOptions:
    """Return each engine in turn."""
    if request.param == "local":
        return LOCAL
    return EngineOptions("ray", request.getfixturevalue("cluster").address, cpus_per_worker=1)


def break_some(made: Archive) -> None:
    """Leave photo 2 without image, photo 3 with an empty one, photo 4 with half of one."""
    made.image(2).unlink()
    made.image(3).write_bytes(b"")
    made.image(4).write_bytes(made.image(4).read_bytes()[:-200])


def counts(record: RunRecord) -> tuple[Any, ...]:
    """Return what a record counts that does not depend on who did it."""
    return (
        record.status,
        record.exit_code,
        record.chunks,
        record.photos,
        record.predicted,
        record.failed,
        record.embedded,
        record.images_encoded,
        record.failures,
        record.precision,
        record.device,
    )


def test_what_comes_out_is_the_same_whatever_does_it(archive: Make, engine: EngineOptions) -> None:
    made = archive(23)
    break_some(made)
    made.engine = engine
    record = made.backfill()
    failures = {"missing": 1, "empty": 1, "truncated": 1}
    assert counts(record) == ("done", 0, 5, 23, 20, 3, 20, 20, failures, "float32", "cpu")
    assert read_run_records(made.workspace) == [record]
    failed = made.rows("SELECT gridimage_id, error_class FROM failures ORDER BY 1")
    assert failed == [(2, "missing"), (3, "empty"), (4, "truncated")]
    outcomes = made.rows(OUTCOMES)
    made.engine = LOCAL
    made.backfill(redo_before=datetime(2999, 1, 1), reembed=True)
    again = made.rows(OUTCOMES.replace("predictions_all", "predictions"))
    assert outcomes == again
    assert not verify(made.workspace).problems
    assert made.backfill().photos == 0


def test_another_head_is_scored_without_opening_an_image_and_the_newest_wins(
    archive: Make, engine: EngineOptions
) -> None:
    made = archive(12)
    made.backfill()
    made.use(make_head(made.workspace, FakeEncoder.encoder_id, seed=2))
    made.backfill(limit=6)
    for number in range(1, 13):
        made.image(number).unlink()
    made.engine = engine
    record = made.backfill(redo_before=datetime(2999, 1, 1))
    assert (record.predicted, record.embedded, record.failed, record.precision) == (12, 0, 0, None)
    assert made.rows("SELECT count(*), min(run_id) FROM predictions") == [(12, record.run_id)]
    assert not verify(made.workspace).problems


def test_too_many_first_failures_end_the_run_with_code_6(archive: Make, engine: EngineOptions) -> None:
    made = archive(480)
    set_key(made.workspace, "run.chunk_size", 120)
    for number in range(121, 481):
        made.image(number).write_bytes(b"not an image")
    made.engine = engine
    with pytest.raises(FailureBudgetError, match=r"photos failed at their first attempt.*not_an_image 120") as raised:
        made.backfill()
    assert raised.value.exit_code == 6
    (record,) = read_run_records(made.workspace)
    assert (record.status, record.exit_code, record.predicted) == ("failed", 6, 120)
    assert record.failed <= 120  # of a chunk that was alone too small to tell
    assert not verify(made.workspace).problems


def test_an_image_root_that_is_gone_marks_no_photo_as_failed(archive: Make, engine: EngineOptions) -> None:
    made = archive(6)
    made.engine = engine
    (made.workspace.root / "images").rename(made.workspace.root / "unmounted")
    with pytest.raises(ImageRootError):
        made.backfill()
    assert not list(made.workspace.failures.rglob("*.parquet"))


def test_an_encoder_that_does_not_make_what_is_stored_is_refused(archive: Make, engine: EngineOptions) -> None:
    made = archive(9)
    made.backfill(limit=6)
    for path in made.workspace.dataset_files("embeddings"):
        table = pq.read_table(path)
        (place,) = [i for i, name in enumerate(table.column_names) if name == "image_embedding"]
        vectors = np.stack(table["image_embedding"].to_numpy(zero_copy_only=False))
        turned = pa.FixedSizeListArray.from_arrays(pa.array(-vectors.ravel()), vectors.shape[1])
        pq.write_table(table.set_column(place, table.schema.field(place), turned), path)
    made.engine = engine
    with pytest.raises(EncoderError, match="the encoder does not make what is stored"):
        made.backfill()
    assert read_run_records(made.workspace)[-1].photos == 0


def test_a_window_that_is_over_ends_the_run_and_the_next_one_goes_on(archive: Make, engine: EngineOptions) -> None:
    made = archive(14)
    made.engine = engine
    ended = made.backfill(seconds=0.0)
    assert (ended.status, ended.stop_reason, ended.exit_code) == ("window", "the time window is over", 0)
    made.engine = LOCAL
    rest = made.backfill()
    assert ended.photos + rest.photos == 14
    assert made.rows("SELECT count(*), count(DISTINCT gridimage_id) FROM predictions_all") == [(14, 14)]


def test_embedding_alone_needs_no_head_and_stops_at_the_limit(archive: Make, engine: EngineOptions) -> None:
    made = archive(12)
    break_some(made)
    set_key(made.workspace, "head.current", "")
    record = run_embed(made.workspace, made.config, Job("embed", Selection(limit=8), engine=engine))
    assert (record.status, record.stop_reason, record.exit_code) == ("window", "--limit reached", 0)
    assert (record.embedded, record.failed, record.predicted, record.head) == (5, 3, 0, None)
    assert not verify(made.workspace).problems


def test_a_signal_commits_what_is_finished_and_the_next_run_goes_on(archive: Make, engine: EngineOptions) -> None:
    made = archive(400)
    options = ["--engine", engine.name]
    if engine.name == "ray":
        options += ["--ray-address", engine.address, "--workers", "1", "--cpus-per-worker", "1"]
    command = [*GEOTAG, "backfill", *options, "-C", str(made.workspace.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(made.workspace.predictions.rglob("*.parquet")))
        process.send_signal(signal.SIGTERM)
        said, logged = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM, logged
    (record,) = read_run_records(made.workspace)
    assert (record.status, record.stop_reason) == ("stopped", "by SIGTERM")
    assert 0 < record.photos < 400
    assert made.rows("SELECT count(*) FROM predictions") == [(record.photos,)]
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT", line) for line in logged.splitlines()
    )  # the job's own lines, nobody else's
    assert said.startswith(f"run {record.run_id}: stopped")
    assert ("go on with: geotag backfill --engine ray" in said) == (engine.name == "ray")
    assert not verify(made.workspace).problems
    set_key(made.workspace, "run.chunk_size", 400)
    made.engine = replace(LOCAL)
    assert made.backfill().photos == 400 - record.photos


def test_a_worker_that_is_killed_costs_nothing(archive: Make, cluster: Any) -> None:  # noqa: ANN401
    made = archive(260)
    command = [*GEOTAG, "backfill", "--engine", "ray", "--ray-address", cluster.address, "--cpus-per-worker", "1"]
    with subprocess.Popen([*command, "-C", str(made.workspace.root)], stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(made.workspace.predictions.rglob("*.parquet")))
        os.kill(workers_of(cluster)[0], signal.SIGKILL)
        _, logged = process.communicate(timeout=40)
    assert process.returncode == 0, logged
    assert re.search(r"WARNING a worker on \S+ was lost", logged)
    assert made.rows("SELECT count(*), count(DISTINCT gridimage_id) FROM predictions_all") == [(260, 260)]
    assert not verify(made.workspace).problems
