"""The long form: every section of docs/reliability.md made anew, from what was seen just now."""

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.corpus.table import corpus_section, inputs_section
from tests.faults import commands, company, cuts, disk, kills, moments
from tests.faults.clusters import cluster_section
from tests.faults.report import write_section
from tests.faults.row import Row, rows_table
from tests.faults.trial import Bed

_AT_ONCE = 2  # rows; most of a row is waiting for one process to start


def faults() -> tuple[str, bool]:
    """Run the long form of each row, two at a time; return the table and whether every row is clean."""
    started = time.monotonic()
    pool = ProcessPoolExecutor(_AT_ONCE, get_context("spawn"))
    with tempfile.TemporaryDirectory(prefix="geotag-faults-") as name, pool:
        folder = Path(name)
        bed, longer = Bed(folder / "bed", 12), Bed(folder / "longer", 60, chunk_size=4)
        made: list[Row] = []
        for running in [pool.submit(run) for run in _rows(folder, bed, longer)]:
            made.append(running.result())
            _tell(made[-1])
    minutes = round((time.monotonic() - started) / 60)
    clean = all(row.tally.clean for row in made)
    cases = sum(row.cases for row in made)
    return f"{rows_table(made)}\n\n{cases:,} cases in {minutes} minutes, {_AT_ONCE} rows at a time.", clean


def _tell(row: Row) -> None:
    print(rows_table([row]).splitlines()[-1], flush=True)
    for other in row.tally.others:
        print(f"    {other}", flush=True)


def _rows(folder: Path, bed: Bed, longer: Bed) -> list[Callable[[], Row]]:
    return [
        partial(kills.grown_archive, folder / "grown", photos=5000, kills=200, seed=1),
        partial(kills.kill_at_steps, bed),
        partial(kills.kill_at_calls, bed, every=6),
        partial(kills.prune_killed, bed),
        partial(commands.commands_killed, bed),
        partial(kills.compact_killed, bed),
        partial(cuts.power_cuts, bed),
        partial(cuts.trace_order, bed),
        partial(disk.fsync_fails, bed),
        partial(disk.errors_of_calls, bed, every=4),
        partial(disk.disk_full, bed, sizes=list(range(0, 600, 60)), inodes=list(range(0, 30, 6))),
        partial(disk.file_size_limit, bed, [0, 500, 800, 1500, 3000, 6000, 9000, 20_000, 100_000]),
        partial(disk.no_permission, bed),
        partial(company.two_runs, longer, rounds=20),
        partial(company.lock_holder_killed, longer, rounds=10),
        partial(company.readers, folder / "readers", chunks=1000, count=4),
        partial(company.compacted_under_readers, folder / "merged", files=500, count=4, seconds=5),
        partial(moments.signals, longer, rounds=4, seed=1),
        partial(moments.clock_jumps, bed, moments.CLOCKS),
    ]


SECTIONS: dict[str, Callable[[], tuple[str, bool]]] = {
    "faults": faults,
    "inputs": inputs_section,
    "corpus": corpus_section,
    "ray": partial(cluster_section, _tell),
}
"""Each generated section's maker, which returns its text and whether everything was as it should be."""


def main() -> int:
    """Write the sections named on the command line, or all; return 1 if something was not as it should be."""
    well = True
    for name in sys.argv[1:] or SECTIONS:
        text, good = SECTIONS[name]()
        write_section(name, text)
        well = well and good
    print("all as it should be" if well else "NOT all as it should be")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
