"""What a mail about a run holds, and when there is to be none."""

import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotag_batch.errors import FailureBudgetError, InputError
from geotag_batch.run.mail import mail_text, report_run, troubles_of
from geotag_batch.run.stop import signals_as_exits
from geotag_batch.run.watch import Watch
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, write_run_record
from jobs.cli import cli
from tests.builders import RUN_1, RUN_2
from tests.data import write_run
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def fits(text: str, workspace: Workspace) -> bool:
    """Return whether no line is wider than a mail's, but where the workspace's long path stands."""
    return all(len(line) <= 72 for line in text.splitlines() if str(workspace.root) not in line)


def test_a_mail_tells_what_was_done_what_failed_and_how_to_go_on(archive: Make) -> None:
    made = archive(12)
    made.image(2).unlink()
    made.image(3).write_bytes(b"")
    record = made.backfill(limit=10)
    record = replace(record, options={"redo_before": "2026-11-23T04:00:00", "ids": "some ids.txt", "reembed": "True"})
    text = mail_text(made.workspace, record, None, [])
    assert text.startswith(f"geotag backfill in {made.workspace.root}: done so far\n  --limit reached\n")
    assert f"  Run        {record.run_id}\n" in text
    assert "           10  of 12 pending photos, in 2 chunks\n            8  predicted\n            2  failed\n" in text
    assert "            1  empty: zero bytes" in text
    assert "Tried again by themselves, ever less often: missing." in text
    assert "Left alone until the image changes: empty." in text
    assert fits(text, made.workspace)
    *_, command = text.split("To go on before the next run\n")
    root = str(made.workspace.root)
    assert shlex.split(command.replace("\\\n", " ")) == [
        *("geotag", "backfill", "-C", root, "--ids", "some ids.txt"),
        *("--redo-before", "2026-11-23T04:00:00", "--reembed"),
    ]
    assert all(line.endswith("\\") for line in command.rstrip().splitlines()[:-1])
    asked = text.split('"FROM ')[1].split('"')[0]
    assert made.rows(f"SELECT count(*) FROM {asked}") == [(2,)]


def test_an_errors_hint_is_what_to_do_next(workspace: Workspace) -> None:
    watch = Watch(workspace, "backfill", None)
    with pytest.raises(FailureBudgetError), watch:
        raise FailureBudgetError("79 of 240 photos failed " + "again " * 30, hint="look at images.root")
    text = watch.summary("trouble")
    assert ": FAILED\n  79 of 240 photos failed again" in text
    assert "  Exit code  6\n\nWhat to do next\n  Look at images.root." in text
    assert "To go on" not in text  # what was asked for stands nowhere
    assert fits(text, workspace)
    assert watch.summary("short") == ""


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Let signals do what they do in a process of the command's own, whatever took them in this one."""
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    terminate = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_run_began_is_told_as_that(workspace: Workspace, number: signal.Signals) -> None:
    watch = Watch(workspace, "backfill", None)
    with pytest.raises((KeyboardInterrupt, SystemExit)), signals_as_exits(), watch:
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert (watch.record.status, watch.record.exit_code) == ("stopped", 128 + number)
    assert f": stopped\n  by {number.name}\n" in watch.summary("trouble")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_good_night_is_no_trouble_but_after_a_killed_one_or_with_a_full_disk_it_is(workspace: Workspace) -> None:
    good = write_run(workspace, RUN_2, pending=5, photos=5, predicted=5, head="a-head")
    assert report_run(workspace, None, only_trouble=True) == ""
    assert report_run(workspace, None).startswith(f"geotag backfill in {workspace.root}: done\n")
    write_run(workspace, RUN_1, "running", photos=3)
    (trouble,) = troubles_of(workspace, good)
    assert trouble.startswith(f"The run before, {RUN_1}, was killed after 3 photos")
    assert "What needs a look\n  The run before" in report_run(workspace, None, only_trouble=True)
    assert "was killed" not in report_run(workspace, RUN_1)  # itself, not the one before
    assert ": killed\n" in report_run(workspace, RUN_1, only_trouble=True)
    left = replace(good, run_id=RUN_1, pending=10**12)
    (trouble,) = troubles_of(workspace, left)
    assert "the next run would refuse to start" in trouble


def test_no_other_run_goes_on_with_an_import(workspace: Workspace) -> None:
    record = write_run(workspace, RUN_1, "running", command="import", encoder_id="a", options={"files": "/a/b.jsonl"})
    for ended in (record, replace(record, status="stopped", exit_code=143, stop_reason="by SIGTERM")):
        write_run_record(workspace, ended)
        text = " ".join(report_run(workspace, RUN_1).replace("\\\n", "").split())
        assert "No other run goes on with an import: start it again" in text
        assert "the next run goes on" not in text
        assert text.endswith(f"geotag embeddings import -C {workspace.root} /a/b.jsonl --encoder a")


def test_a_run_that_is_not_on_record_is_an_error_that_says_so(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="has no run on record"):
        report_run(workspace, None)
    write_run(workspace, RUN_1)
    with pytest.raises(InputError, match=r"has no run \.\./photos"):
        report_run(workspace, "../photos")
    shown = CliRunner().invoke(cli, ["report", "-C", str(workspace.root), RUN_1])
    assert shown.stdout.startswith(f"geotag backfill in {workspace.root}: done\n")


def test_hostile_text_stays_on_its_line(workspace: Workspace, tmp_path: Path) -> None:
    record = RunRecord(**{name: getattr(write_run(workspace, RUN_1), name) for name in RunRecord.__slots__})
    record = replace(
        record, status="failed", exit_code=4, stop_reason=f"{tmp_path}/a\nSubject: \x1b[2Jb cannot be read"
    )
    text = mail_text(workspace, record, None, [])
    assert "\n  Subject" not in text
    assert "\x1b" not in text
