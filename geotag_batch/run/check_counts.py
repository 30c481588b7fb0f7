"""Do the rows add up? What the run records count is there, or was pruned or set aside on purpose, or is missing."""

from pathlib import Path

from geotag_batch.errors import StorageError
from geotag_batch.run.findings import Findings
from geotag_batch.write.pruned import pruned_records, read_pruned
from geotag_batch.write.quarantine import MissingRows, quarantine_records, read_quarantine
from geotag_batch.write.runs import RunRecord, is_run_id

__all__ = ["check_counts", "missing_rows"]


def check_counts(findings: Findings, *, busy: bool) -> None:
    """Compare the rows of the files with the run records, as far as they could be read.

    `busy` says that another command is writing, which may be a run under way.
    """
    for path, checked in findings.checked.items():
        findings.counted[checked.run_id, _dataset(findings.below(path))] += checked.rows or 0
    missing = _add_removed(findings)
    for record in findings.records.values():
        if record.status == "running" and not busy:
            findings.report.notes.append(f"run {record.run_id} was interrupted; what it committed is good")
        _check_record(findings, record, missing)
    for run_id in sorted({checked.run_id for checked in findings.checked.values()} - set(findings.records)):
        if not findings.workspace.run_file(run_id).exists():  # else it began after the records were read, or is broken
            findings.report.add(f"runs/{run_id}.json", "is missing, but there are files of that run")
            findings.unrecorded.append(run_id)


def _add_removed(findings: Findings) -> dict[tuple[str, str], int]:
    """Count rows that were pruned or set aside as if they were there still; return those known to be missing."""
    rows = {findings.below(path): checked.rows or 0 for path, checked in findings.checked.items()}
    states: dict[str, set[int]] = {}  # file -> the numbers of rows that it may have
    unknown: set[str] = set()  # files that were set aside before their rows could be counted
    missing: dict[tuple[str, str], int] = {}
    for path in pruned_records(findings.workspace):
        try:
            for entry in read_pruned(path):
                states.setdefault(entry.file, set()).update((entry.rows_before, entry.rows_after))
        except StorageError as error:
            findings.add_broken(path, error.message)
    for path in quarantine_records(findings.workspace):
        try:
            record = read_quarantine(path)
        except StorageError as error:
            findings.add_broken(path, error.message)
            continue
        for each in record.files:
            if is_run_id(_run_id(each.file)):
                states.setdefault(each.file, set()).update({0, each.rows or 0})
                unknown.update([each.file] if each.rows is None else [])
        missing.update({(each.run_id, each.dataset): each.rows for each in record.missing})
    for file, allowed in states.items():
        left = rows.get(file, 0)
        if left not in allowed and file not in unknown:  # a prune that was killed leaves an earlier state: not wrong
            what = f"has {left} rows, after it was pruned it should have {min(allowed)}"
            findings.add_broken(findings.workspace.root / file, what)
        findings.counted[_run_id(file), _dataset(file)] += max(0, max(allowed) - left)
    return missing


def _check_record(findings: Findings, record: RunRecord, missing: dict[tuple[str, str], int]) -> None:
    """Compare rows with the record: they agree, or, for a run that could not say the last of it, are more."""
    recorded = {"embeddings": record.embedded, "failures": record.failed, "predictions": record.predicted}
    # One under way, or killed, has committed a chunk that it has not counted; one that ended with an error may have
    # committed a chunk's embeddings before the disk refused the rest.
    may_have_more = record.status in ("running", "interrupted", "failed")
    for dataset, expected in recorded.items():
        key = record.run_id, dataset
        found, known = findings.counted[key], missing.get(key, 0)
        if found < min(expected, expected - known) or (found > max(expected, expected - known) and not may_have_more):
            findings.report.add(f"runs/{record.run_id}.json", f"says {expected} {dataset}, there are {found}")
            findings.unbalanced[key] = expected - found
        elif known > 0 and found < expected:
            findings.report.notes.append(
                f"{expected - found} {dataset} of run {record.run_id} are in no file that could be read; "
                "quarantine/ has the record"
            )


def missing_rows(findings: Findings) -> list[MissingRows]:
    """Return what a repair must record so that the rows add up."""
    return [MissingRows(run_id, dataset, rows) for (run_id, dataset), rows in sorted(findings.unbalanced.items())]


def _run_id(file: str) -> str:
    return Path(file).name.rpartition("-")[0]


def _dataset(file: str) -> str:
    return file.partition("/")[0]
