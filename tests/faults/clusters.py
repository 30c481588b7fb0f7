"""A Ray cluster whose workers and machines die or freeze, and whose driver is killed; the long form only."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from geotag_batch.config import default_toml, set_key
from geotag_batch.workspace import Workspace
from tests.faults.invariants import Tally
from tests.faults.row import Row, row, rows_table
from tests.faults.trial import Bed, Trial
from tests.run.conftest import Archive
from tests.run.ray_cluster import ray_cluster
from tests.run.small_clip import use_small_clip

__all__ = [
    "as_local",
    "cluster_section",
    "driver_killed",
    "machine_frozen",
    "node_then_driver_killed",
    "worker_killed",
    "workers_of",
]

_NODES = 3
_SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_timeout_ms": 1000}
"""How soon Ray takes a machine that does not answer for dead: by default it waits half a minute."""


def cluster_section(tell: Callable[[Row], None]) -> tuple[str, bool]:
    """Run every row, and tell of each; return the table and whether each is clean."""
    with tempfile.TemporaryDirectory(prefix="geotag-faults-") as name, ray_cluster(_NODES, system=_SOON) as cluster:
        folder = Path(name)
        bed = Bed(folder / "bed", 500, chunk_size=4)
        made = []
        for run in (
            partial(as_local, cluster, folder / "clip"),
            partial(worker_killed, cluster, bed, rounds=10, seed=1),
            partial(driver_killed, cluster, bed, rounds=10, seed=2),
            partial(machine_frozen, cluster, bed, rounds=5, seed=3),
            partial(node_then_driver_killed, cluster, folder / "large"),
        ):
            made.append(run())
            tell(made[-1])
    return rows_table(made), all(each.tally.clean for each in made)


def as_local(cluster: Any, folder: Path) -> Row:  # noqa: ANN401
    """Let the local engine and three nodes do the same 2,000 photos with a real encoder, and compare the scores."""
    with row("none", "2,000 photos on three nodes with a small CLIP; compared with the local engine's scores") as made:
        (folder / "local").mkdir(parents=True)
        (folder / "local" / "geotag.toml").write_text(default_toml(), encoding="utf-8")
        archive = Archive(Workspace(folder / "local"), 2000)
        use_small_clip(archive, folder)
        set_key(archive.workspace, "run.chunk_size", 100)
        set_key(archive.workspace, "encoder.precision", "float32")
        shutil.copytree(folder / "local", folder / "cluster")
        tally = Tally()
        for place, job in (("local", ("backfill",)), ("cluster", _job(cluster))):
            done = Trial(Workspace(folder / place), folder / "none").run(*job)
            tally.expect(done.returncode == 0, f"{place}: ended with {done.returncode}: {done.stdout[-300:]}")
        ((photos, doubled, other_tags, most),) = duckdb.execute(
            f"""
            SELECT count(*), count(*) - count(DISTINCT gridimage_id), count(*) FILTER (l.tags <> c.tags),
                max(list_max(list_transform(list_zip(l.scores, c.scores), lambda two: abs(two[1] - two[2]))))
            FROM '{folder}/local/predictions/*/*/*.parquet' AS l
            JOIN '{folder}/cluster/predictions/*/*/*.parquet' AS c USING (gridimage_id)
            """
        ).fetchall()
        tally.lost, tally.doubled = 2000 - photos + doubled, doubled
        tally.expect(most < 1e-3, f"scores differ by up to {most}")
        tally.expect(not other_tags, f"{other_tags} photos have other tags")
        made.how += f": at most {most:.1g} apart"
        made.case(tally, "once")
    return made


def worker_killed(cluster: Any, bed: Bed, rounds: int, seed: int) -> Row:  # noqa: ANN401
    """Kill a worker at a random moment; the same run does what it was at, but for a chunk that is committed in part."""
    chance, left = random.Random(seed), 0
    with row("a worker killed", "SIGKILL of a Ray actor at random moments; the run goes on to its end") as made:
        for number in range(rounds):
            with bed.trial() as trial, _run(trial, cluster) as process:
                _wait_for_files(trial, process, chance.randrange(20, 110))
                time.sleep(chance.uniform(0, 0.2))
                killed = _signal(workers_of(cluster), signal.SIGKILL, first_only=True)
                said, _ = process.communicate(timeout=120)
                rest = "of lost workers are left to the next run" in said
                tally = trial.recover() if rest else trial.inspect(complete=True)
                tally.expect(process.returncode == 0, f"ended with {process.returncode}: {said[-300:]}")
                tally.expect(bool(killed), "there was no worker to kill")
                made.case(tally, f"round {number + 1}")
                left += rest
        made.how += f"; {left} were killed between two files of a chunk, and the next run did the rest"
    return made


def driver_killed(cluster: Any, bed: Bed, rounds: int, seed: int) -> Row:  # noqa: ANN401
    """Kill the driver at a random moment; the next run starts at once, while its workers may still be alive."""
    chance = random.Random(seed)
    how = "SIGKILL of geotag at random moments; the next run, started at once, does the rest"
    with row("the driver killed", how) as made:
        for number in range(rounds):
            with bed.trial() as trial:
                with _run(trial, cluster) as process:
                    _wait_for_files(trial, process, chance.randrange(20, 110))
                    time.sleep(chance.uniform(0, 0.2))
                    process.kill()
                done = trial.run(*_job(cluster)) if number % 2 else trial.run()  # another engine may go on
                tally = trial.inspect(complete=True)
                tally.expect(done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-300:]}")
                made.case(tally, f"round {number + 1}")
    return made


def machine_frozen(cluster: Any, bed: Bed, rounds: int, seed: int) -> Row:  # noqa: ANN401
    """Freeze a machine until it is taken for dead and its chunks are done by others; then let it go on."""
    chance = random.Random(seed)
    how = "SIGSTOP of a node's processes; others do its chunks; SIGCONT, so that it would commit them too"
    with row("a machine frozen", how) as made:
        for number in range(rounds):
            with bed.trial() as trial, _run(trial, cluster) as process:
                _wait_for_files(trial, process, chance.randrange(20, 110))
                node = chance.choice(sorted(cluster.worker_nodes, key=_raylet))
                workers = workers_of(cluster, node)
                _signal([_raylet(node), *workers], signal.SIGSTOP)
                # It may have been stopped while it committed; then others wait for it, and the run for them.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(chance.uniform(5, 15))
                _signal(workers, signal.SIGCONT)
                said, _ = process.communicate(timeout=120)
                time.sleep(2)
                _signal([_raylet(node)], signal.SIGCONT)
                _replace(cluster, node)
                tally = trial.inspect(complete=True)
                tally.expect(process.returncode == 0, f"ended with {process.returncode}: {said[-300:]}")
                made.case(tally, f"round {number + 1}")
    return made


def node_then_driver_killed(cluster: Any, folder: Path) -> Row:  # noqa: ANN401
    """Kill a node when a quarter is done, the driver when half is done; the next run does the rest."""
    how = "2,000 photos: SIGKILL of a node's processes, later of geotag; then the next run"
    with row("a node, then the driver killed", how) as made, Bed(folder, 2000, chunk_size=20).trial() as trial:
        with _run(trial, cluster) as process:
            _wait_for_files(trial, process, 25)
            node = sorted(cluster.worker_nodes, key=_raylet)[0]
            cluster.remove_node(node, allow_graceful=False)
            _wait_for_files(trial, process, 55)
            alive = process.poll() is None
            process.kill()
        before = trial.inspect(complete=False)
        done = trial.run(*_job(cluster))
        tally = trial.inspect(complete=True)
        tally.add(before)
        tally.expect(alive, "the run was over before its driver was killed")
        tally.expect(done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-300:]}")
        verified = trial.run("verify")
        tally.expect(verified.returncode == 0, f"verify: {verified.stdout[-300:]}")
        made.case(tally, "once")
        cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    return made


def _job(cluster: Any) -> tuple[str, ...]:  # noqa: ANN401
    return "backfill", "--engine", "ray", "--ray-address", cluster.address


@contextmanager
def _run(trial: Trial, cluster: Any) -> Iterator["subprocess.Popen[str]"]:  # noqa: ANN401
    with trial.popen(*_job(cluster)) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for_files(trial: Trial, process: "subprocess.Popen[str]", count: int) -> None:
    """Wait until so many files of predictions are committed, or the run is over."""
    while process.poll() is None and len(list(trial.workspace.dataset_files("predictions"))) < count:
        time.sleep(0.005)


def _raylet(node: Any) -> int:  # noqa: ANN401
    pid: int = node.all_processes["raylet"][0].process.pid
    return pid


def workers_of(cluster: Any, node: Any = None) -> list[int]:  # noqa: ANN401
    """Return the processes that are working on chunks, of one node or of all."""
    raylets = {_raylet(each) for each in ([node] if node is not None else cluster.list_all_nodes())}
    return [pid for pid, parent, name in _processes() if parent in raylets and "RayWorker" in name]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield process id, parent's id and command line of all processes."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            yield int(folder.name), parent, (folder / "cmdline").read_text()
        except (OSError, ValueError):
            continue


def _signal(pids: list[int], number: signal.Signals, *, first_only: bool = False) -> list[int]:
    """Send a signal to each process, or to the first that is there; return those that got it."""
    sent: list[int] = []
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        sent.append(pid)
        if first_only:
            break
    return sent


def _replace(cluster: Any, node: Any) -> None:  # noqa: ANN401
    """Put a new node in the place of one that was taken for dead."""
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
