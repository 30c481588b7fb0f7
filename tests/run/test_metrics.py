"""The metrics files of runs and of the archive, read back with Prometheus's own parser."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.plan import Selection
from geotag_batch.run.watch import Watch
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import read_run_records
from jobs.cli import cli
from tests.builders import RUN_1
from tests.data import write_run
from tests.run.conftest import Archive

Make = Callable[[int], Archive]
OPERATING = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture(autouse=True)
def _log_handlers() -> Iterator[None]:
    """Take away what the commands hang into the logger."""
    yield
    logger = logging.getLogger("geotag")
    for handler in logger.handlers:
        handler.close()
    logger.handlers = []


def invoke(made: Archive, *words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [words[0], "-C", str(made.workspace.root), *words[1:]])


def backfill(made: Archive, metrics: Path, *words: str) -> Result:
    """Run a backfill that keeps `metrics`."""
    log = str(made.workspace.root.parent / "log")
    return invoke(made, "backfill", "--log-file", log, "--metrics-file", str(metrics), *words)


def read(path: Path) -> dict[str, float]:
    """Return the samples that the parser finds, by name and the labels that tell them apart."""
    found = {}
    for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
        assert family.documentation, family.name
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
            assert sample.labels.pop("workspace").endswith("/archive")
            command = sample.labels.pop("command", None)
            assert command in ("backfill", None)
            name = sample.name + "".join(f"{{{value}}}" for value in sample.labels.values())
            assert name not in found
            found[name] = sample.value
    return found


def test_what_runs_and_status_say_is_in_their_metrics_also_if_a_run_fails_and_operating_md_lists_every_one(
    archive: Make, tmp_path: Path
) -> None:
    made, path = archive(12), tmp_path / "collector" / "geotag.prom"
    path.parent.mkdir()
    made.image(2).unlink()
    made.image(3).write_bytes(b"")
    assert backfill(made, path, "--limit", "10").exit_code == 0
    first = read(path)
    (record,) = read_run_records(made.workspace)
    assert record.finished_at is not None
    assert (first["geotag_run_photos"], first["geotag_run_pending_photos"], first["geotag_photos_total"]) == (
        10,
        12,
        10,
    )
    assert (first["geotag_run_predicted_photos"], first["geotag_run_embedded_photos"]) == (8, 8)
    assert (first["geotag_run_running"], first["geotag_run_exit_code"]) == (0, 0)
    assert [name for name in first if name.startswith("geotag_run_ended") and first[name]] == [
        "geotag_run_ended{limit}"
    ]
    failed = {name: value for name, value in first.items() if name.startswith("geotag_run_failed_photos") and value}
    assert failed == {"geotag_run_failed_photos{missing}": 1, "geotag_run_failed_photos{empty}": 1}
    success = first["geotag_run_last_success_timestamp_seconds"]
    assert success == record.finished_at.replace(tzinfo=UTC).timestamp()
    assert first["geotag_run_start_timestamp_seconds"] < success == first["geotag_run_end_timestamp_seconds"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["geotag.prom"]

    images = made.workspace.root / "images"
    images.rename(made.workspace.root / "unmounted")
    assert backfill(made, path).exit_code != 0
    second = read(path)
    assert (second["geotag_run_exit_code"], second["geotag_run_ended{input}"], second["geotag_run_photos"]) == (4, 1, 0)
    assert second["geotag_run_last_success_timestamp_seconds"] == success
    assert (second["geotag_photos_total"], second["geotag_runs_total{limit}"]) == (10, 1)
    with hold_lock(made.workspace):
        backfill(made, path)
    assert (read(path)["geotag_run_exit_code"], read(path)["geotag_run_ended{locked}"]) == (75, 1)

    (made.workspace.root / "unmounted").rename(images)
    made.backfill()  # without metrics
    assert backfill(made, path).exit_code == 0  # nothing to do, and no record of it
    third = read(path)
    assert (third["geotag_run_ended{done}"], third["geotag_photos_total"], third["geotag_run_photos"]) == (1, 12, 0)
    assert third["geotag_run_last_success_timestamp_seconds"] > success
    assert first.keys() - third.keys() == {name for name in first if name.startswith("geotag_run_stage_seconds")}

    assert invoke(made, "status", "--metrics-file", str(path)).exit_code == 0
    samples, head = read(path), made.config.head.current
    assert (samples["geotag_archive_photos"], samples["geotag_archive_pending_photos"]) == (12, 0)
    assert samples[f"geotag_archive_predicted_photos{{{head}}}"] == 10
    failed_now = [samples[f"geotag_archive_{kind}failed_photos{{empty}}"] for kind in ("", "permanently_")]
    assert failed_now == [1, 1]
    assert samples["geotag_archive_disk_free_bytes"] > 0
    emitted = {re.sub(r"\{.*", "", name) for name in (*first, *samples)}
    tables = "\n".join(line for line in OPERATING.read_text(encoding="utf-8").splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(geotag_[a-z_]+)", tables)) == emitted


def test_while_a_run_goes_on_its_metrics_say_how_far_it_is(archive: Make, tmp_path: Path) -> None:
    made, path = archive(10), tmp_path / "geotag.prom"
    seen = []
    with Watch(made.workspace, "backfill", path) as watch:
        seen.append(read(path))

        def follow(record: object) -> None:
            watch.follow(record)  # type: ignore[arg-type]
            seen.append(read(path))

        run_backfill(made.workspace, made.config, replace(Job("backfill", Selection()), follow=follow))
    steps = [(each["geotag_run_running"], each["geotag_run_photos"], each["geotag_photos_total"]) for each in seen]
    assert steps == [(1, 0, 0), (1, 0, 0), (1, 5, 5), (1, 10, 10), (0, 10, 10)]
    assert "geotag_run_exit_code" not in seen[2]


def test_a_metrics_file_that_cannot_be_written_ends_the_run_before_it_begins(archive: Make, tmp_path: Path) -> None:
    made = archive(2)
    (tmp_path / "file").write_text("no folder")
    done = backfill(made, tmp_path / "file" / "geotag.prom", "--summary", "trouble")
    assert "cannot write" in str(done.exception)
    assert "FAILED\n  cannot write" in done.stdout
    assert read_run_records(made.workspace) == []


def test_runs_that_were_killed_are_counted_as_such(workspace: Workspace, tmp_path: Path) -> None:
    write_run(workspace, RUN_1, "running")
    path = tmp_path / "geotag.prom"
    path.write_text("# half a file\ngeotag_run_last_succ")
    with Watch(workspace, "backfill", path):
        pass
    assert (read(path)["geotag_runs_total{killed}"], read(path)["geotag_runs_total{done}"]) == (1, 0)
    assert "geotag_run_last_success_timestamp_seconds" not in read(path)
