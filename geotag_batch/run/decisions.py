"""Decisions that come from a file and go into one."""

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from geotag_batch.atomic import publish, write_elsewhere
from geotag_batch.config import Config
from geotag_batch.duck import connect, execute_file, fetch_arrow
from geotag_batch.errors import InputError, UsageError
from geotag_batch.read.decision_file import DecisionRow, read_decision_file
from geotag_batch.read.ingest import RejectedLines
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_chosen, check_decision
from geotag_batch.write.views import create_views, rebuild_views, views_are_stale

__all__ = ["ImportTotals", "export_decisions", "import_decisions", "refresh_views"]

_Identity = tuple[int, str, str, str, datetime | None]


@dataclass(slots=True)
class ImportTotals:
    """What became of a file's rows: `rows` is the sum of `taken`, `known` (decided just so before) and `refused`."""

    rows: int = 0
    taken: int = 0
    known: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    rejected_file: Path | None = None
    ignored_columns: tuple[str, ...] = ()


def refresh_views(workspace: Workspace, config: Config) -> None:
    """Make the views anew if they are stale, as they are when the first decision is committed."""
    if views_are_stale(workspace, config):
        rebuild_views(workspace, config)


def import_decisions(
    workspace: Workspace, config: Config, path: Path, *, reviewer: str | None = None, source: str = "import"
) -> ImportTotals:
    """Append the decisions of a CSV or Parquet file in one commit, all that can be used or none.

    `reviewer` stands in where the file names none, `source` likewise. A decision that is here already (the same photo,
    tag, decision, reviewer and time; without a time, the newest word on that tag) is not taken twice. Rows that cannot
    be used, and words older than what is decided now, go to rejected/ with their reason. Raises InputError if the file
    cannot be read or no row of it can be used; CatalogueError, LockedError, StorageError.
    """
    columns, rows = read_decision_file(path)
    known_columns = {"reviewer", *load_schema("decisions").column_names}
    totals = ImportTotals(len(rows), ignored_columns=tuple(name for name in columns if name not in known_columns))
    refused: list[tuple[DecisionRow, str]] = []
    read: list[tuple[DecisionRow, Decision]] = []
    for row in rows:
        try:
            read.append((row, _decision(row, reviewer, source)))
        except InputError as error:
            refused.append((row, error.message))
    read.sort(key=_order)

    def choose() -> Sequence[Decision]:
        chosen = _new_ones(workspace, config, read, refused)
        refused.sort(key=lambda found: found[0].number)
        totals.taken, totals.known = len(chosen), len(rows) - len(chosen) - len(refused)
        totals.refused = [(row.number, reason) for row, reason in refused]
        totals.rejected_file = _write_rejected(workspace, path, refused) if refused else None
        return chosen

    append_chosen(workspace, choose)
    if rows and len(totals.refused) == len(rows):
        number, reason = totals.refused[0]
        raise InputError(
            f"{path}: no row can be used, the first one (line {number}) because {reason}",
            hint=f"all of them are in {totals.rejected_file}, with the reason",
        )
    if totals.taken:
        refresh_views(workspace, config)
    return totals


def _order(found: tuple[DecisionRow, Decision]) -> tuple[str, datetime, int]:
    """Return what decides which of a file's words on a tag is the last one: its id, else its time, else its line."""
    row, decision = found
    decided_at = decision.decided_at or datetime.max
    return str(row.values.get("decision_id") or ""), decided_at, row.number


def _new_ones(
    workspace: Workspace,
    config: Config,
    read: Sequence[tuple[DecisionRow, Decision]],
    refused: list[tuple[DecisionRow, str]],
) -> list[Decision]:
    """Return the decisions that are not here yet; what is of unknown photos, or older than what stands, is refused."""
    unknown, seen, stood = _known(workspace, config, {decision.gridimage_id for _, decision in read})
    chosen, stands = [], dict(stood)
    for row, decision in read:
        key, identity = (decision.gridimage_id, decision.tag), _identity(decision)
        before = stood[key][-1] if key in stood else None
        if decision.gridimage_id in unknown:
            refused.append((row, f"photo {decision.gridimage_id} is not in the catalogue"))
        elif identity in seen or (decision.decided_at is None and stands.get(key, ())[:4] == identity[:4]):
            continue
        elif before is not None and decision.decided_at is not None and before > decision.decided_at:
            refused.append((row, f"{stood[key][3]} decided later, on {before:%Y-%m-%d at %H:%M:%S} UTC"))
        else:
            chosen.append(decision)
            seen.add(identity)
            stands[key] = identity
    return chosen


def _identity(decision: Decision) -> _Identity:
    return (decision.gridimage_id, decision.tag, decision.decision, decision.reviewer, decision.decided_at)


def _known(
    workspace: Workspace, config: Config, photos: set[int]
) -> tuple[set[int], set[_Identity], dict[tuple[int, str], _Identity]]:
    """Return which photos the catalogue lacks, the decisions on the others, and the newest of each photo and tag."""
    with connect(memory_limit=config.run.memory_limit, spill=workspace.cache) as connection:
        create_views(connection, workspace, config, ("photos", "decisions"))
        connection.register("asked", pa.table({"gridimage_id": pa.array(sorted(photos), pa.int64())}))
        unknown = {row[0] for row in execute_file(connection, "decisions", "unknown_photos").fetchall()}
        rows: list[_Identity] = execute_file(connection, "decisions", "known").fetchall()
    return unknown, set(rows), {(row[0], row[1]): row for row in rows}


def _write_rejected(workspace: Workspace, path: Path, refused: Sequence[tuple[DecisionRow, str]]) -> Path:
    final = workspace.rejected / f"decisions-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.tsv"

    def write(staged: Path) -> None:
        with RejectedLines(staged) as lines:
            for row, reason in refused:
                lines.add(path, row.number, reason, row.text.encode())

    publish(write, final, workspace.decisions_staging)
    return final


def _decision(row: DecisionRow, reviewer: str | None, source: str) -> Decision:
    """Return the decision that a row means. Raises InputError with the reason why it means none."""
    if row.problem is not None:
        raise InputError(row.problem)
    values = {name: value.strip() if isinstance(value, str) else value for name, value in row.values.items()}
    decision = Decision(
        gridimage_id=_whole_number(values["gridimage_id"]),
        tag=_text(values, "tag") or "",
        decision=_text(values, "decision") or "",
        reviewer=_text(values, "reviewer") or reviewer or "",
        source=_text(values, "source") or source,
        head=_text(values, "head"),
        policy_id=_text(values, "policy_id"),
        run_id=_text(values, "run_id"),
        score=_optional(values, "score", _score),
        decided_at=_optional(values, "decided_at", _time),
    )
    check_decision(decision)
    return decision


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return None if value is None or value == "" else str(value)


def _optional(values: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    value = values.get(name)
    return None if value is None or value == "" else read(value)


def _whole_number(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    raise InputError(f"{str(value)[:40]!r} is no gridimage_id")


def _score(value: object) -> float:
    try:
        score = float(str(value))
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise InputError(f"{str(value)[:40]!r} is no score from 0 to 1")
    return score


def _time(value: object) -> datetime:
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time
    except (ValueError, OverflowError) as error:
        raise InputError(f"{str(value)[:40]!r} is no time such as 2026-01-31T18:30:00Z") from error


def export_decisions(workspace: Workspace, config: Config, out: Path, *, newest: bool = False) -> int:
    """Write all decisions, or with `newest` those that count now, to a CSV or Parquet file; return how many.

    Columns are those of schemas/decisions.v1.json; in CSV times are ISO 8601 in UTC. Raises UsageError for another kind
    of file, StorageError.
    """
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(f"{out} says neither .csv nor .parquet", hint="end the file's name with one of them")
    with connect(memory_limit=config.run.memory_limit, spill=workspace.cache) as connection:
        create_views(connection, workspace, config, ("decisions", "decisions_newest"))
        table = fetch_arrow(connection, "decisions", "newest" if newest else "everything")
    table = table.cast(load_schema("decisions").arrow())
    data = io.BytesIO()
    if out.suffix.lower() == ".parquet":
        pq.write_table(table, data, compression="zstd")
    else:
        place = table.schema.get_field_index("decided_at")
        times = pc.strftime(table["decided_at"], format="%Y-%m-%dT%H:%M:%SZ")
        pyarrow.csv.write_csv(table.set_column(place, "decided_at", times), data)
    write_elsewhere(data.getvalue(), out)
    return int(table.num_rows)
