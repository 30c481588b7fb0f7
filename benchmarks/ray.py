"""How the Ray engine scales on this machine: python -m benchmarks.ray [ROUNDS].

Machines of one core each are nodes whose processes are bound to a core. One worker on either, then two at once, take
turns; so do one and two processes that only multiply matrices, which shows what the cores lose to each other anyway.
Rates are taken when all workers are at work. Then the time that the driver needs for a chunk, over stored embeddings,
where chunks are done fastest.
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
_FROM, _UPTO = 208, _PHOTOS - 64  # photos: before, chunks go out one by one; after, one worker may be done
_LARGE = 200_000  # photos whose stored embeddings are scored
_EVER = datetime(2999, 1, 1)


def main(rounds: int) -> None:
    """Measure and print."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cores = sorted(os.sched_getaffinity(0))[:2]
    places = {"one worker on the first core": cores[:1], "on the second": cores[1:], "two workers": cores}
    with tempfile.TemporaryDirectory(prefix="geotag-bench-") as name:
        folder = Path(name)
        make_weights(folder / "weights.safetensors")
        workspace = make_archive(folder / "archive", folder / "weights.safetensors", _PHOTOS, (640, 480))
        set_key(workspace, "encoder.precision", "bfloat16")
        set_key(workspace, "run.chunk_size", _CHUNK)
        set_key(workspace, "run.workers", 1)
        rates: dict[str, list[float]] = {}
        for number in range(rounds):
            for what, bound in places.items():
                with _machines(bound) as address:
                    rates.setdefault(what, []).append(_rate(workspace, address, redo=number > 0 or bool(rates)))
                rates.setdefault(f"products, {what}", []).append(_products(bound))
            for what, measured in rates.items():
                print(f"{what}: {', '.join(f'{rate:.2f}' for rate in measured)}", flush=True)
        for kind, unit in (("", "photos/s"), ("products, ", "products/s")):
            first, second, both = (statistics.median(rates[f"{kind}{what}"]) for what in places)
            share = both / (first + second)
            print(f"{kind or 'workers, '}median {unit}: {first:.1f} and {second:.1f} alone, {both:.1f}: {share:.3f}")
        _measure_driver(folder / "large", cores)


@contextmanager
def _machines(cores: list[int]) -> Iterator[str]:
    """Start a cluster whose nodes are bound to a core each; yield its address."""
    usual = os.sched_getaffinity(0)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for core in cores:
            os.sched_setaffinity(0, {core})  # inherited by what is started
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, usual)
        yield cluster.address
    finally:
        os.sched_setaffinity(0, usual)
        cluster.shutdown()  # type: ignore[no-untyped-call]


class _Clock(logging.Handler):
    """Notes when how many photos were done."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = getattr(record, "facts", {})
        if facts.get("event") == "chunk":
            self.seen.append((time.perf_counter(), facts["photos"]))


def _run(workspace: Workspace, address: str, *, redo: bool, reembed: bool) -> list[tuple[float, int]]:
    """Run the job, and return when how many photos were done."""
    clock, logger = _Clock(), logging.getLogger("geotag")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [clock]
    selection = Selection(redo_before=_EVER if redo else None, reembed=redo and reembed)
    run_backfill(workspace, load_config(workspace), Job("backfill", selection, engine=EngineOptions("ray", address)))
    return clock.seen


def _rate(workspace: Workspace, address: str, *, redo: bool) -> float:
    """Return photos/s while all workers are at work."""
    seen = [each for each in _run(workspace, address, redo=redo, reembed=True) if _FROM <= each[1] <= _UPTO]
    return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


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
    with _machines(cores) as address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
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
        seen = _run(workspace, address, redo=True, reembed=False)
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
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
