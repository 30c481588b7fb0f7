"""Setting aside what is broken, so that the next run redoes exactly that.

Nothing is deleted: broken files and folders move to quarantine/<time>/ with a record of what and why
(write/quarantine.py), run records that dead runs left "running" are marked "interrupted", records that are gone are
made again from their files, the views are rebuilt, staged leftovers removed. It may be killed at any moment and done
again.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from geotag_batch.committed import repeated
from geotag_batch.config import Config
from geotag_batch.run.check_counts import missing_rows
from geotag_batch.run.check_file import Checked
from geotag_batch.run.findings import Findings, Report
from geotag_batch.run.leftovers import remove_leftovers
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.verify import look
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import hold_decisions
from geotag_batch.write.quarantine import MissingRows, QuarantinedFile, quarantine
from geotag_batch.write.runs import RunRecord, utc_now, write_run_record
from geotag_batch.write.views import rebuild_views

__all__ = ["Repair", "repair"]

_SAID = "it ended without saying so"


@dataclass(slots=True)
class Repair:
    """What a repair did: what it set aside and where, what it found missing, which run records it wrote.

    `report` is what `verify` says afterwards.
    """

    moved: list[QuarantinedFile] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    missing: list[MissingRows] = field(default_factory=list)
    interrupted: list[str] = field(default_factory=list)
    remade: list[str] = field(default_factory=list)
    report: Report = field(default_factory=Report)


def repair(workspace: Workspace, config: Config) -> Repair:
    """Set aside what `verify` calls wrong, and make the rest consistent.

    Raises LockedError, StorageError if a file cannot be moved or the disk refuses, CatalogueError if the views cannot
    be rebuilt; done again, it goes on.
    """
    done = Repair()
    with hold_lock(workspace):
        remove_leftovers(workspace)
        findings = _set_broken_aside(workspace, done)
        _mend_records(findings, done)
        findings = look(workspace, busy=False, known=findings.checked)
        done.missing = missing_rows(findings)
        if done.missing or done.interrupted or done.remade:
            marked = [*done.interrupted, *done.remade]
            done.folders.append(_name(quarantine(workspace, missing=done.missing, marked=marked)))
        rebuild_views(workspace, config)
        done.report = look(workspace, busy=False, known=findings.checked).report
    return done


def _set_broken_aside(workspace: Workspace, done: Repair) -> Findings:
    """Move away what is broken, and look again: some things show only when others are out of the way."""
    checked: dict[Path, Checked] = {}
    while True:
        findings = look(workspace, busy=False, known=checked)
        if not findings.broken:
            return findings
        files = [_entry(findings, path) for path in _outermost(findings.broken)]
        with hold_decisions(workspace):  # reviewers do not mind the workspace's lock
            done.folders.append(_name(quarantine(workspace, files)))
        done.moved += files
        checked = {path: known for path, known in findings.checked.items() if path not in findings.broken}


def _outermost(broken: dict[Path, list[str]]) -> list[Path]:
    return sorted(path for path in broken if not any(parent in broken for parent in path.parents))


def _entry(findings: Findings, path: Path) -> QuarantinedFile:
    file, why = findings.below(path), tuple(findings.broken[path])
    checked = findings.checked.get(path)
    if checked is None:
        return QuarantinedFile(file, None, why)
    if not checked.merged:
        return QuarantinedFile(file, checked.rows, why)
    still_there: Counter[str] = Counter()
    for small, merged in repeated(findings.checked).items():
        if merged == path:
            still_there.update(findings.checked[small].runs)
    lost = Counter(checked.runs) - still_there
    return QuarantinedFile(file, checked.rows, why, dict(lost), dict(checked.merged))


def _mend_records(findings: Findings, done: Repair) -> None:
    workspace, now = findings.workspace, utc_now()
    for record in findings.records.values():
        if record.status == "running":
            write_run_record(workspace, replace(record, status="interrupted", stop_reason=_SAID, updated_at=now))
            done.interrupted.append(record.run_id)
    for run_id in findings.unrecorded:
        write_run_record(workspace, _record_from_files(findings, run_id, now))
        done.remade.append(run_id)


def _record_from_files(findings: Findings, run_id: str, now: datetime) -> RunRecord:
    """Return what a run's files tell of it; its counts are theirs."""
    rows = {"embeddings": 0, "failures": 0, "predictions": 0}
    owners: dict[str, str] = {}
    chunks: set[str] = set()
    for path in findings.counting:
        checked = findings.checked[path]
        if run_id in checked.runs:
            dataset, folder = findings.below(path).split("/")[:2]
            rows[dataset] += checked.runs[run_id]
            owners[dataset] = folder.partition("=")[2]
            chunks.update(name for name in (*checked.merged, path.name) if "_" not in name and run_id in name)
    photos = rows["failures"] + (rows["predictions"] if "predictions" in owners else rows["embeddings"])
    return RunRecord(
        run_id=run_id,
        command="backfill" if "predictions" in owners else "embed",
        status="interrupted",
        started_at=datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ"),
        updated_at=now,
        pending=photos,
        stop_reason="its record was lost; this one was made from its files",
        encoder_id=owners.get("embeddings"),
        head=owners.get("predictions"),
        chunks=len(chunks),
        photos=photos,
        predicted=rows["predictions"],
        failed=rows["failures"],
        embedded=rows["embeddings"],
        versions={},
    )


def _name(folder: Path) -> str:
    return f"quarantine/{folder.name}"
