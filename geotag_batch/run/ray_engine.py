"""The Ray engine: the plan's chunks on a pool of actors, wherever the cluster has room. The only import of ray.

Ray places and starts the actors and carries calls and answers; run/ray_pool.py decides which chunk goes to which actor,
and what becomes of those that are lost.
"""

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from geotag_batch.errors import ClusterError, ConfigError
from geotag_batch.run.engine import EngineOptions, Follower
from geotag_batch.run.plan import Plan
from geotag_batch.run.ray_pool import Pool
from geotag_batch.run.readback import read_back
from geotag_batch.run.stop import Stop
from geotag_batch.run.worker import Order
from geotag_batch.write.claims import claims_of

__all__ = ["RayEngine", "open_ray", "pool_size"]

logger = logging.getLogger("geotag")


@contextmanager
def open_ray(options: EngineOptions) -> Iterator["RayEngine"]:
    """Connect to the cluster for the length of a `with` block; "local" starts one on this machine.

    Raises ConfigError if Ray is not installed, ClusterError if there is no cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read where Ray is started by us; a cluster has its own
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # else a cluster that is gone is waited for ten minutes
    try:
        import ray  # noqa: PLC0415  an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ConfigError(
            "--engine ray needs Ray, which is not installed", hint="pip install 'geotag-batch[ray]' on every machine"
        ) from error
    if ray.is_initialized():  # by who uses the library
        yield RayEngine(ray, options)
        return
    handler = signal.getsignal(signal.SIGTERM)  # which Ray replaces
    _connect(ray, options.address)
    try:
        yield RayEngine(ray, options)
    finally:
        ray.shutdown()
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGTERM, handler)


def _connect(ray: Any, address: str) -> None:  # noqa: ANN401
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if address == "local":
        quiet["include_dashboard"] = False
    try:
        if address not in ("auto", "local"):
            _require_answer(address)  # Ray itself would try for ten minutes
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"there is no Ray cluster at {address}: {str(error).splitlines()[0]}",
            hint="start one with `ray start --head`, or give --ray-address local for this machine alone",
        ) from error
    # Ray prints what its daemons report to standard output, into the summary; the job says itself what it has lost.
    ray._private.worker._worker_logs_enabled = False


def _require_answer(address: str) -> None:
    """Raise OSError or ValueError unless something listens at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if "/" in host or not host or not port.isdecimal():
        raise ValueError("it should be HOST:PORT, of the machine on which `ray start --head` was run")
    socket.create_connection((host, int(port)), timeout=10).close()


class RayEngine:
    """Follows the Engine protocol."""

    def __init__(self, ray: Any, options: EngineOptions) -> None:  # noqa: ANN401
        """Use the module ray, which is connected."""
        self._ray, self._options = ray, options

    def work(self, order: Order, plan: Plan, follower: Follower, stop: Stop) -> None:
        """Do the plan's chunks; see the protocol."""
        count, cores = pool_size(self._options, self._ray.nodes(), plan.chunks)
        if order.config.encoder.device == "auto" and not self._options.gpus_per_worker:
            order = replace(order, config=order.config.with_flags({"encoder.device": "cpu"}))
        claims = claims_of(order.workspace, order.run_id, order.lease)
        claims.open()
        logger.info("up to %d workers of %d cores on Ray", count, cores)
        pool = Pool(self._ray, self._options.gpus_per_worker, order, cores)
        try:
            pool.start(count, follower, stop)
            pool.work(plan.iter_chunks(), follower, stop)
        finally:
            under_way = pool.close()
            claims.end()  # from here on none of them is committed any more
            for number, rows in under_way:
                if (found := read_back(order, number, rows)).datasets:
                    follower.done(found)


def pool_size(options: EngineOptions, nodes: list[dict[str, Any]], chunks: int) -> tuple[int, int]:
    """Return how many workers there should be, and how many cores each has, on the cluster's `nodes`.

    Raises ClusterError if no node has room for one.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = options.gpus_per_worker
    rooms = [(int(node.get("CPU", 0)), node.get("GPU", 0.0)) for node in alive]
    rooms = [(cpus, cards) for cpus, cards in rooms if cpus and (not gpus or cards >= min(gpus, 1))]
    if not rooms:
        raise ClusterError(
            f"none of the cluster's {len(alive)} machines has a core{f' and {gpus:g} of a GPU' if gpus else ''}",
            hint="look at `ray status`, or lower --gpus-per-worker",
        )
    cores = options.cpus_per_worker
    if cores is None:
        # So that each machine is used up: by a worker for each share of a GPU, else one, or as many as asked for.
        shares = [max(1, int(cards / gpus)) if gpus else 1 for _, cards in rooms]
        if not gpus and options.workers:
            shares = [max(1, -(-options.workers // len(rooms)))] * len(rooms)
        cores = max(1, min(cpus // share for (cpus, _), share in zip(rooms, shares, strict=True)))
    fit = sum(min(cpus // cores, int(cards / gpus) if gpus else cpus) for cpus, cards in rooms)
    if not fit:
        raise ClusterError(
            f"none of the cluster's machines has {cores} cores{f' and {gpus:g} GPUs' if gpus else ''} for a worker",
            hint="lower --cpus-per-worker or --gpus-per-worker; `ray status` shows what there is",
        )
    return min(options.workers or fit, max(1, chunks)), cores
