"""What `verify` finds: a report for people, and beside it what `repair` needs to know."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from geotag_batch.committed import repeated
from geotag_batch.run.check_file import Checked
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord

__all__ = ["Findings", "Problem", "Report"]


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


@dataclass(slots=True)
class Findings:
    """One look at a workspace.

    `checked` are the committed files that were read; `broken` is what should be moved away, with the reasons;
    `records` are the run records by run_id; `unrecorded` are the runs that have files and no record; `counted` are
    rows by run and dataset, those that were pruned or quarantined among them; `unbalanced` says how many rows more
    (or, if negative, fewer) a run's record counts than there are, of each dataset where that is wrong.
    """

    workspace: Workspace
    report: Report = field(default_factory=Report)
    checked: dict[Path, Checked] = field(default_factory=dict)
    broken: dict[Path, list[str]] = field(default_factory=dict)
    records: dict[str, RunRecord] = field(default_factory=dict)
    unrecorded: list[str] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    unbalanced: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def counting(self) -> list[Path]:
        """Return the files that were read and count: not those that a sound merged file repeats."""
        sound = [path for path, checked in self.checked.items() if not (checked.problems and "_" in path.name)]
        known = repeated(sound)
        return [path for path in self.checked if path not in known]

    def add_broken(self, path: Path, what: str) -> None:
        """Add a problem of a file or folder that should be moved away."""
        self.report.add(self.below(path), what)
        self.broken.setdefault(path, []).append(what)

    def below(self, path: Path) -> str:
        """Return a path as the report names it, below the workspace."""
        return str(path.relative_to(self.workspace.root))
