"""A run under way: an engine does its chunks, and its record is true at each moment."""

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from geotag_batch.config import Config
from geotag_batch.errors import GeotagError
from geotag_batch.locations import StorePath
from geotag_batch.read.sources import ImageSource
from geotag_batch.run.canary import Canary, choose_canary
from geotag_batch.run.ending import LIMIT_REACHED
from geotag_batch.run.engine import Engine
from geotag_batch.run.plan import Plan
from geotag_batch.run.report import RunReporter
from geotag_batch.run.stop import Stop
from geotag_batch.run.views import refresh_views
from geotag_batch.run.worker import ChunkDone, Order, Ready
from geotag_batch.workspace import CONFIG_NAME, Workspace
from geotag_batch.write.runs import RunRecord, utc_now, write_run_record

__all__ = ["RunLoop"]


class RunLoop:
    """One run under way over `plan`; `record` counts what is committed and nothing else. The engine's Follower."""

    def __init__(
        self,
        workspace: Workspace,
        config: Config,
        plan: Plan,
        record: RunRecord,
        follow: Callable[[RunRecord], None],
    ) -> None:
        """Prepare a run that has not begun; the caller holds the lock.

        `follow` is called with the record when the run begins and after each chunk.
        """
        self.record, self._follow = record, follow
        self._workspace, self._config, self._plan = workspace, config, plan
        self._written, self._left = set[str](), 0
        self._reporter = RunReporter(plan.total)
        self._started = time.monotonic()

    def work(self, engine: Engine, source: ImageSource, dim: int, stop: Stop) -> RunRecord:
        """Let `engine` do the plan's chunks until they are done or `stop` says so; return the finished record.

        `dim` is the length of an embedding. Errors are recorded, then raised on.
        """
        write_run_record(self._workspace, self.record)
        self._follow(self.record)
        try:
            with stop.listening():
                with self._reporter.running():
                    engine.work(self._order(source, dim), self._plan, self, stop)
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

    def ready(self, ready: Ready) -> None:
        """Note what encodes, and begin to measure the rate; workers that are ready later change nothing."""
        if self.record.device is None:
            self.record = replace(
                self.record, precision=ready.precision, device=ready.device, canary=ready.canary or self.record.canary
            )
            self._reporter.begin()

    def done(self, chunk: ChunkDone) -> None:
        """Count a committed chunk; perhaps in another thread, but never two at a time."""
        record = self.record
        seconds = Counter(record.timings)
        seconds.update(chunk.seconds)
        self._left += chunk.left
        self.record = replace(
            record,
            updated_at=utc_now(),
            chunks=record.chunks + (chunk.photos > 0),
            photos=record.photos + chunk.photos,
            predicted=record.predicted + chunk.predicted,
            failed=record.failed + chunk.failed,
            embedded=record.embedded + chunk.embedded,
            images_encoded=record.images_encoded + chunk.images_encoded,
            titles_encoded=record.titles_encoded + chunk.titles_encoded,
            seconds=round(time.monotonic() - self._started, 3),
            failures=dict(Counter(record.failures) + chunk.failures),
            timings={stage: round(value, 3) for stage, value in seconds.items()},
        )
        write_run_record(self._workspace, self.record)
        if not chunk.datasets <= self._written:  # a dataset may have got its first file
            refresh_views(self._workspace, self._config, only_stale=True)
        self._written |= chunk.datasets
        self._reporter.committed(self.record)
        self._follow(self.record)

    def _order(self, source: ImageSource, dim: int) -> Order:
        record, plan = self.record, self._plan
        return Order(
            workspace=self._workspace,
            config=self._config,
            run_id=record.run_id,
            encoder_id=record.encoder_id,
            head_id=record.head,
            policy_id=record.policy_id,
            dim=dim,
            encodes=plan.to_embed > 0,
            images=plan.images > 0,
            canary=self._choose_canary(source),
            lease=self._lease_token(),
        )

    def _lease_token(self) -> str | None:
        if not isinstance(self._workspace.root, StorePath):
            return None
        from geotag_batch.lease import guard_of  # noqa: PLC0415  nothing that a folder needs

        lease = guard_of(self._workspace.root / CONFIG_NAME)
        return lease.holder.token if lease is not None else None

    def _choose_canary(self, source: ImageSource) -> Canary | None:
        encoder_id = self._plan.target.encoder_id
        if not self._plan.to_embed or encoder_id is None:
            return None
        return choose_canary(self._workspace, self._config, self._plan.connection, source, encoder_id)

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
        if stop.window_over:
            return "window", "the time window is over", 0
        return "window", f"{self._left} photos of lost workers are left to the next run", 0
