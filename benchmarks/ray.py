"""How the Ray engine scales on this machine: python -m benchmarks.ray [ROUNDS [PHOTOS]].

Machines of one core each are nodes whose processes are bound to a core. One worker on either, then two at once, take
turns; so do one and two processes that only multiply matrices, which shows what the cores lose to each other anyway.
Rates are taken when all workers are at work; beside them stands the rate in the workers' processor time, which says
something on a busy machine too. Then the time that the driver needs for a chunk, over stored embeddings, where chunks
are done fastest.
"""

import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster

from benchmarks.archive import make_archive, make_weights
from benchmarks.large import make_large
from geotag_batch.config import load_config, set_key
from geotag_batch.run import ray_pool
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.engine import EngineOptions
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace

_PHOTOS, _CHUNK = 900, 16
_FROM, _REST = 208, 64  # photos: before these, chunks go out one by one; in the last of them one worker may be done
_LARGE = 200_000  # photos whose stored embeddings are scored
_EVER = datetime(2999, 1, 1)


def main(rounds: int, photos: int) -> None:
    """Measure and print."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cores = sorted(os.sched_getaffinity(0))[:2]
    places = {"one worker on the first core": cores[:1], "on the second": cores[1:], "two workers": cores}
    with tempfile.TemporaryDirectory(prefix="geotag-bench-") as name:
        folder = Path(name)
        make_weights(folder / "weights.safetensors")
        workspace = make_archive(folder / "archive", folder / "weights.safetensors", photos, (640, 480))
        set_key(workspace, "encoder.precision", "bfloat16")
        set_key(workspace, "run.chunk_size", _CHUNK)
        set_key(workspace, "run.workers", 1)
        rates: dict[str, list[float]] = {}
        for _ in range(rounds):
            for what, bound in places.items():
                with _machines(bound) as cluster:
                    wall, processor = _rates(workspace, cluster, photos, redo=bool(rates))
                rates.setdefault(what, []).append(wall)
                rates.setdefault(f"by processor time, {what}", []).append(processor * len(bound))
                rates.setdefault(f"products, {what}", []).append(_products(bound))
            for what, measured in rates.items():
                print(f"{what}: {', '.join(f'{rate:.2f}' for rate in measured)}", flush=True)
        for kind in ("", "by processor time, ", "products, "):
            first, second, both = (statistics.median(rates[f"{kind}{what}"]) for what in places)
            share = both / (first + second)
            print(f"{kind}medians: {first:.1f} and {second:.1f} alone, {both:.1f} together: {share:.3f}", flush=True)
        _measure_driver(folder / "large", cores)


@contextmanager
def _machines(cores: list[int]) -> Iterator[Cluster]:
    """Start a cluster whose nodes are bound to a core each."""
    usual = os.sched_getaffinity(0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for core in cores:
            os.sched_setaffinity(0, {core})  # inherited by what is started
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, usual)
        yield cluster
    finally:
        os.sched_setaffinity(0, usual)
        cluster.shutdown()  # type: ignore[no-untyped-call]


class _Clock(logging.Handler):
    """Notes when how many photos were done, and what processor time the workers had taken by then."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._raylets = {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}  # type: ignore[no-untyped-call]
        self.seen: list[tuple[float, int, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = getattr(record, "facts", {})
        if facts.get("event") == "chunk":
            self.seen.append((time.perf_counter(), facts["photos"], _processor_seconds(self._raylets)))


def _processor_seconds(raylets: set[int]) -> float:
    """Return the processor time of the nodes' workers and their decoding processes, which a raylet has started."""
    parents, taken, names = {}, {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
        except OSError:
            continue
        fields, process = rest.split(), int(folder.name)
        parents[process], taken[process] = int(fields[1]), int(fields[11]) + int(fields[12])
        names[process] = name
    workers = {
        process for process, parent in parents.items() if parent in raylets and "ray::RayWorker" in names[process]
    }
    found = set(workers)
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return sum(taken[process] for process in found) / os.sysconf("SC_CLK_TCK")


def _run(workspace: Workspace, cluster: Cluster, *, redo: bool, reembed: bool) -> list[tuple[float, int, float]]:
    """Run the job; return what a clock saw."""
    clock, logger = _Clock(cluster), logging.getLogger("geotag")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [clock]
    selection = Selection(redo_before=_EVER if redo else None, reembed=redo and reembed)
    job = Job("backfill", selection, engine=EngineOptions("ray", cluster.address))
    run_backfill(workspace, load_config(workspace), job)
    return clock.seen


def _rates(workspace: Workspace, cluster: Cluster, photos: int, *, redo: bool) -> tuple[float, float]:
    """Return photos/s while all workers are at work, and photos for a second of their processor time."""
    seen = _run(workspace, cluster, redo=redo, reembed=True)
    seen = [each for each in seen if _FROM <= each[1] <= photos - _REST]
    done = seen[-1][1] - seen[0][1]
    return done / (seen[-1][0] - seen[0][0]), done / (seen[-1][2] - seen[0][2])


def _multiply(core: int, seconds: float) -> int:
    os.sched_setaffinity(0, {core})
    import torch  # noqa: PLC0415  in a process of its own, bound before torch counts cores

    torch.set_num_threads(1)
    matrix, count = torch.ones(768, 3072), 0
    other = torch.ones(3072, 768)
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        torch.mm(matrix, other)
        count += 1
    return count


def _products(cores: list[int], seconds: float = 5.0) -> float:
    """Return products/s of a process on each of `cores` at the same time."""
    with multiprocessing.get_context("spawn").Pool(len(cores)) as pool:
        return sum(pool.starmap(_multiply, [(core, seconds) for core in cores])) / seconds


def _measure_driver(folder: Path, cores: list[int]) -> None:
    """Score stored embeddings with two workers, and print what the driver needs for a chunk."""
    workspace = make_large(folder, _LARGE, random_vectors=True)
    waited = [0.0]
    with _machines(cores) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        wait = ray.wait

        def timed_wait(*given: Any, **named: Any) -> Any:  # noqa: ANN401
            began = time.perf_counter()
            answer = wait(*given, **named)
            waited[0] += time.perf_counter() - began
            return answer

        ray.wait = timed_wait
        began, used = [], []
        work = ray_pool.Pool.work

        def timed_work(*given: Any) -> None:  # noqa: ANN401
            waited[0] = 0.0
            began.append(time.perf_counter())
            used.append(time.process_time())
            work(*given)
            began.append(time.perf_counter())
            used.append(time.process_time())

        ray_pool.Pool.work = timed_work  # type: ignore[method-assign,assignment]
        seen = _run(workspace, cluster, redo=True, reembed=False)
        ray.wait = wait
        pending = _wait_among(1000)
        ray.shutdown()
    chunks = len(seen)
    busy = 1000 * (began[1] - began[0] - waited[0]) / chunks
    print(f"driver, {chunks} chunks of 4,096 photos scored from stored embeddings by two workers:")
    print(f"  {busy:.1f} ms of its time a chunk, {1000 * (used[1] - used[0]) / chunks:.1f} ms of processor time")
    print(f"  {_LARGE / (began[1] - began[0]):,.0f} photos/s; a wait among 1,000 calls: {1000 * pending:.1f} ms")


def _wait_among(count: int) -> float:
    """Return the seconds of a wait for one answer among so many calls that are under way."""

    @ray.remote(num_cpus=0)
    class Sleeper:
        async def sleep(self) -> None:
            import asyncio  # noqa: PLC0415

            await asyncio.sleep(60)

        async def ping(self) -> int:
            return 1

    sleeper = Sleeper.options(max_concurrency=count + 10).remote()  # type: ignore[attr-defined]
    ray.get(sleeper.ping.remote())
    calls = [sleeper.sleep.remote() for _ in range(count)]
    taken = []
    for _ in range(50):
        answered = sleeper.ping.remote()
        ray.get(answered)
        began = time.perf_counter()
        ray.wait([*calls, answered], num_returns=1)
        taken.append(time.perf_counter() - began)
    ray.kill(sleeper)
    return float(np.median(taken))


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(given[0] if given else 3, given[1] if len(given) > 1 else _PHOTOS)
