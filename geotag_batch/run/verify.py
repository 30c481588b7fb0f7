"""Re-reads everything committed and lists what is wrong; an interrupted run is not wrong.

File by file, so memory does not grow with the archive: schema, page checksums, names against contents, fingerprints,
values; then, in SQL, that no photo is there twice; then the counts of the run records, the heads, and files that
nobody committed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geotag_batch.duck import DuckError, connect, dataset_relation, execute_file
from geotag_batch.errors import HeadError, StorageError
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.run.check_decisions import check_decisions_file, contradictions
from geotag_batch.run.check_file import DATASETS, check_file
from geotag_batch.run.lock import is_locked
from geotag_batch.workspace import Workspace
from geotag_batch.write.pruned import read_pruned
from geotag_batch.write.runs import RunRecord, read_run_records

__all__ = ["Problem", "Report", "verify"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong: where (a path below the workspace, or a run_id), and what."""

    where: str
    what: str


@dataclass(slots=True)
class Report:
    """What verify saw. `problems` is empty for a sound workspace; `notes` are worth knowing and not wrong."""

    files: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(where, what))


def verify(workspace: Workspace) -> Report:
    """Re-read the workspace, also while a run is writing to it."""
    report = Report()
    records = _read_records(workspace, report)  # before the files: what a record counts was committed before it
    counted: Counter[tuple[str, str]] = Counter()  # (run_id, dataset) -> rows
    rows: dict[str, int] = {}  # file -> rows
    weights: dict[str, str] = {}  # encoder's folder -> the weights of its first file
    for dataset in DATASETS:
        for path in workspace.dataset_files(dataset):
            where = str(path.relative_to(workspace.root))
            checked = check_file(dataset, path)
            rows[where] = checked.rows
            report.rows[dataset] = report.rows.get(dataset, 0) + checked.rows
            counted[checked.run_id, dataset] += checked.rows
            for what in checked.problems:
                report.add(where, what)
            if checked.weights_sha256 not in (None, weights.setdefault(path.parent.name, checked.weights_sha256 or "")):
                report.add(where, "was made with other weights than the encoder's first embeddings")
    report.files = len(rows) + _check_decisions(workspace, report)
    _check_repetition(workspace, report)
    _add_pruned(workspace, report, counted, rows)
    if records is not None:
        _check_runs(workspace, report, counted, records)
    _check_heads(workspace, report)
    _look_for_strangers(workspace, report)
    return report


def _read_records(workspace: Workspace, report: Report) -> list[RunRecord] | None:
    try:
        return read_run_records(workspace)
    except StorageError as error:
        report.add("runs", error.message)
        return None


def _check_repetition(workspace: Workspace, report: Report) -> None:
    columns = ("gridimage_id", "run_id")
    with connect(memory_limit="1GiB", spill=workspace.cache) as connection:
        try:
            for dataset in DATASETS:
                committed = dataset_relation(workspace, dataset, columns)
                connection.execute(f"CREATE TEMP VIEW {dataset} AS FROM {committed}")
            for owner, run_id, photo, times in execute_file(connection, "checks", "repeated_predictions").fetchall():
                report.add(run_id, f"photo {photo} was predicted {times} times by {owner}")
            for owner, run_id, photo, times in execute_file(connection, "checks", "repeated_embeddings").fetchall():
                report.add(run_id, f"photo {photo} was embedded {times} times by {owner}")
            for run_id, photo in execute_file(connection, "checks", "predicted_and_failed").fetchall():
                report.add(run_id, f"photo {photo} was predicted and failed")
        except DuckError as error:
            if not report.problems:  # else a file that is named already is in the way
                report.add("predictions, embeddings, failures", f"cannot be read together: {error}")


def _check_decisions(workspace: Workspace, report: Report) -> int:
    """Check the decisions, and return in how many files they are."""
    files = 0
    for path in workspace.dataset_files("decisions"):
        rows, problems = check_decisions_file(path)
        if problems and not path.exists():
            continue  # merged into another one meanwhile
        files += 1
        report.rows["decisions"] = report.rows.get("decisions", 0) + rows
        for what in problems:
            report.add(str(path.relative_to(workspace.root)), what)
    with connect(memory_limit="1GiB", spill=workspace.cache) as connection:
        try:
            for decision_id in contradictions(connection, workspace):
                report.add("decisions", f"two files say different things under {decision_id}")
        except DuckError as error:
            if not report.problems:  # else a file that is named already is in the way
                report.add("decisions", f"cannot be read together: {error}")
    return files


def _add_pruned(
    workspace: Workspace, report: Report, counted: Counter[tuple[str, str]], rows: Mapping[str, int]
) -> None:
    """Count what was pruned as if it were there still, so that a run's record can be compared."""
    try:
        pruned = read_pruned(workspace)
    except StorageError as error:
        report.add("pruned", error.message)
        return
    for file, states in pruned.items():
        left = rows.get(file, 0)
        if left not in states:  # a prune that was killed leaves an earlier state, which is not wrong
            report.add(file, f"has {left} rows, after it was pruned it should have {min(states)}")
        dataset, _, _ = file.partition("/")
        run_id, _, _ = Path(file).name.rpartition("-")
        counted[run_id, dataset] += max(states) - left


def _check_runs(
    workspace: Workspace, report: Report, counted: Counter[tuple[str, str]], records: list[RunRecord]
) -> None:
    busy = is_locked(workspace)
    for record in records:
        if record.status == "running" and not busy:
            report.notes.append(f"run {record.run_id} was interrupted; what it committed is good")
        _check_counts(record, report, counted)
    for run_id in sorted({run_id for run_id, _ in counted} - {record.run_id for record in records}):
        if not workspace.run_file(run_id).exists():  # else it began after the records were read
            report.add(f"runs/{run_id}.json", "is missing, but there are files of that run")


def _check_counts(record: RunRecord, report: Report, counted: Counter[tuple[str, str]]) -> None:
    """Compare rows with the record: they agree, or, for a run that could not say the last of it, are more."""
    recorded = {"embeddings": record.embedded, "failures": record.failed, "predictions": record.predicted}
    # One under way, or killed, has committed a chunk that it has not counted; one that ended with an error may have
    # committed a chunk's embeddings before the disk refused the rest.
    may_have_more = record.status in ("running", "failed")
    for dataset, expected in recorded.items():
        found = counted[record.run_id, dataset]
        if found < expected or (found > expected and not may_have_more):
            report.add(f"runs/{record.run_id}.json", f"says {expected} {dataset}, there are {found}")


def _check_heads(workspace: Workspace, report: Report) -> None:
    for folder in sorted(path for path in workspace.heads.glob("*") if path.is_dir()):
        if not (folder / "head.json").exists():
            report.notes.append(
                f"{folder.relative_to(workspace.root)} has no head.json: an import that was interrupted"
            )
            continue
        try:
            load_scorer(workspace, folder.name)
        except HeadError as error:
            report.add(str(folder.relative_to(workspace.root)), error.message)


def _look_for_strangers(workspace: Workspace, report: Report) -> None:
    """Name files that stand among the committed ones and are none of them."""
    for dataset in (*DATASETS, "decisions"):
        committed = set(workspace.dataset_files(dataset))
        folder = workspace.root / dataset
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() and path not in committed:
                report.add(str(path.relative_to(workspace.root)), "is not a committed file; move it away")
    staged = sum(1 for path in workspace.staging.rglob("*") if path.is_file())
    if staged and not is_locked(workspace):
        report.notes.append(f"{staged} staged files of an interrupted run; the next run removes them")
