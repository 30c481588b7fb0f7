"""Follows one invocation of a run from before its start to after its end, whatever that is, for whoever operates it."""

import logging
import signal
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from geotag_batch.errors import GeotagError, StorageError
from geotag_batch.run.mail import mail_text, troubles_of
from geotag_batch.run.metrics import RunMetrics
from geotag_batch.run.report import summary
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, utc_now

__all__ = ["SUMMARIES", "Watch"]

logger = logging.getLogger("geotag")

SUMMARIES = ("short", "mail", "trouble")
"""A few lines if no error ended the run; a mail's text; that, but only if it tells of something that needs a person."""


class Watch:
    """Keeps the metrics file, if one is wanted, and knows at the end what to say.

    Used as a context around the run. `record` is the run's as it is now; before there is one, or where there will be
    none, it has no run_id.
    """

    def __init__(self, workspace: Workspace, command: str, metrics_file: Path | None) -> None:
        """Prepare; nothing is written yet."""
        now = utc_now()
        self.record = RunRecord("", command, "running", now, now, 0)
        self._workspace, self._command, self._metrics_file = workspace, command, metrics_file
        self._metrics: RunMetrics | None = None
        self._hint: str | None = None

    def __enter__(self) -> "Watch":
        """Write the first metrics. Raises StorageError, before any work is done, if that cannot be."""
        try:
            if self._metrics_file is not None:
                self._metrics = RunMetrics(self._workspace, self._command, self._metrics_file)
                self._metrics.write(self.record)
        except StorageError as error:
            self._end(error)
            raise
        return self

    def follow(self, record: RunRecord) -> None:
        """Take the run's record as it is now; in the middle of a run metrics that cannot be written are a warning."""
        self.record = record
        self._write_or_warn()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the last metrics. Raises StorageError if that cannot be and no other error ended the run."""
        if error is not None:
            self._end(error)
            self._write_or_warn()
        elif self._metrics is not None:
            self._metrics.write(self.record)

    def summary(self, kind: str) -> str:
        """Return what to print at the end, one of SUMMARIES; empty if there is nothing to say."""
        if kind == "short":
            return "" if self.record.status in ("running", "failed") else summary(self.record)
        troubles = troubles_of(self._workspace, self.record)
        if kind == "trouble" and not troubles and self.record.exit_code == 0:
            return ""
        return mail_text(self._workspace, self.record, self._hint, troubles)

    def _end(self, error: BaseException) -> None:
        """Take note of the error; a run that got as far as a record has noted it there itself."""
        self._hint = error.hint if isinstance(error, GeotagError) else None
        if self.record.status != "running":
            return
        status, words, code = "failed", f"{type(error).__name__}: {error}".rstrip(": "), GeotagError.exit_code
        if isinstance(error, GeotagError):
            words, code = error.message, error.exit_code
        elif isinstance(error, KeyboardInterrupt):
            status, words, code = "stopped", "by SIGINT", 128 + signal.SIGINT
        elif isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128:  # signals_as_exits
            status, words, code = "stopped", f"by {signal.Signals(error.code - 128).name}", error.code
        self.record = replace(self.record, status=status, stop_reason=words, exit_code=code, finished_at=utc_now())

    def _write_or_warn(self) -> None:
        try:
            if self._metrics is not None:
                self._metrics.write(self.record)
        except StorageError as error:
            logger.warning("the metrics are left as they were: %s", error.message)
