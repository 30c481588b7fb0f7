"""Metrics for Prometheus, as a file for node_exporter's textfile collector; docs/operating.md lists them.

Gauges tell of the last run of a command, counters of all its runs on record. Labels take few values: why a run ended,
the class of a failure, the stage of the work; only heads and encoders add one for each that is stored.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from geotag_batch.atomic import write_elsewhere
from geotag_batch.errors import StorageError
from geotag_batch.printable import printable
from geotag_batch.run.ending import REASONS, as_it_is, reason_of
from geotag_batch.run.lock import is_locked
from geotag_batch.run.plan import free_bytes
from geotag_batch.run.status import Status
from geotag_batch.schema import error_classes
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, read_run_record, run_ids, utc_now

__all__ = ["RunMetrics", "write_status_metrics"]

_LAST_SUCCESS = "geotag_run_last_success_timestamp_seconds"


class _Families(Collector):
    """Metric families in the making; each sample has the labels that all share, and its own."""

    def __init__(self, **shared: str) -> None:
        self._shared = {name: printable(value) for name, value in shared.items()}
        self._families: list[CounterMetricFamily | GaugeMetricFamily] = []

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        return self._families

    def add(self, name: str, doc: str, value: float | None) -> None:
        """Add one sample, of a counter if the name ends in _total, else of a gauge; nothing for None."""
        if value is not None:
            self._make(name, doc, ()).add_metric([*self._shared.values()], float(value))

    def add_each(self, name: str, doc: str, label: str, values: Mapping[str, float]) -> None:
        """Add a sample for each value of `label`."""
        if not values:  # a family without samples is not worth its lines
            return
        family = self._make(name, doc, (label,))
        for key, value in values.items():
            family.add_metric([*self._shared.values(), printable(key)], float(value))

    def write(self, path: Path) -> None:
        """Publish everything as `path`. Raises StorageError."""
        registry = CollectorRegistry()
        registry.register(self)
        write_elsewhere(generate_latest(registry), path)

    def _make(self, name: str, doc: str, labels: tuple[str, ...]) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        family = kind(name, doc, labels=[*self._shared, *labels])
        self._families.append(family)
        return family


class RunMetrics:
    """The metrics of one command in one workspace, kept in the file `path` while it runs and after it has ended."""

    def __init__(self, workspace: Workspace, command: str, path: Path) -> None:
        """Read what earlier runs came to, from their records and, for runs that left none, from `path`."""
        self._path, self._labels = path, {"workspace": str(workspace.root), "command": command}
        self._earlier = [record for record in _records(workspace) if record.command == command]
        ends = [_seconds(record.finished_at) for record in self._earlier if record.exit_code == 0]
        self._last_success = max([_kept(path, self._labels), *(end for end in ends if end is not None)])

    def write(self, record: RunRecord) -> None:
        """Publish the metrics, `record` being the last run; one without a run_id is not on record, and not counted.

        Raises StorageError.
        """
        families = _Families(**self._labels)
        if record.exit_code == 0:
            self._last_success = max(self._last_success, _seconds(record.finished_at) or 0.0)
        families.add(_LAST_SUCCESS, "End of the last run with exit code 0.", self._last_success or None)
        _add_last_run(families, record)
        earlier = [each for each in self._earlier if each.run_id != record.run_id]
        _add_totals(families, [*earlier, record] if record.run_id else earlier)
        families.write(self._path)


def write_status_metrics(workspace: Workspace, status: Status, path: Path) -> None:
    """Publish what `geotag status` says as metrics. Raises StorageError."""
    families = _Families(workspace=str(workspace.root))
    add, add_each = families.add, families.add_each
    failed = {kind.error_class: kind.photos for kind in status.failed}
    permanent = {kind.error_class: kind.permanent for kind in status.failed}
    add("geotag_archive_timestamp_seconds", "When the archive was looked at.", _seconds(utc_now()))
    add("geotag_archive_photos", "Photos in the catalogue.", status.photos)
    add("geotag_archive_tagged_photos", "Photos that carry one of the 49 tags.", status.tagged)
    add("geotag_archive_pending_photos", "Photos pending; absent where it cannot be said.", status.pending)
    add_each("geotag_archive_predicted_photos", "Photos with a prediction by a head.", "head", status.predicted)
    add_each("geotag_archive_embedded_photos", "Photos with an embedding.", "encoder", status.embedded)
    add_each("geotag_archive_failed_photos", "Photos with a current failure.", "error_class", _by_class(failed))
    doc = "Photos with a current failure that is not tried again by itself."
    add_each("geotag_archive_permanently_failed_photos", doc, "error_class", _by_class(permanent))
    add("geotag_archive_decided_tags", "Tags that people have decided on.", status.decided.decisions)
    add("geotag_archive_disk_free_bytes", "Free on the workspace's disk; absent in a bucket.", free_bytes(workspace))
    families.write(path)


def _add_last_run(families: _Families, record: RunRecord) -> None:
    add, add_each, reason = families.add, families.add_each, reason_of(record)
    add("geotag_run_running", "1 while a run goes on, and after one that was killed.", float(reason is None))
    add("geotag_run_start_timestamp_seconds", "Start of the last run.", _seconds(record.started_at))
    add("geotag_run_update_timestamp_seconds", "When these metrics were written.", _seconds(utc_now()))
    add("geotag_run_end_timestamp_seconds", "End of the last run; absent until then.", _seconds(record.finished_at))
    add("geotag_run_exit_code", "Exit code of the last run; absent until it ends.", record.exit_code)
    ended = {name: float(name == reason) for name in REASONS}
    add_each("geotag_run_ended", "1 for the reason why the last run ended.", "reason", ended)
    add("geotag_run_duration_seconds", "Wall time of the last run's chunks.", record.seconds)
    add("geotag_run_pending_photos", "Photos pending when the last run began.", record.pending)
    add("geotag_run_photos", "Photos in chunks that the last run committed.", record.photos)
    add("geotag_run_predicted_photos", "Predictions that the last run committed.", record.predicted)
    add("geotag_run_embedded_photos", "Embeddings that the last run committed.", record.embedded)
    failed = _by_class(record.failures)
    add_each("geotag_run_failed_photos", "Failures that the last run committed.", "error_class", failed)
    add_each("geotag_run_stage_seconds", "What the last run's stages took; some overlap.", "stage", record.timings)


def _add_totals(families: _Families, records: list[RunRecord]) -> None:
    reasons = Counter(map(reason_of, records))
    runs = {name: reasons[name] for name in REASONS}
    families.add_each("geotag_runs_total", "Runs on record, by why they ended.", "reason", runs)
    for name, doc in (
        ("photos", "Photos in committed chunks"),
        ("predicted", "Predictions committed"),
        ("embedded", "Embeddings committed"),
        ("images_encoded", "Images that went through the encoder"),
        ("titles_encoded", "Distinct titles that went through the encoder"),
    ):
        unit = "" if name in ("photos", "images_encoded", "titles_encoded") else "_photos"
        total = sum(getattr(record, name) for record in records)
        families.add(f"geotag_{name}{unit}_total", f"{doc}, of all runs on record.", total)
    families.add("geotag_run_seconds_total", "Wall time of chunks.", sum(record.seconds for record in records))
    failed: Counter[str] = sum((Counter(record.failures) for record in records), Counter())
    families.add_each("geotag_failed_photos_total", "Failures committed.", "error_class", _by_class(failed))


def _by_class(counts: Mapping[str, int]) -> dict[str, int]:
    """Return a count for each class of failure, so that no series comes and goes."""
    return {name: counts.get(name, 0) for name in error_classes()}


def _records(workspace: Workspace) -> Iterator[RunRecord]:
    """Yield the run records that can be read; where one cannot, the run itself refuses to start and says so."""
    busy = is_locked(workspace)
    for run_id in run_ids(workspace):
        try:
            yield as_it_is(read_run_record(workspace, run_id), busy=busy)
        except StorageError:
            continue


def _kept(path: Path, labels: Mapping[str, str]) -> float:
    """Return the last success that the metrics written before tell of, 0 if there are none that can be read."""
    try:
        families = [*text_string_to_metric_families(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return 0.0
    samples = (sample for family in families for sample in family.samples if sample.name == _LAST_SUCCESS)
    return max((sample.value for sample in samples if sample.labels == labels), default=0.0)


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.replace(tzinfo=UTC).timestamp()
