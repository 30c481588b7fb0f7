"""The local engine: chunk after chunk in this process; beside it the next one is read, the last one committed."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType

from threadpoolctl import threadpool_limits

from geotag_batch.encode.encoder import Encoder
from geotag_batch.predict.bundle import Scorer
from geotag_batch.read.loader import LoadedImage
from geotag_batch.read.sources import ImageSource
from geotag_batch.run.chunk import ChunkResult
from geotag_batch.run.engine import Follower
from geotag_batch.run.feed import ChunkFeed
from geotag_batch.run.plan import Plan
from geotag_batch.run.stop import Stop
from geotag_batch.run.worker import Budget, ChunkEffort, ChunkWorker, Order

__all__ = ["LocalEngine"]


class LocalEngine:
    """Follows the Engine protocol."""

    def __init__(self, scorer: Scorer | None, encoder: Encoder | None, source: ImageSource) -> None:
        """Score by `scorer`, None where chunks are only embedded; `encoder` is loaded when needed if it is None."""
        self._scorer, self._encoder, self._source = scorer, encoder, source

    def work(self, order: Order, plan: Plan, follower: Follower, stop: Stop) -> None:
        """Do the plan's chunks; see the protocol."""
        with ExitStack() as tools:
            feed = ChunkFeed(plan, order.config.images, self._source, order.dim)
            tools.callback(feed.close)
            # Scoring runs beside reading the next chunk and committing the last one: more threads in it get in the way.
            tools.enter_context(threadpool_limits(1, user_api="blas"))
            writer = tools.enter_context(_Writer())
            worker = ChunkWorker(order, self._scorer, self._source, stop)
            tools.callback(worker.close)
            budget = Budget()
            images: Iterator[LoadedImage] = iter(())
            for number, chunk in enumerate(feed.chunks(), 1):
                if chunk.needs_encoder and not worker.is_prepared:
                    writer.wait()  # the follower is told one thing at a time
                    follower.ready(worker.prepare(self._encoder))
                    images = worker.load(feed.requests())
                result = worker.tag(chunk, images, budget)
                budget = budget.plus(result.first_attempts, result.first_failures)
                if result.photos:
                    writer.submit(_commit, worker, number, result, worker.effort(), follower)
                if stop():
                    break
            writer.wait()


def _commit(worker: ChunkWorker, number: int, result: ChunkResult, effort: ChunkEffort, follower: Follower) -> None:
    """Publish a chunk and tell of it; runs beside the next chunk, never beside another commit."""
    follower.done(worker.commit(number, result, effort))


class _Writer:
    """One thread that commits a chunk while the next one is worked on; at the end it is waited for, come what may."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def submit(self, work: Callable[..., None], *arguments: object) -> None:
        """Start `work` when the last one is done. Raises what that one raised."""
        self.wait()
        self._under_way = self._thread.submit(work, *arguments)

    def wait(self) -> None:
        """Wait for the last work. Raises what it raised."""
        if self._under_way is not None:
            self._under_way.result()
