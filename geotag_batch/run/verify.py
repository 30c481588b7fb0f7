"""Re-reads everything committed and lists what is wrong; an interrupted run is not wrong.

File by file, so memory does not grow with the archive: bytes against their recorded SHA-256, schema, page checksums,
names against contents, fingerprints, values; then, in SQL, that no photo is there twice; then the counts of the run
records, the heads, and files that nobody committed.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

from geotag_batch.committed import repeated
from geotag_batch.duck import Connection, DuckError, connect, dataset_relation, execute_file, raise_store_error
from geotag_batch.errors import HeadError, StorageError
from geotag_batch.locations import location
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.run.check_counts import check_counts
from geotag_batch.run.check_decisions import check_decisions_file, contradictions
from geotag_batch.run.check_file import DATASETS, Checked, check_file
from geotag_batch.run.findings import Findings, Problem, Report
from geotag_batch.run.lock import is_locked
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import is_run_id, read_run_record
from geotag_batch.write.sums import read_sums

__all__ = ["Problem", "Report", "look", "verify"]


def verify(workspace: Workspace) -> Report:
    """Re-read the workspace, also while a run is writing to it."""
    return look(workspace, busy=is_locked(workspace)).report


def look(workspace: Workspace, *, busy: bool, known: Mapping[Path, Checked] | None = None) -> Findings:
    """Return all that `verify` finds; `busy` says that another command is writing.

    Files in `known` are not read again: the caller holds the lock and has read them.
    """
    findings = Findings(workspace)
    _read_records(findings)  # before the files: what a record counts was committed before it
    _check_files(findings, known or {})
    _check_decisions(findings)
    _check_repetition(findings)
    check_counts(findings, busy=busy)
    _check_heads(findings)
    _look_for_strangers(findings)
    _take_notes(findings, busy=busy)
    return findings


def _read_records(findings: Findings) -> None:
    workspace = findings.workspace
    for path in sorted(workspace.runs.glob("[0-9]*Z-*.json")):
        try:
            findings.records[path.stem] = read_run_record(workspace, path.stem)
        except StorageError as error:
            findings.add_broken(path, error.message)
    for path in sorted(workspace.sums.glob("[0-9]*Z-*.sha256")):
        try:
            read_sums(path)
        except StorageError as error:
            findings.add_broken(path, error.message)


def _check_files(findings: Findings, known: Mapping[Path, Checked]) -> None:
    report = findings.report
    for dataset in DATASETS:
        for path in findings.workspace.dataset_files(dataset):
            checked = known.get(path) or check_file(findings.workspace, dataset, path)
            if checked.problems and not (path.exists() or path.is_symlink()):
                continue  # removed meanwhile: it was merged into another one
            findings.checked[path] = checked
            for what in checked.problems:
                findings.add_broken(path, what)
    for path in findings.counting:
        dataset = findings.below(path).partition("/")[0]
        report.rows[dataset] = report.rows.get(dataset, 0) + (findings.checked[path].rows or 0)
    for path, merged in repeated(findings.checked).items():
        if path.name not in findings.checked[merged].merged and merged not in findings.broken:
            findings.add_broken(path, f"is hidden by {merged.name}, which does not have its rows")
    report.files = len(findings.checked)
    weights: defaultdict[str, Counter[str]] = defaultdict(Counter)  # encoder's folder -> files of each weights
    for path, checked in findings.checked.items():
        if checked.weights_sha256 is not None:
            weights[path.parent.name][checked.weights_sha256] += 1
    for path, checked in findings.checked.items():
        used = weights[path.parent.name].most_common(1)  # of equally many, the first that was met
        if checked.weights_sha256 is not None and checked.weights_sha256 != used[0][0]:
            findings.add_broken(path, "was made with other weights than most of the encoder's embeddings")


def _check_repetition(findings: Findings) -> None:
    report = findings.report
    with connect(memory_limit="1GiB", spill=findings.workspace.cache) as connection:
        try:
            for dataset in DATASETS:
                committed = dataset_relation(findings.workspace, dataset, ("gridimage_id", "run_id"), filename=True)
                connection.execute(f"CREATE TEMP VIEW {dataset} AS FROM {committed}")
            for dataset, owner_column, did in (
                ("predictions", "head", "predicted"),
                ("embeddings", "encoder", "embedded"),
            ):
                found = execute_file(connection, "checks", f"repeated_{dataset}").fetchall()
                for owner, run_id, photo, times in found:
                    report.add(run_id, f"photo {photo} was {did} {times} times by {owner}")
                if found:
                    connection.execute(
                        f"CREATE OR REPLACE TEMP VIEW committed AS SELECT {owner_column} AS owner, * FROM {dataset}"
                    )
                    _blame(findings, connection, "files_with_repeats", "holds a photo that an earlier file holds")
            both = execute_file(connection, "checks", "predicted_and_failed").fetchall()
            for run_id, photo in both:
                report.add(run_id, f"photo {photo} was predicted and failed")
            if both:
                _blame(
                    findings, connection, "files_predicted_and_failed", "holds a photo that was predicted and failed"
                )
        except DuckError as error:
            raise_store_error(error)
            if not report.problems:  # else a file that is named already is in the way
                report.add("predictions, embeddings, failures", f"cannot be read together: {error}")


def _check_decisions(findings: Findings) -> None:
    workspace, report = findings.workspace, findings.report
    for path in workspace.dataset_files("decisions"):
        rows, problems = check_decisions_file(path)
        if problems and not path.exists():
            continue  # merged into another one meanwhile
        report.files += 1
        report.rows["decisions"] = report.rows.get("decisions", 0) + rows
        for what in problems:
            findings.add_broken(path, what)
    with connect(memory_limit="1GiB", spill=workspace.cache) as connection:
        try:
            for decision_id in contradictions(connection, workspace):
                report.add("decisions", f"two files say different things under {decision_id}")
        except DuckError as error:
            raise_store_error(error)
            if not report.problems:  # else a file that is named already is in the way
                report.add("decisions", f"cannot be read together: {error}")


def _blame(findings: Findings, connection: Connection, statement: str, what: str) -> None:
    """Mark the files behind a problem that is reported already."""
    for (name,) in execute_file(connection, "checks", statement).fetchall():
        findings.broken.setdefault(location(name), []).append(what)


def _check_heads(findings: Findings) -> None:
    workspace = findings.workspace
    for folder in sorted(path for path in workspace.heads.glob("*") if path.is_dir()):
        if not (folder / "head.json").exists():
            findings.report.notes.append(f"{findings.below(folder)} has no head.json: an import that was interrupted")
            continue
        try:
            load_scorer(workspace, folder.name)
        except HeadError as error:
            findings.add_broken(folder, error.message)


def _look_for_strangers(findings: Findings) -> None:
    """Name files that stand among the committed ones and are none of them."""
    workspace = findings.workspace
    for dataset in (*DATASETS, "decisions"):
        found = sorted((workspace.root / dataset).rglob("*"))  # first, or what is committed meanwhile would be strange
        committed = set(workspace.dataset_files(dataset))
        for path in found:
            if (
                path.is_dir()
                or path in committed
                or not committed.isdisjoint(path.parents)
                or not (path.is_symlink() or path.exists())
            ):
                continue
            findings.add_broken(path, "is not a committed file; move it away")
    for path in sorted(workspace.runs.glob("*")):
        if path not in findings.broken and not (path.suffix == ".json" and is_run_id(path.stem)):
            findings.add_broken(path, "is not a run record; move it away")


def _take_notes(findings: Findings, *, busy: bool) -> None:
    workspace, notes = findings.workspace, findings.report.notes
    staged = sum(1 for path in workspace.staging.rglob("*") if path.is_file())
    if staged and not busy:
        notes.append(f"{staged} staged files of an interrupted command; a later run removes them")
    without = [
        path
        for path, checked in findings.checked.items()
        if not checked.has_sum and path not in findings.broken and _is_done(findings, checked)
    ]
    if without:
        notes.append(f"{len(without)} files have no recorded SHA-256, {findings.below(without[0])} the first of them")


def _is_done(findings: Findings, checked: Checked) -> bool:
    record = findings.records.get(checked.run_id)
    return record is not None and record.status in ("done", "window", "stopped")
