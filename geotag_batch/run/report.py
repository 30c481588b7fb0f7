"""How a run tells what it does: a progress bar on a terminal, else one log line a chunk; and the last summary."""

import contextlib
import json
import logging
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from geotag_batch.errors import StorageError
from geotag_batch.printable import one_line
from geotag_batch.run.plan import Plan
from geotag_batch.run.prune import Removal
from geotag_batch.write.runs import RunRecord

__all__ = [
    "RunReporter",
    "command_that_goes_on",
    "configure_logging",
    "duration",
    "plan_json",
    "plan_text",
    "removals_text",
    "summary",
]

logger = logging.getLogger("geotag")


class _JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, message, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        time_text = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts: dict[str, Any] = getattr(record, "facts", {})
        return json.dumps(
            {"time": time_text, "level": record.levelname.lower(), "message": record.getMessage(), **facts}
        )


class _TextFormatter(logging.Formatter):
    """One line an event, whatever stands in the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))


class _LogFile(WatchedFileHandler):
    """A log file that is opened anew when logrotate has moved it; one that cannot be written is said once."""

    _said = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            with contextlib.suppress(OSError):  # standard error may be on the same full disk
                sys.stderr.write(f"geotag: cannot write the log {self.baseFilename}: {sys.exception()}\n")

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the lines that a full disk refused are still waiting to be written
            super().close()


def configure_logging(log_format: str, log_file: Path | None = None) -> None:
    """Send the log of geotag to `log_file`, after what is there, or to standard error, as `text` or `json` lines.

    Raises StorageError if the file cannot be opened.
    """
    try:
        handler = logging.StreamHandler(sys.stderr) if log_file is None else _LogFile(log_file, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"cannot open the log {log_file}: {error.strerror}", hint="make its folder, and let this user write there"
        ) from error
    text = _TextFormatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z")
    handler.setFormatter(_JsonFormatter() if log_format == "json" else text)
    for former in logger.handlers:
        former.close()
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


class RunReporter:
    """Follows one run of `total` photos."""

    def __init__(self, total: int, *, bar: bool | None = None) -> None:
        """Draw a bar if `bar`, by default where standard error is a terminal and the log goes there as text."""
        logged = any(
            isinstance(each, _LogFile) or isinstance(each.formatter, _JsonFormatter) for each in logger.handlers
        )
        self._bar = sys.stderr.isatty() and not logged if bar is None else bar
        self._total = total
        self._started = time.monotonic()
        self._progress: Progress | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar for the length of a `with` block."""
        if not self._bar:
            yield
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as self._progress:
            self._progress.add_task("photos", total=self._total)
            yield

    def begin(self) -> None:
        """Start the clock of the rate anew: the encoder is loaded."""
        self._started = time.monotonic()

    def committed(self, record: RunRecord) -> None:
        """Tell that a chunk is committed; `record` counts the run so far."""
        rate = record.photos / max(time.monotonic() - self._started, 1e-9)
        left = (self._total - record.photos) / rate if rate else 0.0
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=record.photos)
            return
        logger.info(
            "chunk %d committed: %d of %d photos, %d failed, %.1f photos/s, %s left",
            record.chunks,
            record.photos,
            self._total,
            record.failed,
            rate,
            duration(left),
            extra={
                "facts": {
                    "event": "chunk",
                    "run_id": record.run_id,
                    "chunk": record.chunks,
                    "photos": record.photos,
                    "total": self._total,
                    "failed": record.failed,
                    "photos_per_second": round(rate, 2),
                    "seconds_left": round(left),
                }
            },
        )


def summary(record: RunRecord) -> str:
    """Return what a run has come to, in a few lines, and the command that goes on after an interruption."""
    if record.status == "done" and not record.pending:
        return "nothing to do: no photo of the selection is pending"
    done = f"{record.predicted} predicted" if record.command == "backfill" else f"{record.embedded} embedded"
    lines = [
        f"run {record.run_id}: {record.status}" + (f" ({one_line(record.stop_reason)})" if record.stop_reason else ""),
        f"  {record.photos} of {record.pending} pending photos in {record.chunks} chunks: {done}, "
        f"{record.failed} failed; {record.images_encoded} images and {record.titles_encoded} titles encoded",
        f"  {duration(record.seconds)}, {record.photos / max(record.seconds, 1e-9):.1f} photos/s",
    ]
    if record.failures:
        lines.append("  failed: " + ", ".join(f"{name} {count}" for name, count in sorted(record.failures.items())))
    if record.status != "done":
        lines.append(f"  go on with: {shlex.join(command_that_goes_on(record))}")
    return "\n".join(lines)


_OF_SELECTION = ("select", "ids", "redo_before", "reembed", "retry_failed", "check_images")
_OF_RAY = ("engine", "ray_address", "workers", "gpus_per_worker", "cpus_per_worker")


def command_that_goes_on(record: RunRecord) -> list[str]:
    """Return the same selection again; --force has become the --redo-before of its start, so nothing is done twice.

    For an import, the same files.
    """
    if record.command == "import":
        files, more = shlex.split(record.options.get("files", "")), ["--replace"] if "replace" in record.options else []
        return ["geotag", "embeddings", "import", *files, "--encoder", str(record.encoder_id), *more]
    words = ["geotag", record.command]
    for option in (*_OF_SELECTION, *_OF_RAY):
        value = record.options.get(option)
        if value is not None and (option, value) != ("select", "untagged"):
            words += [f"--{option.replace('_', '-')}", *([] if value == "True" else [value])]
    return words


def removals_text(removals: list[Removal]) -> str:
    """Return what a prune takes away, a line for each reason."""
    if not removals:
        return "nothing to remove"
    lines = []
    for why in dict.fromkeys(removal.why for removal in removals):
        alike = [removal for removal in removals if removal.why == why]
        rows, size = sum(removal.rows for removal in alike), sum(removal.bytes for removal in alike)
        lines.append(f"{rows:,} rows in {len(alike):,} files, {size / 1e6:,.1f} MB: {why}")
    return "\n".join(lines)


def plan_json(plan: Plan) -> str:
    """Return a plan as JSON."""
    facts = {
        "encoder": plan.target.encoder_id,
        "head": plan.target.head_id,
        "policy": plan.target.policy_id,
        "pending": plan.pending,
        "photos": plan.total,
        "by_reason": plan.by_reason,
        "images_to_look_at": plan.images,
        "photos_to_embed": plan.to_embed,
        "chunks": plan.chunks,
        "chunk_size": plan.chunk_size,
        "bytes_needed": plan.bytes_needed,
        "bytes_free": plan.bytes_free,
        "fits": plan.fits,
        "seconds_estimated": plan.seconds,
    }
    return json.dumps(facts, indent=2)


def plan_text(plan: Plan) -> str:
    """Return a plan for people to read."""
    lines = [
        f"head     {plan.target.head_id}",
        f"encoder  {plan.target.encoder_id}",
        f"policy   {plan.target.policy_id}",
    ]
    if not plan.total:
        return "\n".join([*lines, "nothing to do: no photo of the selection is pending"])
    rest = f" of {plan.pending} pending" if plan.pending > plan.total else ""
    lines.append(f"{plan.total} photos{rest} in {plan.chunks} chunks of up to {plan.chunk_size}:")
    lines += [f"  {reason.photos:>9,}  {reason.reason}" for reason in plan.reasons]
    titles = sum(reason.titles for reason in plan.reasons)
    lines.append(f"to encode: {plan.images:,} images (fewer where they turn out unchanged), {titles:,} distinct titles")
    fits = "" if plan.fits else ": TOO LITTLE, the run would refuse to start"
    free = "" if plan.bytes_free is None else f", {plan.bytes_free / 1e6:,.0f} MB free{fits}"
    where = "store" if plan.bytes_free is None else "disk"
    lines.append(f"{where}: about {plan.bytes_needed / 1e6:,.0f} MB needed{free}")
    known = (
        f"about {duration(plan.seconds)}, from earlier runs" if plan.seconds is not None else "no earlier run to tell"
    )
    lines.append(f"time: {known}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a length of time in words, to the second."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
