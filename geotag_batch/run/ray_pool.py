"""The pool of Ray's actors: which chunk goes to which, and what becomes of the chunks of one that is lost.

An actor that dies is replaced by another, which waits until the cluster has room for it; its chunks go to those that
are ready meanwhile. They may have been committed by it all the same: whoever gets them looks first.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from geotag_batch import __version__
from geotag_batch.errors import ClusterError, GeotagError
from geotag_batch.run.engine import Follower
from geotag_batch.run.ray_worker import CHUNKS_AT_A_TIME, RayWorker, table_bytes
from geotag_batch.run.stop import Stop
from geotag_batch.run.worker import BUDGET_FROM, Budget, ChunkDone, Order, Ready

__all__ = ["Pool"]

logger = logging.getLogger("geotag")

_TICK = 0.2  # seconds between two looks at whether to stop
_LOSSES = 3  # workers that one chunk may be lost with, or that may die one after the other before they are ready
_LONGEST_STOP = 120.0  # seconds; the finished part of a chunk is committed within ten, unless the worker hangs
_SAY_AFTER, _GIVE_UP_AFTER = (
    30.0,
    900.0,
)  # seconds without any worker; a cluster may start machines when they are asked for


@dataclass(slots=True, eq=False)
class _Chunk:
    """A chunk that is not done: the plan's rows as an Arrow stream, and how many workers it was lost with."""

    number: int
    photos: int
    rows: bytes
    lost: int = 0


@dataclass(slots=True, eq=False)
class _Worker:
    """An actor and the chunks that it works on; `host` is known once it has started."""

    actor: Any
    host: str | None = None
    is_ready: bool = False
    chunks: list[_Chunk] = field(default_factory=list)


class Pool:
    """The actors, and the calls that they have not answered."""

    def __init__(self, ray: Any, gpus: float, order: Order, cores: int) -> None:  # noqa: ANN401
        """Prepare workers with so many cores and GPUs each, which take their orders from `order`."""
        self._ray, self._order, self._cores = ray, order, cores
        self._config = order.config
        self._sent = ray.put(order)
        self._actor = ray.remote(RayWorker).options(
            num_cpus=cores,
            num_gpus=gpus,
            max_restarts=0,  # an actor that is lost is replaced here, and its chunks with it
            max_concurrency=CHUNKS_AT_A_TIME + 1,  # and one that asks it to stop
            scheduling_strategy="SPREAD",
        )
        self._workers: list[_Worker] = []
        self._calls: dict[Any, tuple[_Worker, str | _Chunk]] = {}
        self._again: deque[_Chunk] = deque()
        self._budget, self._photos, self._false_starts = Budget(), 0, 0
        self._error: GeotagError | None = None
        self._alone_since = self._said_at = time.monotonic()

    def start(self, count: int, follower: Follower, stop: Stop) -> None:
        """Start the workers: the first one alone, for it may settle the number format, which the others then take."""
        self._hire()
        while self._order.encodes and not any(worker.is_ready for worker in self._workers):
            if stop() or self._error is not None:
                return
            self._hear(follower, stop)
        for _ in range(count - 1):
            self._hire()

    def work(self, tables: Iterator[pa.Table], follower: Follower, stop: Stop) -> None:
        """Give out the chunks of the plan, and hear of them, until all are done or it is time to stop.

        Raises the first error that a worker returned, when the others are done with what they had.
        """
        chunks = (_Chunk(number, table.num_rows, table_bytes(table)) for number, table in enumerate(tables, 1))
        more, asked_at = True, None
        while True:
            going_on = not stop() and self._error is None
            if not going_on and asked_at is None:
                asked_at = time.monotonic()
                for worker in self._workers:
                    worker.actor.stop.remote()
            if asked_at is not None and time.monotonic() - asked_at > _LONGEST_STOP:
                logger.warning("workers that do not answer are given up")
                break
            while going_on and (more or self._again) and self._may_give() and (free := self._free()) is not None:
                chunk = self._again.popleft() if self._again else next(chunks, None)
                more = more and chunk is not None
                if chunk is not None:
                    self._give(free, chunk)
            under_way = any(worker.chunks for worker in self._workers)
            if not under_way and not (going_on and (more or self._again)):
                break
            self._hear(follower, stop)
        if self._error is not None:
            raise self._error

    def close(self) -> list[tuple[int, pa.Table]]:
        """End the actors; return number and rows of the chunks that they were at, which one may have committed."""
        for worker in self._workers:
            self._ray.kill(worker.actor)
        under_way = [chunk for worker in self._workers for chunk in worker.chunks] + [*self._again]
        return [(chunk.number, pa.ipc.open_stream(chunk.rows).read_all()) for chunk in under_way]

    def _hire(self) -> None:
        worker = _Worker(self._actor.remote(self._sent, self._cores))
        self._workers.append(worker)
        self._calls[worker.actor.arrive.remote(__version__)] = worker, "arrive"

    def _may_give(self) -> bool:
        """Return whether a chunk may be given out: at first, those that are too small for the budget go one by one.

        Else a wrong images.root would mark as many chunks as there is room for, before anybody knew of the others.
        """
        return self._photos >= BUDGET_FROM or not any(
            chunk.photos < BUDGET_FROM for worker in self._workers for chunk in worker.chunks
        )

    def _free(self) -> _Worker | None:
        """Return the ready worker with the fewest chunks, if it can take one more."""
        free = [worker for worker in self._workers if worker.is_ready and len(worker.chunks) < CHUNKS_AT_A_TIME]
        return min(free, key=lambda worker: len(worker.chunks), default=None)

    def _give(self, worker: _Worker, chunk: _Chunk) -> None:
        worker.chunks.append(chunk)
        call = worker.actor.work.remote(chunk.number, chunk.rows, self._budget, again=chunk.lost > 0)
        self._calls[call] = worker, chunk

    def _hear(self, follower: Follower, stop: Stop) -> None:
        """Wait a moment for answers, and take them in."""
        answered, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_TICK)
        for call in answered:
            worker, asked = self._calls.pop(call)
            try:
                answer = self._ray.get(call)
            except self._ray.exceptions.RayActorError as error:
                self._lose(worker, asked, error, stop)
                continue
            if isinstance(asked, _Chunk):
                worker.chunks.remove(asked)
            if isinstance(answer, GeotagError):
                self._error = self._error or answer
            elif asked == "arrive":
                worker.host = answer
                self._calls[worker.actor.prepare.remote(self._config)] = worker, "prepare"
            elif asked == "prepare":
                self._ready(worker, answer, follower)
            elif answer is not None:
                self._done(answer, follower)
        self._watch()

    def _ready(self, worker: _Worker, ready: Ready | None, follower: Follower) -> None:
        worker.is_ready, self._false_starts = True, 0
        if ready is None:
            return
        if self._config is self._order.config:
            self._config = self._config.with_flags({"encoder.precision": ready.precision})
        said = f"; canary: {ready.canary}" if ready.canary else ""
        logger.info("worker on %s: encoder on %s in %s%s", worker.host, ready.device, ready.precision, said)
        follower.ready(ready)

    def _done(self, done: ChunkDone, follower: Follower) -> None:
        self._budget = self._budget.plus(done.first_attempts, done.first_failures)
        self._photos += done.photos
        follower.done(done)

    def _lose(self, worker: _Worker, asked: str | _Chunk, error: Exception, stop: Stop) -> None:
        """Take back the chunk of a call that a dead worker will not answer; the first such call replaces the worker."""
        reason = str(error).strip().splitlines()[0]
        if worker in self._workers:
            self._workers.remove(worker)
            self._ray.kill(worker.actor)  # one that is only out of reach, too
            self._false_starts += not worker.is_ready
            logger.warning("a worker%s was lost: %s", f" on {worker.host}" if worker.host else "", reason)
            if self._false_starts >= _LOSSES:
                self._fail(
                    f"{self._false_starts} workers died one after the other before they were ready: {reason}",
                    "look at the memory of the cluster's machines, and whether geotag-batch is installed there",
                )
            elif not stop() and self._error is None:
                self._hire()
        if isinstance(asked, _Chunk):
            worker.chunks.remove(asked)
            asked.lost += 1
            self._again.append(asked)
            if asked.lost >= _LOSSES:
                self._fail(
                    f"chunk {asked.number} was lost with {asked.lost} workers, with the last one because: {reason}",
                    "look at the memory of the cluster's machines: fewer workers or a smaller run.batch_size take less",
                )

    def _watch(self) -> None:
        """Say when there is no worker, and give up when there has been none for long."""
        now = time.monotonic()
        if any(worker.host for worker in self._workers):
            self._alone_since = self._said_at = now
        elif now - self._alone_since > _GIVE_UP_AFTER:
            self._fail("the cluster has had no room for a worker for long", "`ray status` shows what there is")
        elif now - self._said_at > _SAY_AFTER:
            self._said_at = now
            logger.warning("no worker: waiting for room on the cluster (`ray status` shows what there is)")

    def _fail(self, message: str, hint: str) -> None:
        self._error = self._error or ClusterError(message, hint=hint)
