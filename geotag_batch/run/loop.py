"""The loop of a run: chunk after chunk embedded, scored and committed, with a record that is true at each moment."""

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType

from threadpoolctl import threadpool_limits

from geotag_batch.config import Config
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import FailureBudgetError, GeotagError
from geotag_batch.predict.bundle import Scorer
from geotag_batch.read.loader import ROOT_SUSPECT, ImageLoader, LoadedImage, while_root_answers
from geotag_batch.read.process import warm_up
from geotag_batch.read.sources import ImageSource
from geotag_batch.run.canary import Canary, choose_canary
from geotag_batch.run.capacity import batch_size, decoding_workers
from geotag_batch.run.chunk import ChunkResult, tag_chunk
from geotag_batch.run.embed import Embedder
from geotag_batch.run.ending import LIMIT_REACHED
from geotag_batch.run.feed import ChunkFeed
from geotag_batch.run.plan import Plan
from geotag_batch.run.report import RunReporter
from geotag_batch.run.settle import settle
from geotag_batch.run.stop import Stop
from geotag_batch.run.tables import Stamp
from geotag_batch.run.views import refresh_views
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, commit_chunk, stored_weights
from geotag_batch.write.fence import announce
from geotag_batch.write.runs import RunRecord, utc_now, write_run_record

__all__ = ["ChunkLoop"]

logger = logging.getLogger("geotag")

_BUDGET_FROM = 200  # first attempts; below that a few bad photos say nothing about the archive


class ChunkLoop:
    """One run under way over `plan`; `record` counts what is committed and nothing else."""

    def __init__(
        self, workspace: Workspace, config: Config, plan: Plan, source: ImageSource, record: RunRecord
    ) -> None:
        """Prepare a run that has not begun; the caller holds the lock."""
        self.record = record
        self._workspace, self._config, self._plan, self._source = workspace, config, plan, source
        self._attempts = self._first_failures = 0
        self._commit_seconds, self._written = 0.0, set[str]()
        self._reporter = RunReporter(plan.total)
        self._started = time.monotonic()

    def work(
        self, head: Scorer | None, encoder: Encoder | None, stop: Stop, follow: Callable[[RunRecord], None]
    ) -> RunRecord:
        """Do the plan's chunks until they are done or `stop` says so; return the finished record.

        `encoder` is loaded here if it is None and needed. `follow` is called with the record when the run begins and
        after each chunk. Errors are recorded, then raised on.
        """
        write_run_record(self._workspace, self.record)
        self._follow = follow
        follow(self.record)
        try:
            with stop.listening():
                with self._reporter.running(), ExitStack() as tools:
                    self._do_chunks(head, encoder, stop, tools)
                self._finish(*self._ending(stop))
                refresh_views(self._workspace, self._config)
        except BaseException as error:
            with contextlib.suppress(GeotagError):  # a full disk may refuse the record too; then it stays "running"
                if isinstance(error, GeotagError):
                    self._finish("failed", error.message, error.exit_code)
                else:
                    self._finish("failed", f"{type(error).__name__}: {error}", GeotagError.exit_code)
            raise
        return self.record

    def _do_chunks(self, head: Scorer | None, encoder: Encoder | None, stop: Stop, tools: ExitStack) -> None:
        dim = encoder.dim if encoder is not None else head.info.dim if head is not None else 0
        canary = self._choose_canary()  # before the feed, which uses the plan's connection in a thread of its own
        feed = ChunkFeed(self._plan, self._config.images, self._source, dim)
        tools.callback(feed.close)
        # Scoring runs beside reading the next chunk and committing the last one: more threads in it get in the way.
        tools.enter_context(threadpool_limits(1, user_api="blas"))
        writer = tools.enter_context(_Writer())
        embedder: Embedder | None = None
        images: Iterator[LoadedImage] = iter(())
        for number, chunk in enumerate(feed.chunks(), 1):
            if chunk.needs_encoder and embedder is None:
                writer.wait()  # both change the record
                embedder = self._make_embedder(encoder, head, stop)
                loader = self._open_loader(embedder.encoder, stop, tools) if self._plan.images else None
                if canary is not None:
                    said = canary.check(embedder.encoder, loader.load if loader else None)
                    self.record = replace(self.record, canary=said)
                if loader is not None:
                    ahead = loader.load(feed.requests(), look_ahead=max(64, 4 * embedder.batch_size))
                    images = while_root_answers(ahead, self._source)
            result = tag_chunk(chunk, head, embedder, images, self._stamp(embedder))
            self._check(result)
            if result.photos:
                writer.submit(self._commit, self._chunk_name(number, result, embedder), result, _Effort.of(embedder))
            if stop():
                break
        writer.wait()

    def _choose_canary(self) -> Canary | None:
        encoder_id = self._plan.target.encoder_id
        if not self._plan.to_embed or encoder_id is None:
            return None
        return choose_canary(self._workspace, self._config, self._plan.connection, self._source, encoder_id)

    def _make_embedder(self, encoder: Encoder | None, head: Scorer | None, stop: Stop) -> Embedder:
        started = time.monotonic()
        if self._plan.images:
            warm_up()
        encoder = settle(self._workspace, self._config, head, encoder)
        self.record = replace(self.record, precision=encoder.precision, device=encoder.device)
        self._reporter.begin()
        embedder = Embedder(encoder, batch_size(self._config.run, encoder), stop)
        embedder.seconds["load_encoder"] = time.monotonic() - started
        return embedder

    def _open_loader(self, encoder: Encoder, stop: Stop, tools: ExitStack) -> ImageLoader:
        root, workers = self._workspace.root, decoding_workers(self._config.run, encoder.device)
        loader = tools.enter_context(ImageLoader(self._config.images, root, encoder.preprocess, workers))
        stop.when_signalled(loader.stop)
        return loader

    def _stamp(self, embedder: Embedder | None) -> Stamp:
        return Stamp(
            run_id=self.record.run_id,
            at=utc_now(),
            precision=embedder.encoder.precision if embedder is not None else "stored",
            encoder_id=self.record.encoder_id,
            head_id=self.record.head,
            retry_after=timedelta(hours=self._config.run.retry_after_hours),
        )

    def _check(self, result: ChunkResult) -> None:
        """Refuse to commit failures that say more about the image root, or the archive, than about the photos."""
        troubles = result.failures + result.without_image
        if troubles.keys() & ROOT_SUSPECT:
            self._source.check_root()
        self._attempts += result.first_attempts
        self._first_failures += result.first_failures
        limit = self._config.run.max_failure_rate
        if self._attempts >= _BUDGET_FROM and self._first_failures > limit * self._attempts:
            classes = ", ".join(f"{name} {count}" for name, count in result.failures.most_common())
            raise FailureBudgetError(
                f"{self._first_failures} of {self._attempts} photos failed at their first attempt, more than "
                f"run.max_failure_rate = {limit:g} allows; this chunk ({classes}) is not committed",
                hint="look at images.root and images.template, or raise run.max_failure_rate, then start again",
            )

    def _chunk_name(self, number: int, result: ChunkResult, embedder: Embedder | None) -> ChunkName:
        record = self.record
        weights = embedder.encoder.weights_sha256 if embedder is not None else None
        if weights is None and result.tables.embeddings.num_rows and record.encoder_id is not None:
            weights = stored_weights(self._workspace, record.encoder_id)
        return ChunkName(record.run_id, number, record.encoder_id, record.head, record.policy_id, weights)

    def _commit(self, name: ChunkName, result: ChunkResult, effort: "_Effort") -> None:
        """Publish a chunk and count it; runs beside the next chunk, never beside another commit."""
        record = self.record
        started = time.monotonic()
        announce(self._workspace, name, result.tables.dim)
        commit_chunk(self._workspace, name, result.tables)
        self._commit_seconds += time.monotonic() - started
        seconds = {**effort.seconds, "commit": self._commit_seconds}
        self.record = replace(
            record,
            updated_at=utc_now(),
            chunks=record.chunks + 1,
            photos=record.photos + result.photos,
            predicted=record.predicted + result.tables.predictions.num_rows,
            failed=record.failed + result.tables.failures.num_rows,
            embedded=record.embedded + result.tables.embeddings.num_rows,
            images_encoded=effort.images_encoded,
            titles_encoded=effort.titles_encoded,
            seconds=round(time.monotonic() - self._started, 3),
            failures=dict(Counter(record.failures) + result.failures),
            timings={stage: round(value, 3) for stage, value in seconds.items()},
        )
        write_run_record(self._workspace, self.record)
        written = {name for name in ("embeddings", "failures", "predictions") if getattr(result.tables, name).num_rows}
        if not written <= self._written:  # a dataset may have got its first file
            refresh_views(self._workspace, self._config, only_stale=True)
        self._written |= written
        self._reporter.committed(self.record)
        self._follow(self.record)

    def _finish(self, status: str, reason: str | None, exit_code: int) -> None:
        now = utc_now()
        seconds = round(time.monotonic() - self._started, 3)
        self.record = replace(
            self.record,
            status=status,
            stop_reason=reason,
            exit_code=exit_code,
            finished_at=now,
            updated_at=now,
            seconds=seconds,
        )
        write_run_record(self._workspace, self.record)

    def _ending(self, stop: Stop) -> tuple[str, str | None, int]:
        """Return status, reason and exit code of a run that no error ended."""
        if self.record.photos == self._plan.total:
            return ("done", None, 0) if self._plan.total == self._plan.pending else ("window", LIMIT_REACHED, 0)
        if stop.signal is not None:
            return "stopped", f"by {signal.Signals(stop.signal).name}", 128 + stop.signal
        return "window", "the time window is over", 0


@dataclass(frozen=True, slots=True)
class _Effort:
    """What encoding has taken so far, as it was when a chunk was handed over."""

    images_encoded: int
    titles_encoded: int
    seconds: dict[str, float]

    @classmethod
    def of(cls, embedder: Embedder | None) -> "_Effort":
        if embedder is None:
            return cls(0, 0, {})
        return cls(embedder.images_encoded, embedder.titles_encoded, dict(embedder.seconds))


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
