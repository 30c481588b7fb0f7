"""The parts of the Ray engine that need no cluster: how large a pool, what a worker does, what is refused."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

from geotag_batch.errors import ClusterError, ConfigError, GeotagError
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.engine import EngineOptions
from geotag_batch.run.plan import Selection, make_plan
from geotag_batch.run.ray_engine import pool_size
from geotag_batch.run.ray_worker import RayWorker, table_bytes
from geotag_batch.run.verify import verify
from geotag_batch.run.worker import Budget, ChunkDone, Order
from geotag_batch.write.claims import claims_of
from geotag_batch.write.dataset import ChunkName
from jobs.cli import cli
from tests.builders import RUN_1
from tests.data import write_run
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    """Return a node as Ray lists it."""
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.mark.parametrize(
    ("options", "nodes", "expected"),
    [
        (EngineOptions(), [node(8), node(8)], (2, 8)),  # one worker with all of a machine's cores
        (EngineOptions(), [node(0), node(8), node(8), node(4, alive=False)], (2, 8)),
        (EngineOptions(), [node(16), node(8)], (3, 8)),  # the larger one has room for two
        (EngineOptions(workers=4), [node(8), node(8)], (4, 4)),
        (EngineOptions(workers=3), [node(1), node(1), node(1)], (3, 1)),
        (EngineOptions(cpus_per_worker=2), [node(8), node(4)], (6, 2)),
        (EngineOptions(gpus_per_worker=1), [node(32, 4), node(64)], (4, 8)),
        (EngineOptions(gpus_per_worker=0.5), [node(16, 1)], (2, 8)),
        (EngineOptions(workers=100), [node(4)], (50, 1)),  # no more than there are chunks
    ],
)
def test_workers_share_out_the_machines(
    options: EngineOptions, nodes: list[dict[str, Any]], expected: tuple[int, int]
) -> None:
    assert pool_size(options, nodes, chunks=50) == expected


@pytest.mark.parametrize(
    "options", [EngineOptions(gpus_per_worker=1), EngineOptions(cpus_per_worker=16), EngineOptions(gpus_per_worker=0.5)]
)
def test_a_cluster_without_room_for_a_worker_is_refused(options: EngineOptions) -> None:
    with pytest.raises(ClusterError, match="none of the cluster's"):
        pool_size(options, [node(8), node(4)], chunks=50)


def test_without_the_extra_the_error_says_what_to_install(archive: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(1)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="needs Ray, which is not installed") as raised:
        run_backfill(made.workspace, made.config, Job("backfill", Selection(), engine=EngineOptions("ray")))
    assert "geotag-batch[ray]" in str(raised.value.hint)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://somewhere:10001", "nonsense"])
def test_a_cluster_that_cannot_be_reached_is_named(address: str, archive: Make) -> None:
    made = archive(1)
    with pytest.raises(ClusterError, match=f"there is no Ray cluster at {address}"):
        run_backfill(made.workspace, made.config, Job("backfill", Selection(), engine=EngineOptions("ray", address)))


@pytest.fixture
def send(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Archive], "Sent"]]:
    """Return a function that plans a run over an archive and sends it to workers; they are closed at the end."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # put back, for a worker sets it
    made: list[Sent] = []

    def plan(archive: Archive) -> Sent:
        made.append(Sent(archive))
        return made[-1]

    yield plan
    for sent in made:
        for worker in sent.workers:
            worker.close()


@pytest.mark.parametrize("option", ["--ray-address=auto", "--gpus-per-worker=1", "--cpus-per-worker=2"])
def test_options_of_ray_are_refused_without_it(archive: Make, option: str) -> None:
    made = archive(1)
    done = CliRunner().invoke(cli, ["backfill", option, "-C", str(made.workspace.root)])
    assert done.exit_code == 2
    assert f"{option.partition('=')[0]} goes with --engine ray" in done.output


class Sent:
    """A run's order and chunks as its driver would send them, and workers in this process that take them."""

    def __init__(self, made: Archive) -> None:
        """Plan over the archive, as the current head wants."""
        self.workers: list[RayWorker] = []
        self.workspace = made.workspace
        with make_plan(made.workspace, made.config, Selection()) as plan:
            self.tables = list(plan.iter_chunks())
            target = plan.target
        self.order = Order(
            workspace=made.workspace,
            config=made.config,
            run_id=RUN_1,
            encoder_id=target.encoder_id,
            head_id=target.head_id,
            policy_id=target.policy_id,
            dim=512,
            encodes=True,
            images=True,
            canary=None,
        )
        claims_of(made.workspace, RUN_1).open()

    def worker(self) -> RayWorker:
        """Return a worker that is ready."""
        worker = RayWorker(self.order, 1)
        self.workers.append(worker)
        ready = worker.prepare(self.order.config)
        assert not isinstance(ready, GeotagError), ready
        return worker

    def do(self, worker: RayWorker, number: int, *, again: bool = False) -> ChunkDone:
        """Let a worker do a chunk."""
        done = worker.work(number, table_bytes(self.tables[number - 1]), Budget(), again=again)
        assert isinstance(done, ChunkDone), done
        return done


Send = Callable[[Archive], Sent]


def plain(done: ChunkDone) -> tuple[Any, ...]:
    """Return the counts that must not depend on how often a chunk was done."""
    return done.photos, done.predicted, done.failed, done.embedded, done.failures, done.first_attempts, done.left


def committed(workspace: Any) -> dict[Path, bytes]:  # noqa: ANN401
    """Return the committed files."""
    datasets = ("embeddings", "failures", "predictions")
    return {path: path.read_bytes() for dataset in datasets for path in workspace.dataset_files(dataset)}


@pytest.mark.parametrize("again", [True, False])
def test_a_chunk_done_twice_is_committed_once_and_counted_alike(archive: Make, send: Send, again: bool) -> None:
    made = archive(10)
    made.image(3).unlink()
    sent = send(made)
    first = sent.do(sent.worker(), 1)
    files = committed(made.workspace)
    second = sent.do(sent.worker(), 1, again=again)  # not told that it was done: found out when it would commit
    assert plain(second) == plain(first)
    assert second.first_failures == first.first_failures == 1
    assert committed(made.workspace) == files
    assert sent.do(sent.worker(), 2, again=again).photos == 5
    write_run(made.workspace, RUN_1, photos=10, predicted=9, failed=1, embedded=9, pending=10, head=sent.order.head_id)
    assert not verify(made.workspace).problems


def test_of_a_chunk_whose_worker_was_lost_while_it_committed_the_rest_is_left_to_the_next_run(
    archive: Make, send: Send
) -> None:
    made = archive(10)
    made.image(3).unlink()
    sent = send(made)
    sent.do(sent.worker(), 1)
    (predictions,) = made.workspace.dataset_files("predictions")
    predictions.unlink()
    done = sent.do(sent.worker(), 1, again=True)
    assert (done.photos, done.embedded, done.failed, done.predicted, done.left) == (1, 4, 1, 0, 4)
    claims_of(made.workspace, RUN_1).end()
    record = made.backfill()
    assert (record.predicted, record.images_encoded) == (9, 5)
    assert not [problem for problem in verify(made.workspace).problems if RUN_1 not in problem.where]


def test_a_chunk_whose_worker_was_lost_before_it_committed_anything_is_done_anew(archive: Make, send: Send) -> None:
    sent = send(archive(10))
    name = ChunkName(RUN_1, 1, sent.order.encoder_id, sent.order.head_id, None, None)
    with claims_of(sent.workspace, RUN_1).claim(name, 512):
        pass
    done = sent.do(sent.worker(), 1, again=True)
    assert (done.photos, done.predicted, done.left) == (5, 5, 0)


def test_a_worker_that_outlives_its_run_commits_nothing(archive: Make, send: Send) -> None:
    made = archive(10)
    sent = send(made)
    worker = sent.worker()
    sent.do(worker, 1)
    record = made.backfill()  # as after a driver that was killed: it ends what an earlier run may still claim
    assert record.photos == 5
    files = committed(made.workspace)
    late = sent.do(worker, 2)
    assert (late.photos, late.left) == (0, 5)
    assert committed(made.workspace) == files


def test_a_claim_tells_who_is_busy_from_who_is_gone_and_is_given_to_nobody_when_the_run_has_ended(
    archive: Make,
) -> None:
    claims = claims_of(archive(1).workspace, RUN_1)
    names = [ChunkName(RUN_1, number, None, None, None, None) for number in (1, 2)]
    claims.open()
    with claims.claim(names[0], 512) as first:
        assert first
        assert not claims.settle(1, lambda: True)  # its owner is busy
    assert claims.settle(1, lambda: True)
    claims.end()
    with claims.claim(names[1], 512) as late:
        assert not late


def test_another_version_is_refused_naming_both(archive: Make, send: Send) -> None:
    worker = RayWorker(send(archive(1)).order, 1)
    answer = worker.arrive("9.9.9")
    assert isinstance(answer, ClusterError)
    assert "9.9.9" in answer.message
    assert isinstance(worker.arrive("0.1.0"), str)


def test_what_a_worker_is_sent_arrives_as_it_was(archive: Make, send: Send) -> None:
    (table,) = send(archive(3)).tables
    assert pa.ipc.open_stream(table_bytes(table)).read_all().equals(table)
