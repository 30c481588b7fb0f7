"""What must hold of a workspace after any fault: `geotag verify`, and the SQL of sql/checks/ that needs an expectation.

`Tally` counts what does not hold; one that is clean adds up to nothing.
"""

from dataclasses import dataclass, field
from pathlib import Path

from geotag_batch.duck import Connection, DuckError, connect, dataset_relation, execute_file, quote_literal, sql_text
from geotag_batch.run.check_file import DATASETS
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace

__all__ = ["Tally", "inspect", "save_outcomes"]


@dataclass(slots=True)
class Tally:
    """Photos lost and doubled, files unreadable, and `others`: whatever else is not as it should be, in words."""

    lost: int = 0
    doubled: int = 0
    unreadable: int = 0
    others: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Return whether everything is as it should be."""
        return not (self.lost or self.doubled or self.unreadable or self.others)

    def add(self, other: "Tally") -> None:
        """Add what another one found."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.unreadable += other.unreadable
        self.others += other.others

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note `otherwise` unless `holds`."""
        if not holds:
            self.others.append(otherwise)


def inspect(workspace: Workspace, due: str, expected: Path, *, complete: bool) -> Tally:
    """Return what does not hold of the workspace.

    `due` is SQL for the photos that were due. `expected` has the outcomes of an undisturbed run. Unless `complete`,
    photos may be pending still.
    """
    tally = Tally()
    for problem in verify(workspace).problems:
        if "cannot be read" in problem.what:
            tally.unreadable += 1
        else:
            tally.others.append(f"verify: {problem.where}: {problem.what}")
    with connect() as connection:
        try:
            _make_relations(connection, workspace)
            connection.execute(f"CREATE TEMP VIEW due AS {due}")
            connection.execute(f"CREATE TEMP VIEW expected AS FROM {quote_literal(str(expected))}")
            _count(connection, tally, complete)
        except DuckError as error:
            tally.expect(bool(tally.unreadable), f"the committed files cannot be read together: {error}")
    return tally


def save_outcomes(workspace: Workspace, path: Path) -> None:
    """Keep what has become of each photo as Parquet, to compare with."""
    with connect() as connection:
        _make_relations(connection, workspace)
        connection.execute(f"COPY (FROM outcomes ORDER BY gridimage_id) TO {quote_literal(str(path))}")


def _make_relations(connection: Connection, workspace: Workspace) -> None:
    for dataset in DATASETS:
        connection.execute(f"CREATE TEMP VIEW {dataset} AS FROM {dataset_relation(workspace, dataset)}")
    connection.execute(f"CREATE TEMP VIEW outcomes AS {sql_text('checks', 'outcomes')}")


def _count(connection: Connection, tally: Tally, complete: bool) -> None:
    when = {"complete": complete}
    for photo, times in execute_file(connection, "checks", "not_once", when).fetchall():
        tally.lost += times == 0
        tally.doubled += times > 1
        tally.expect(times == 1, f"photo {photo} came out {times} times")
    for encoder, photo, times in execute_file(connection, "checks", "embedded_again").fetchall():
        tally.doubled += 1
        tally.others.append(f"photo {photo} was embedded {times} times by {encoder}")
    for dataset, photo in execute_file(connection, "checks", "invented").fetchall():
        tally.others.append(f"photo {photo}, which was not due, is in {dataset}")
    for (photo,) in execute_file(connection, "checks", "different", when).fetchall():
        tally.others.append(f"photo {photo} came out otherwise than undisturbed")
