"""Run ids and run records.

A run_id is ``YYYYMMDDTHHMMSSZ-xxxx`` in UTC and sorts after every committed one, so that "newest" is the greatest
run_id and nothing else: a clock that is behind the last run is raised past it.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from geotag_batch.atomic import write_bytes
from geotag_batch.errors import StorageError
from geotag_batch.fingerprint import software_versions
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace

__all__ = [
    "RunRecord",
    "is_run_id",
    "new_run_id",
    "read_run_record",
    "read_run_records",
    "run_ids",
    "run_time",
    "stamp_after",
    "utc_now",
    "write_run_record",
]

_TIME = "%Y%m%dT%H%M%SZ"
_RUN_ID = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as runs/<run_id>.json tells it; the fields are the columns of schemas/run.v1.json."""

    run_id: str
    command: str
    status: str
    started_at: datetime
    updated_at: datetime
    pending: int
    stop_reason: str | None = None
    exit_code: int | None = None
    finished_at: datetime | None = None
    encoder_id: str | None = None
    head: str | None = None
    policy_id: str | None = None
    precision: str | None = None
    device: str | None = None
    canary: str | None = None
    chunks: int = 0
    photos: int = 0
    predicted: int = 0
    failed: int = 0
    embedded: int = 0
    images_encoded: int = 0
    titles_encoded: int = 0
    seconds: float = 0.0
    failures: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=software_versions)


def utc_now() -> datetime:
    """Return the time in UTC, without zone, to the microsecond."""
    return datetime.now(UTC).replace(tzinfo=None)


def new_run_id(workspace: Workspace) -> str:
    """Return a run_id that sorts after every committed one. The caller holds the lock."""
    return stamp_after(max(_committed_times(workspace), default=""))


def stamp_after(last: str) -> str:
    """Return a stamp of now, YYYYMMDDTHHMMSSZ-xxxx, that sorts after the stamp `last` whatever the clock says."""
    now, last = utc_now().replace(microsecond=0), last[:16]
    if last and now.strftime(_TIME) <= last:
        now = datetime.strptime(last, _TIME) + timedelta(seconds=1)
    return f"{now.strftime(_TIME)}-{secrets.token_hex(2)}"


def is_run_id(text: str) -> bool:
    """Return whether `text` has the form of a run_id."""
    return _RUN_ID.fullmatch(text) is not None


def run_time(run_id: str) -> datetime:
    """Return when a run began, UTC, as its run_id says."""
    return datetime.strptime(run_id[:16], _TIME)


def _committed_times(workspace: Workspace) -> Iterator[str]:
    names = [path.name for path in workspace.runs.glob("*.json")]
    for dataset in ("embeddings", "predictions", "failures"):
        names += [path.name for path in workspace.dataset_files(dataset)]
    for name in names:
        match = _RUN_ID.match(name)
        if match:
            yield match.group(1)


def write_run_record(workspace: Workspace, record: RunRecord) -> None:
    """Commit the record, replacing an earlier state of the same run."""
    columns = load_schema("run").column_names
    values = {name: _to_json(value) for name, value in asdict(record).items()}
    text = json.dumps({name: values[name] for name in columns}, indent=2, ensure_ascii=False) + "\n"
    write_bytes(text.encode(), workspace.run_file(record.run_id), workspace.staging / record.run_id, replace=True)


def run_ids(workspace: Workspace) -> list[str]:
    """Return the ids of all runs on record, the oldest first."""
    return sorted(path.stem for path in workspace.runs.glob("[0-9]*Z-*.json"))


def read_run_records(workspace: Workspace) -> list[RunRecord]:
    """Return all run records, the oldest first. Raises StorageError naming a record that cannot be read."""
    return [read_run_record(workspace, run_id) for run_id in run_ids(workspace)]


def read_run_record(workspace: Workspace, run_id: str) -> RunRecord:
    """Return one run's record. Raises StorageError if it cannot be read or is not what it should be."""
    path = workspace.run_file(run_id)
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for name in ("started_at", "updated_at", "finished_at"):
            if values[name] is not None:
                values[name] = datetime.fromisoformat(values[name])
        record = RunRecord(**values)
        _require_types(values, run_id)
        return record
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StorageError(f"{path}: is not a readable run record: {error}", hint="run `geotag verify`") from error


_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "int64": (int,),
    "float64": (int, float),
    "timestamp[us]": (datetime,),
    "map<string, int64>": (int,),
    "map<string, float64>": (int, float),
    "map<string, string>": (str,),
}
"""What JSON, its times read, must have for each type of schemas/run.v1.json; for a map, its values."""


def _require_types(values: dict[str, Any], run_id: str) -> None:
    """Raise TypeError unless a record's values have their schema's types; one that has not would break the view."""
    for column in load_schema("run").columns:
        value, kinds = values.get(column.name), _JSON_TYPES[column.type]  # an older version may lack one
        if value is None and column.nullable:
            continue
        parts = [value]
        if column.type.startswith("map"):
            parts = list(value.values()) if isinstance(value, dict) else [None]
        if not all(isinstance(part, kinds) and not isinstance(part, bool) for part in parts):
            raise TypeError(f"{column.name} is {value!r}, should be {column.type}")
    if values["run_id"] != run_id:
        raise ValueError(f"it is the record of run {values['run_id']}")


def _to_json(value: object) -> object:
    return value.isoformat(sep=" ", timespec="microseconds") if isinstance(value, datetime) else value
