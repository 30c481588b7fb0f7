"""The only seam between a run and what does its chunks: this process, or workers on a Ray cluster.

An engine gets the order and the plan's chunks, commits them, and tells the run of each. It holds no lock, plans nothing
and writes no run record. tests/run/test_engines.py says what any engine must do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import UsageError
from geotag_batch.predict.bundle import Scorer
from geotag_batch.read.sources import ImageSource
from geotag_batch.run.plan import Plan
from geotag_batch.run.stop import Stop
from geotag_batch.run.worker import ChunkDone, Order, Ready

__all__ = ["ENGINES", "Engine", "EngineOptions", "Follower", "open_engine"]

ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which engine; the rest is Ray's: where its cluster is, how many workers (None: as many as fit), of which size.

    `cpus_per_worker` None: a worker for each node or GPU, or as large as `workers` of them can be.
    """

    name: str = "local"
    address: str = "auto"
    workers: int | None = None
    gpus_per_worker: float = 0.0
    cpus_per_worker: int | None = None


class Follower(Protocol):
    """Who is told how the chunks come on; the engine tells one thing at a time."""

    def ready(self, ready: Ready) -> None:
        """Hear that an encoder is loaded."""

    def done(self, chunk: ChunkDone) -> None:
        """Hear that a chunk is committed."""


class Engine(Protocol):
    """Does a run's chunks."""

    def work(self, order: Order, plan: Plan, follower: Follower, stop: Stop) -> None:
        """Do the plan's chunks, numbered from 1 in the plan's order, until they are done or `stop` says so.

        When asked to stop it commits the finished part of what it works on. When it returns or raises, nothing is under
        way any more, and `follower` knows all that is committed. Raises what `ChunkWorker` does.
        """


@contextmanager
def open_engine(
    options: EngineOptions, scorer: Scorer | None, encoder: Encoder | None, source: ImageSource
) -> Iterator[Engine]:
    """Return the engine, open for the length of a `with` block.

    `scorer` and `encoder` are what is loaded already, for work in this process. Raises UsageError for an unknown name,
    ConfigError if Ray is not installed, ClusterError if its cluster cannot be reached.
    """
    if options.name == "local":
        from geotag_batch.run.local import LocalEngine  # noqa: PLC0415  each engine imports its own

        yield LocalEngine(scorer, encoder, source)
    elif options.name == "ray":
        from geotag_batch.run.ray_engine import open_ray  # noqa: PLC0415  needs an extra

        with open_ray(options) as engine:
            yield engine
    else:
        raise UsageError(f"there is no engine {options.name!r}", hint=f"choose one of {', '.join(ENGINES)}")
