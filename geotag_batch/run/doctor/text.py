"""What the doctor found, for people to read, and as JSON."""

import json
from dataclasses import asdict

from geotag_batch.printable import one_line
from geotag_batch.run.doctor.check import Check
from geotag_batch.run.doctor.examine import exit_code

__all__ = ["check_text", "checks_json", "verdict"]


def check_text(check: Check) -> str:
    """Return one check as a line, and what to do about it as another."""
    line = f"{check.level:8} {check.name:15} {one_line(check.seen)}"
    return line if check.to_do is None else f"{line}\n{'':24} try: {one_line(check.to_do)}"


def verdict(checks: list[Check]) -> str:
    """Return in a line what all checks come to."""
    counts = {level: sum(check.level == level for check in checks) for level in ("problem", "warning")}
    words = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count]
    return f"{len(checks)} checks: {', '.join(words) or 'all is well'}"


def checks_json(checks: list[Check]) -> str:
    """Return all checks as JSON, with the exit code that says the worst."""
    rows = [{key: value for key, value in asdict(check).items() if key != "exit_code"} for check in checks]
    return json.dumps({"exit_code": exit_code(checks), "checks": rows}, indent=2)
