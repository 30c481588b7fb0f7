"""One row of the table of faults: what was done, how often, and what did not hold afterwards."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.faults.invariants import Tally
from tests.faults.report import markdown_table

__all__ = ["Row", "row", "rows_table"]


@dataclass(slots=True)
class Row:
    """A fault, how it is injected, how many cases ran, and their sum; `skipped` says what was missing to run it."""

    fault: str
    how: str
    cases: int = 0
    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    skipped: str = ""

    def case(self, tally: Tally, what: object) -> None:
        """Count a case and what did not hold in it; `what` names the case."""
        self.cases += 1
        tally.others = [f"{what}: {other}" for other in tally.others]
        self.tally.add(tally)

    @property
    def outcome(self) -> str:
        """Return the last column: clean, skipped, or the first things that do not hold."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        if not self.tally.others:
            return "clean" if self.tally.clean else "NOT CLEAN"
        return f"NOT CLEAN, {len(self.tally.others)} findings: " + "; ".join(self.tally.others[:3])


@contextmanager
def row(fault: str, how: str) -> Iterator[Row]:
    """Time a row for the length of a `with` block; an exception ends the row, as a finding, and not those after it."""
    made = Row(fault, how)
    started = time.monotonic()
    try:
        yield made
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        traceback.print_exc()
        made.tally.others.append(f"broken off by {type(error).__name__}: {error}")
    finally:
        made.seconds = time.monotonic() - started


def rows_table(rows: list[Row]) -> str:
    """Return the table of the page."""
    header = ("fault", "how", "cases", "lost", "doubled", "unreadable", "outcome", "seconds")
    return markdown_table(
        header,
        [
            (
                made.fault,
                made.how,
                made.cases,
                made.tally.lost,
                made.tally.doubled,
                made.tally.unreadable,
                made.outcome,
                round(made.seconds),
            )
            for made in rows
        ],
    )
