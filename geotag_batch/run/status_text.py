"""The status for people to read, and as JSON."""

import json
from dataclasses import asdict
from datetime import datetime

from geotag_batch.printable import one_line
from geotag_batch.run.status import Decided, Status

__all__ = ["status_json", "status_text"]

_MANY_FILES = 500  # from which on they slow the views noticeably


def status_json(status: Status) -> str:
    """Return the status as JSON; times are ISO 8601, UTC."""
    return json.dumps(asdict(status), indent=2, default=_iso)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def status_text(status: Status) -> str:
    """Return the status as lines of text."""
    lines = [f"photos     {status.photos:,}, of which {status.tagged:,} are tagged"]
    lines += _by_owner("predicted", status.predicted, status.current_head)
    lines += _by_owner("embedded", status.embedded, None)
    if status.pending is None:
        lines.append(f"pending    unknown: {status.pending_unknown}")
    else:
        why = ", ".join(f"{count:,} {reason}" for reason, count in status.pending_by_reason.items())
        lines.append(f"pending    {status.pending:,}" + (f" ({why})" if why else ""))
    failed = sum(kind.photos for kind in status.failed)
    lines.append(f"failed     {failed:,}")
    for kind in status.failed:
        fate = "permanent" if kind.permanent == kind.photos else f"{kind.due:,} due now"
        retry = f", next retry {kind.next_retry:%Y-%m-%d %H:%M} UTC" if kind.next_retry and not kind.due else ""
        lines.append(f"           {kind.photos:>9,}  {kind.error_class} ({fate}{retry})")
    lines += _decided(status.decided)
    lines.append("last runs" if status.runs else "last runs  none")
    for run in status.runs:
        reason = f" ({one_line(run.stop_reason)})" if run.stop_reason else ""
        lines.append(
            f"           {run.run_id}  {run.command} {run.status}{reason}: "
            f"{run.photos:,} photos, {run.failed:,} failed, {run.seconds:,.0f} s"
        )
    if status.blocks:
        lines.append("")
        lines.append(f"{'ids':>21} {'photos':>9} {'tagged':>9} {'predicted':>9} {'embedded':>9} {'failed':>9}")
    for block in status.blocks:
        ids = f"{block.first_id}-{block.last_id}"
        counts = (block.photos, block.tagged, block.predicted, block.embedded, block.failed)
        lines.append(f"{ids:>21} " + " ".join(f"{count:>9,}" for count in counts))
    return "\n".join(lines)


def _decided(decided: Decided) -> list[str]:
    if not decided.decisions:
        return ["decided    nothing"]
    people = f"{decided.reviewers:,} reviewer{'' if decided.reviewers == 1 else 's'}"
    lines = [
        f"decided    {decided.decisions:,} tags of {decided.photos:,} photos by {people} "
        f"({decided.accepted:,} accepted, {decided.added:,} added, {decided.rejected:,} rejected)"
    ]
    if decided.files >= _MANY_FILES:
        lines.append(f"           in {decided.files:,} files: `geotag decisions compact` merges them")
    return lines


def _by_owner(word: str, counts: dict[str, int], current: str | None) -> list[str]:
    if not counts:
        return [f"{word:10} none"]
    lines = []
    for owner, count in counts.items():
        mark = " (in use)" if owner == current else ""
        lines.append(f"{word:10} {count:,} by {owner}{mark}")
        word = ""
    return lines
