"""Workers of a cluster over a bucket: what they commit, and what they must not commit any more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from geotag_batch.config import load_config
from geotag_batch.lease import guard_of
from geotag_batch.locations import StorePath
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.engine import EngineOptions
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.plan import Selection
from geotag_batch.run.verify import verify
from geotag_batch.workspace import CONFIG_NAME, Workspace
from geotag_batch.write.claims import claims_of
from geotag_batch.write.dataset import ChunkName
from tests.builders import RUN_1
from tests.run.conftest import Archive
from tests.stores.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def server(cluster_server: Server) -> Server:
    """Return the server that the cluster's workers know: their variables are those of `ray start`."""
    return cluster_server


@pytest.fixture
def in_bucket(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Workspace]:
    """Return a function that copies a workspace into the bucket."""
    monkeypatch.setenv("GEOTAG_LEASE_SECONDS", "5")

    def copy(folder: Path) -> Workspace:
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix not in (".lock", ".duckdb"):
                server.write(bucket, f"an/archive/{path.relative_to(folder)}", path.read_bytes())
        return Workspace.find(f"s3://{bucket}/an/archive")

    return copy


def test_workers_over_a_bucket_commit_what_the_local_engine_commits_in_a_folder(
    workspace: Workspace,
    in_bucket: Callable[[Path], Workspace],
    server: Server,
    cluster: Any,  # noqa: ANN401
) -> None:
    made = Archive(workspace, 22)
    made.image(2).unlink()
    made.image(3).write_bytes(b"")
    stored = in_bucket(made.workspace.root)
    config = load_config(stored, {})
    job = Job("backfill", Selection(), engine=EngineOptions("ray", cluster.address, cpus_per_worker=1))
    record = run_backfill(stored, config, job)
    assert (record.status, record.predicted, record.failures) == ("done", 20, {"missing": 1, "empty": 1})
    made.backfill()
    bucket = stored.root.parts[1]
    copied = made.workspace.root.with_name("copied")
    for key in server.keys(bucket):
        path = copied / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(server.read(bucket, key))
    rows = "SELECT gridimage_id, tags, scores FROM '{}/predictions/*/*/*.parquet' ORDER BY 1"
    found = duckdb.execute(rows.format(copied / "an" / "archive")).fetchall()
    assert found == duckdb.execute(rows.format(made.workspace.root)).fetchall()
    assert not verify(stored).problems
    assert not [key for key in server.keys(bucket) if "/claims/" in key]


def test_a_chunk_is_claimed_once_and_by_nobody_without_the_runs_lease(
    workspace: Workspace, in_bucket: Callable[[Path], Workspace]
) -> None:
    stored = in_bucket(Archive(workspace, 1).workspace.root)
    names = [ChunkName(RUN_1, number, "encoder-1", "head-1", "policy-1", "0" * 64) for number in (1, 2, 3)]
    with hold_lock(stored):
        root = stored.root / CONFIG_NAME
        assert isinstance(root, StorePath)
        lease = guard_of(root)
        assert lease is not None
        claims = claims_of(stored, RUN_1, lease.holder.token)
        with claims.claim(names[0], 512) as first, claims.claim(names[0], 512) as second:
            assert (first, second) == (True, False)
        with claims_of(stored, RUN_1, "another's").claim(names[1], 512) as late:
            assert not late
    with claims.claim(names[2], 512) as late:  # the run has ended, and its lease is given back
        assert not late


def test_what_was_claimed_and_not_committed_is_occupied_before_the_next_run_plans(
    workspace: Workspace, in_bucket: Callable[[Path], Workspace]
) -> None:
    stored = in_bucket(Archive(workspace, 4).workspace.root)
    name = ChunkName(RUN_1, 1, "encoder-1", "head-1", "policy-1", "0" * 64)
    with claims_of(stored, RUN_1, None).claim(name, 512):
        pass
    record = run_backfill(stored, load_config(stored, {}), Job("backfill", Selection()))
    assert record.predicted == 4
    assert stored.predictions_file("head-1", RUN_1, 1).is_file()  # without rows: nobody can commit it any more
    assert not claims_of(stored, RUN_1).is_claimed(1)
