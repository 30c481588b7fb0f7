"""Two commands on one bucket: who may write, who takes over, and what a paused one can still do."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import LockedError
from geotag_batch.run.lock import hold_lock, is_locked
from geotag_batch.run.verify import verify
from tests.heads import make_head
from tests.run.conftest import Archive
from tests.stores.archive import Stored
from tests.stores.proxy import proxied
from tests.stores.server import SECRET, Server

_HOLDER = """
import sys
from geotag_batch.atomic import write_bytes
from geotag_batch.errors import GeotagError
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
workspace = Workspace.find(sys.argv[1])
try:
    with hold_lock(workspace):
        print("held", flush=True)
        sys.stdin.readline()
        write_bytes(b"{}", workspace.root / "pruned" / "late.json", workspace.staging)
except GeotagError as error:
    print(error.message)
    sys.exit(error.exit_code)
"""


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOTAG_LEASE_SECONDS", "1.5")


@pytest.fixture
def stored(archive: Callable[[int], Archive], server: Server, bucket: str) -> Stored:
    """Return an archive of six photos in a bucket, whose head looks at no image."""
    local = archive(6)
    local.use(make_head(local.workspace, FakeEncoder.encoder_id, seed=1, modalities=("title", "location")))
    return Stored(server, bucket, local.workspace.root)


@pytest.fixture
def holder(stored: Stored) -> Iterator[subprocess.Popen[str]]:
    """Return a process that holds the lock, and writes a file when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, stored.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_of_two_commands_is_told_who_holds_the_lock(stored: Stored, holder: subprocess.Popen[str]) -> None:
    assert is_locked(stored.workspace)
    with pytest.raises(LockedError, match=rf"process {holder.pid} on \S+, since 20\d\d-"):
        stored.backfill()
    out, _ = holder.communicate("go on\n", timeout=20)
    assert (holder.returncode, out) == (0, "")
    assert stored.names("pruned/") == ["pruned/late.json"]
    assert not is_locked(stored.workspace)
    with hold_lock(stored.workspace):  # at once: it was given back
        pass


def test_the_lock_of_a_killed_command_is_taken_over_after_its_lease(
    stored: Stored, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()
    _when_free(lambda: _hold_for_a_moment(stored))
    assert not is_locked(stored.workspace)


def test_a_command_that_was_paused_past_its_lease_commits_nothing(
    stored: Stored, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    _when_free(lambda: _hold_for_a_moment(stored))
    before = stored.names()
    os.kill(holder.pid, signal.SIGCONT)
    out, _ = holder.communicate("go on\n", timeout=20)
    assert (holder.returncode, "has lost it" in out) == (75, True)
    assert stored.names() == before


def test_a_file_sent_by_a_command_that_was_paused_just_before_finds_its_name_occupied(
    stored: Stored, server: Server, tmp_path: Path
) -> None:
    """The one moment that no lease can guard: it was renewed, and the file is on its way."""
    paused, resumed = threading.Event(), threading.Event()

    def pause() -> None:
        paused.set()
        assert resumed.wait(60)

    with proxied(server.url) as proxy:
        proxy.inject("PUT", "/embeddings/", times=1, before=pause)
        environ = {**os.environ, "AWS_ENDPOINT_URL": proxy.url, "GEOTAG_SCRATCH": str(tmp_path / "other")}
        command = [sys.executable, "-m", "geotag_batch.jobs", "backfill", "-C", stored.url]
        late = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert paused.wait(60)
            os.kill(late.pid, signal.SIGSTOP)
            assert _when_free(stored.backfill).status == "done"
            os.kill(late.pid, signal.SIGCONT)
            resumed.set()
            out, err = late.communicate(timeout=60)
        finally:
            resumed.set()
            late.kill()
            late.wait()
    assert late.returncode == 75, out + err
    assert "has lost it" in err
    assert SECRET not in out + err
    runs = re.findall(r"runs/(\S+?)\.json", " ".join(stored.names()))
    assert len(runs) == 2
    doubled = "SELECT gridimage_id, count(*) AS n, min(run_id) AS run FROM predictions_all GROUP BY ALL ORDER BY ALL"
    assert stored.csv(doubled) == ["gridimage_id,n,run", *[f"{photo},1,{max(runs)}" for photo in range(1, 7)]]
    report = verify(stored.workspace)
    assert (report.problems, report.rows) == ([], {"embeddings": 6, "failures": 0, "predictions": 6})
    assert any(f"run {min(runs)} was interrupted" in note for note in report.notes)


Result = TypeVar("Result")


def _when_free(work: Callable[[], Result]) -> Result:
    """Return what `work` returns as soon as the lock is to be had, which its holder does not keep up."""
    for _ in range(100):
        try:
            return work()
        except LockedError:
            threading.Event().wait(0.1)
    raise AssertionError("the lock was never free")


def _hold_for_a_moment(stored: Stored) -> None:
    with hold_lock(stored.workspace):
        assert is_locked(stored.workspace)
