"""What verify and its repair have to say, for people to read, and as JSON."""

import json
from dataclasses import asdict

from geotag_batch.printable import one_line
from geotag_batch.run.findings import Report
from geotag_batch.run.repair import Repair

__all__ = ["verify_json", "verify_text"]


def verify_json(report: Report, done: Repair | None) -> str:
    """Return the report as JSON; after a repair its key `repair` says what was done."""
    facts = asdict(report)
    if done is not None:
        facts["repair"] = {key: value for key, value in asdict(done).items() if key != "report"}
    return json.dumps(facts, indent=2)


def verify_text(report: Report, done: Repair | None) -> str:
    """Return the report as lines of text, what a repair did before it."""
    lines = _repair_lines(done) if done is not None else []
    lines += [one_line(f"note: {note}") for note in report.notes]
    lines += [one_line(f"WRONG {problem.where}: {problem.what}") for problem in report.problems]
    rows = ", ".join(f"{count:,} {dataset}" for dataset, count in report.rows.items()) or "no rows"
    return "\n".join([*lines, f"{report.files:,} files read: {rows}; {len(report.problems) or 'nothing'} wrong"])


def _repair_lines(done: Repair) -> list[str]:
    lines = []
    for file in done.moved:
        rows = f" ({file.rows:,} rows)" if file.rows else ""
        lines.append(one_line(f"set aside {file.file}{rows}: {'; '.join(file.why)}"))
    for each in done.missing:
        more = "more" if each.rows < 0 else "fewer"
        lines.append(f"run {each.run_id} has {abs(each.rows):,} {each.dataset} {more} than its record counts: noted")
    lines += [f"run {run_id} was interrupted: marked" for run_id in done.interrupted]
    lines += [f"run {run_id} had no record: made from its files" for run_id in done.remade]
    where = f"; the records are in {', '.join(done.folders)}" if done.folders else ""
    return [*lines, f"{len(done.moved) or 'nothing'} set aside{where}"]
