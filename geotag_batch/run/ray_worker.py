"""A worker on another machine, as Ray's actors run it; nothing here knows Ray.

Two chunks are in it at a time: while one is encoded, the images of the next are loaded, or the one before is committed.
What goes wrong on purpose (GeotagError) is returned and not raised, so that it arrives as what it is.
"""

import os
import platform
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import ParamSpec, TypeVar

import pyarrow as pa
from threadpoolctl import threadpool_limits

from geotag_batch import __version__
from geotag_batch.config import Config
from geotag_batch.errors import ClusterError, FailureBudgetError, GeotagError
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.read.sources import open_source
from geotag_batch.run.feed import read_chunk
from geotag_batch.run.readback import read_back
from geotag_batch.run.stop import Stop
from geotag_batch.run.worker import Budget, ChunkDone, ChunkWorker, Order, Ready
from geotag_batch.write.claims import claims_of

__all__ = ["CHUNKS_AT_A_TIME", "RayWorker", "table_bytes"]

CHUNKS_AT_A_TIME = 2

Given = ParamSpec("Given")
Made = TypeVar("Made")


def _returning_errors(method: Callable[Given, Made]) -> Callable[Given, Made | GeotagError]:
    """Return what `method` raises on purpose, with this machine's name in its message."""

    @wraps(method)
    def call(*given: Given.args, **named: Given.kwargs) -> Made | GeotagError:
        try:
            return method(*given, **named)
        except GeotagError as error:
            if not isinstance(error, FailureBudgetError):  # which is about the archive
                error.message = f"worker on {platform.node()}: {error.message}"
            return error

    return call


class RayWorker:
    """Does chunks of one run; `prepare` first. Any thread may call any method."""

    def __init__(self, order: Order, cores: int) -> None:
        """Use so many cores."""
        # Before torch is imported. Ray does so too, unless the variable was there when the node was started.
        os.environ["OMP_NUM_THREADS"] = str(cores)
        _forget_main_module()
        self._order, self._cores = order, cores
        self._claims = claims_of(order.workspace, order.run_id, order.lease)
        self._stop = Stop()
        self._encoding, self._committing = threading.Lock(), threading.Lock()
        self._worker: ChunkWorker | None = None

    @_returning_errors
    def arrive(self, version: str) -> str:
        """Return this machine's name; ClusterError unless it has `version` of geotag-batch, as who sends the order."""
        if version != __version__:
            raise ClusterError(
                f"this machine has geotag-batch {__version__}, the run was started by {version}",
                hint="install the same version on every machine of the cluster",
            )
        return platform.node()

    @_returning_errors
    def prepare(self, config: Config) -> Ready | None:
        """Load head and, if the plan has anything to encode, the encoder as `config` says; None if it has not.

        Errors are those of `load_scorer` and `ChunkWorker.prepare`.
        """
        self._order = order = replace(self._order, config=config)
        threadpool_limits(1, user_api="blas")  # scoring runs beside encoding and committing
        scorer = None
        if order.head_id is not None:
            scorer = load_scorer(order.workspace, order.head_id, config.run.missing_image)
        self._source = open_source(config.images, order.workspace.root)
        if order.images:
            self._source.check_root()
        worker = ChunkWorker(order, scorer, self._source, self._stop)
        ready = worker.prepare(None, self._cores) if order.encodes else None
        self._worker = worker
        return ready

    @_returning_errors
    def work(self, number: int, rows: bytes, budget: Budget, *, again: bool) -> ChunkDone | None:
        """Do chunk `number`, the plan's `rows` as an Arrow stream, and commit it; None if stopped before any photo.

        `again`: its first worker was lost. If that one has committed it, or was about to, it is counted as it is.
        Errors are those of `ChunkWorker`.
        """
        assert self._worker is not None, "the worker was not prepared"
        table = pa.ipc.open_stream(rows).read_all()
        order = self._order
        if again and self._claims.is_claimed(number):
            free = self._claims.settle(number, self._stop)
            found = read_back(order, number, table)
            if found.datasets or not free:
                return found
        chunk, requests = read_chunk(table, order.config.images, self._source, order.dim)
        images = self._worker.load(requests)
        with self._encoding:
            if self._stop():
                return None
            result = self._worker.tag(chunk, images, budget)
            effort = self._worker.effort()
        if not result.photos:
            return None
        name = self._worker.chunk_name(number, result)
        with self._committing, self._claims.claim(name, order.dim) as ours:
            if ours:
                return self._worker.commit(number, result, effort)
        return read_back(order, number, table)

    def stop(self) -> None:
        """Commit the finished part of what is under way, and nothing after it."""
        self._stop.ask(signal.SIGTERM)

    def close(self) -> None:
        """End the decoding processes; an actor that is killed needs no such word, for they end with it."""
        if self._worker is not None:
            self._worker.close()


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _forget_main_module() -> None:
    """Keep decoding processes from importing what this one was started from, which is Ray and takes them a second."""
    main = sys.modules["__main__"]
    if main.__spec__ is None:
        main.__file__ = None
