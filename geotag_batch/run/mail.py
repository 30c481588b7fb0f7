"""A run told as the text of a mail: what was done, what failed and why, what to do next, how to go on."""

import shlex
import socket
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime

from geotag_batch.errors import InputError, StorageError
from geotag_batch.printable import one_line
from geotag_batch.run.ending import REASONS, advice_of, as_it_is, reason_of
from geotag_batch.run.lock import is_locked
from geotag_batch.run.plan import bytes_for, free_bytes
from geotag_batch.run.report import command_that_goes_on, duration
from geotag_batch.schema import error_classes
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, is_run_id, read_run_record, run_ids

__all__ = ["mail_text", "report_run", "troubles_of"]

_WIDTH = 72
"""Columns: what a mail can be quoted twice with and still fit a terminal. Paths and commands are not broken."""


def report_run(workspace: Workspace, run_id: str | None, *, only_trouble: bool = False) -> str:
    """Return the text for a run on record, the last one by default; empty if `only_trouble` and there is none.

    Raises InputError if there is no such run, StorageError if its record cannot be read.
    """
    known = run_ids(workspace)
    if run_id is not None and not (is_run_id(run_id) and run_id in known):
        raise InputError(f"{workspace.root} has no run {run_id}", hint="`geotag status` lists the last runs")
    if not known:
        raise InputError(f"{workspace.root} has no run on record", hint="`geotag backfill` makes the first one")
    record = as_it_is(read_run_record(workspace, run_id or known[-1]), busy=is_locked(workspace))
    troubles = troubles_of(workspace, record)
    fine = not troubles and (record.exit_code == 0 or record.status == "running")
    return "" if only_trouble and fine else mail_text(workspace, record, None, troubles)


def troubles_of(workspace: Workspace, record: RunRecord) -> list[str]:
    """Return, in sentences, what needs a person although the run's own exit code does not say so."""
    troubles = []
    before = [run_id for run_id in run_ids(workspace) if not record.run_id or run_id < record.run_id]
    try:
        last = read_run_record(workspace, before[-1]) if before else None
    except StorageError as error:
        troubles.append(f"{error.message}. `geotag verify` looks at it.")
        last = None
    if last is not None and last.status == "running" and reason_of(record) != "locked":
        troubles.append(
            f"The run before, {last.run_id}, was killed after {last.photos:,} photos: by the kernel for lack of "
            "memory, a power cut, or somebody. What it had committed is good. `geotag verify --repair` marks it as "
            "interrupted."
        )
    left, free = record.pending - record.photos, free_bytes(workspace)
    embedded = left * record.embedded // record.photos if record.photos else left
    needed = bytes_for(embedded=max(embedded, 0), predicted=left if record.head else 0)
    if left > 0 and free is not None and needed > free:
        troubles.append(
            f"The {left:,} photos that are left need about {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free: "
            "the next run would refuse to start. Free space, or `geotag prune` what is not needed."
        )
    return troubles


def mail_text(workspace: Workspace, record: RunRecord, hint: str | None, troubles: Sequence[str]) -> str:
    """Return the text, plain and 72 columns wide.

    `hint` is what the error that ended the run says to try; `troubles` are sentences that stand first.
    """
    reason = reason_of(record)
    heading = REASONS[reason].heading if reason else "running"
    lines = [one_line(f"geotag {record.command} in {workspace.root}: {heading}")]
    if record.stop_reason:
        lines += _wrapped(record.stop_reason)
    lines += ["", *_facts(record)]
    if record.photos:
        lines += ["", "What was done", *_done(record)]
    if record.failures:
        lines += ["", "What failed", *_failed(record)]
    for number, trouble in enumerate(troubles):
        lines += ["", *(["What needs a look"] if not number else []), *_wrapped(trouble)]
    if reason:
        advice = hint[:1].upper() + hint[1:].rstrip(".") + "." if hint else advice_of(record)
        lines += ["", "What to do next", *_wrapped(advice)]
    if reason and reason != "done" and record.run_id:
        words = command_that_goes_on(record)
        options = 3 if record.command == "import" else 2  # where they begin: `geotag embeddings import`
        words = [*words[:options], "-C", str(workspace.root), *words[options:]]
        lines += ["", "To go on before the next run", *_command(words)]
    return "\n".join(lines)


def _facts(record: RunRecord) -> Iterator[str]:
    run = record.run_id or "none on record: it ended before its first chunk"
    yield f"  Run        {run}"
    yield f"  Machine    {one_line(socket.gethostname())}"
    yield f"  Began      {_time(record.started_at)}"
    if record.finished_at is not None:
        yield f"  Ended      {_time(record.finished_at)}"
    if record.exit_code is not None:
        yield f"  Exit code  {record.exit_code}"


def _done(record: RunRecord) -> Iterator[str]:
    kind, count = ("predicted", record.predicted) if record.command == "backfill" else ("embedded", record.embedded)
    rate = record.photos / max(record.seconds, 1e-9)
    yield f"  {record.photos:>11,}  of {record.pending:,} pending photos, in {record.chunks:,} chunks"
    yield f"  {count:>11,}  {kind}"
    yield f"  {record.failed:>11,}  failed"
    yield f"  {record.images_encoded:>11,}  images and {record.titles_encoded:,} titles encoded"
    yield f"  in {duration(record.seconds)}, {rate:,.1f} photos/s"
    if record.canary:
        yield from _wrapped(f"canary: {record.canary}")


def _failed(record: RunRecord) -> Iterator[str]:
    classes = error_classes()
    for name, count in sorted(record.failures.items(), key=lambda item: -item[1]):
        doc = classes[name].doc if name in classes else "of a class that this version does not know"
        yield from _wrapped(f"{count:>11,}  {name}: {doc}", deeper=" " * 13)
    lasting = [name for name in record.failures if name in classes and classes[name].permanent]
    passing = [name for name in record.failures if name not in lasting]
    if passing:
        yield from _wrapped(f"Tried again by themselves, ever less often: {', '.join(passing)}.")
    if lasting:
        yield from _wrapped(
            f"Left alone until the image changes: {', '.join(lasting)}. Mend the files, then "
            "`geotag backfill --check-images`."
        )
    yield "  To list them:"
    yield f"""  geotag query "FROM failures WHERE run_id = '{record.run_id}'\""""


def _wrapped(text: str, deeper: str = "") -> list[str]:
    return textwrap.wrap(
        one_line(text),
        _WIDTH,
        initial_indent="  ",
        subsequent_indent=f"  {deeper}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _command(words: Sequence[str]) -> list[str]:
    """Return a command to paste into a shell; what does not fit on a line goes on after a backslash."""
    lines = ["  "]
    for word in map(shlex.quote, words):
        if len(lines[-1]) + len(word) > _WIDTH - 2 and lines[-1].strip():
            lines[-1] += "\\"
            lines.append("    ")
        lines[-1] += f"{word} "
    return [line.rstrip(" ") for line in lines]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
