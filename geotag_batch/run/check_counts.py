"""Do the rows add up? What the run records count is there, or was pruned or set aside on purpose, or is missing."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geotag_batch.committed import parse_name
from geotag_batch.errors import StorageError
from geotag_batch.run.findings import Findings
from geotag_batch.write.pruned import pruned_records, read_pruned
from geotag_batch.write.quarantine import MissingRows, quarantine_records, read_quarantine
from geotag_batch.write.runs import RunRecord

__all__ = ["check_counts", "missing_rows"]


def check_counts(findings: Findings, *, busy: bool) -> None:
    """Compare the rows of the files with the run records, as far as they could be read.

    `busy` says that another command is writing, which may be a run under way.
    """
    for path in findings.counting:
        for run_id, rows in findings.checked[path].runs.items():
            findings.counted[run_id, _dataset(findings.below(path))] += rows
    missing = _add_removed(findings)
    for record in findings.records.values():
        if record.status == "running" and not busy:
            findings.report.notes.append(f"run {record.run_id} was interrupted; what it committed is good")
        _check_record(findings, record, missing)
    found = {run_id for checked in findings.checked.values() for run_id in checked.runs or (checked.run_id,)}
    for run_id in sorted(found - set(findings.records)):
        if not findings.workspace.run_file(run_id).exists():  # else it began after the records were read, or is broken
            findings.report.add(f"runs/{run_id}.json", "is missing, but there are files of that run")
            findings.unrecorded.append(run_id)


@dataclass(slots=True)
class _Removals:
    """What is recorded of one file: the numbers of rows that it may have, and what took rows from it.

    `steps` are rows before, rows after, and the rows that went by run; `unknown` says that it was set aside before its
    rows could be counted.
    """

    states: set[int] = field(default_factory=set)
    steps: list[tuple[int, int, Mapping[str, int]]] = field(default_factory=list)
    unknown: bool = False

    def gone(self, left: int) -> Counter[str]:
        """Return the rows by run that were taken until there were so many left; a prune that was killed took none."""
        rows: Counter[str] = Counter()
        while True:
            step = next((step for step in reversed(self.steps) if step[1] == left < step[0]), None)
            if step is None:
                return rows
            rows.update(step[2])
            left = step[0]


def _add_removed(findings: Findings) -> dict[tuple[str, str], int]:
    """Count rows that were pruned or set aside as if they were there still; return those known to be missing."""
    merged = {
        f"{_folder(findings.below(path))}/{name}": rows
        for path in findings.counting
        for name, rows in findings.checked[path].merged.items()
    }
    removals, missing = _read_removals(findings, merged)
    there = {findings.below(path): findings.checked[path].rows or 0 for path in findings.counting}
    for file, known in removals.items():
        name = parse_name(Path(file).name)
        left = there.get(file, merged.get(file, 0))
        if left not in known.states and not known.unknown and (file in there or file not in merged):
            # a prune that was killed leaves an earlier state: not wrong
            what = f"has {left} rows, after it was pruned it should have {min(known.states)}"
            findings.add_broken(findings.workspace.root / file, what)
        if name is not None and name.since is not None:
            rows = known.gone(left)
        else:
            rows = Counter({Path(file).name.rpartition("-")[0]: max(0, max(known.states) - left)})
        for run_id, count in rows.items():
            findings.counted[run_id, _dataset(file)] += count
    return missing


def _read_removals(
    findings: Findings, merged: dict[str, int]
) -> tuple[dict[str, _Removals], dict[tuple[str, str], int]]:
    """Return what is recorded of each file that lost rows, and rows known to be missing by run and dataset.

    The rows of files in a merged file that lost rows itself are added to `merged`.
    """
    removals: defaultdict[str, _Removals] = defaultdict(_Removals)
    missing: dict[tuple[str, str], int] = {}
    for path in pruned_records(findings.workspace):
        try:
            for entry in read_pruned(path):
                known = removals[entry.file]
                known.states.update((entry.rows_before, entry.rows_after))
                known.steps.append((entry.rows_before, entry.rows_after, entry.runs))
                merged.update({f"{_folder(entry.file)}/{name}": rows for name, rows in entry.merged.items()})
        except StorageError as error:
            findings.add_broken(path, error.message)
    for path in quarantine_records(findings.workspace):
        try:
            record = read_quarantine(path)
        except StorageError as error:
            findings.add_broken(path, error.message)
            continue
        for each in record.files:
            if parse_name(Path(each.file).name) is not None:
                known = removals[each.file]
                known.states.update({0, each.rows or 0})
                known.steps.append((each.rows or 0, 0, each.runs))
                known.unknown = known.unknown or each.rows is None
                merged.update({f"{_folder(each.file)}/{name}": rows for name, rows in each.merged.items()})
        missing.update({(each.run_id, each.dataset): each.rows for each in record.missing})
    return removals, missing


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


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _dataset(file: str) -> str:
    return file.partition("/")[0]
