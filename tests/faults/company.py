"""Others at work at the same time: readers of the views, a second run, the next run after a killed one."""

import subprocess
import sys
import time
from pathlib import Path

from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed

__all__ = ["compacted_under_readers", "lock_holder_killed", "readers", "two_runs"]

_LOCKED = 75


def readers(folder: Path, chunks: int, count: int) -> Row:
    """Let so many processes query the views over and over while a run commits so many chunks of one photo."""
    with row("readers meanwhile", f"{count} processes query the views while {chunks:,} chunks commit") as made:
        bed = Bed(folder, chunks, chunk_size=250)
        with bed.trial() as trial:
            trial.run("views")
            command = [sys.executable, "-m", "tests.faults.reader"]
            reading = [trial.popen("--", command=command, stdin=subprocess.PIPE) for _ in range(count)]
            done = trial.run("backfill", "--chunk-size", "1", seconds=60 + 2 * chunks)
            tally = Tally()
            tally.expect(done.returncode == 0, f"the run ended with {done.returncode}: {done.stdout[-300:]}")
            reads = 0
            for process in reading:
                said, _ = process.communicate("stop", timeout=60)
                tally.expect(process.returncode == 0, f"a reader: {said[-300:]}")
                reads += int(said.split()[-1]) if process.returncode == 0 else 0
            tally.expect(reads >= count, "the readers have not read anything")
            tally.add(trial.inspect(complete=True))
            made.case(tally, "readers")
            made.cases = reads
        made.how += "; cases are rounds of queries"
    return made


def compacted_under_readers(folder: Path, files: int, count: int, seconds: int) -> Row:
    """Merge so many files of each dataset while so many processes query the views, whose answers may not change.

    A merged file counts after `seconds`, and the small ones go as many seconds later; many files in two levels.
    """
    how = f"{count} processes query the views while geotag compact merges {files:,} files of a photo, and removes them"
    with row("readers of what is merged", how) as made:
        bed = Bed(folder, files, chunk_size=1)
        with bed.trial() as trial:
            trial.finish()
            command = [sys.executable, "-m", "tests.faults.reader"]
            ways = [("--exact", "--keep") if number % 2 else ("--exact",) for number in range(count)]
            reading = [trial.popen(*way, command=command, stdin=subprocess.PIPE) for way in ways]
            tally = Tally()
            pause = ("--margin", str(seconds), "--grace", str(seconds))
            for target in (files // 10, 4 * files) if files >= 100 else (4 * files,):
                merged = trial.run("compact", "--target-rows", str(target), *pause)
                tally.expect("merged into" in merged.stdout, f"nothing was merged: {merged.stdout[-300:]}")
                time.sleep(2 * seconds + 1)
                removed = trial.run("compact", "--target-rows", "2", *pause)
                tally.expect("removed" in removed.stdout, f"nothing was removed: {removed.stdout[-300:]}")
            reads = again = 0
            for process in reading:
                said, _ = process.communicate("stop", timeout=120)
                tally.expect(process.returncode == 0, f"a reader: {said[-300:]}")
                if process.returncode == 0:
                    again, reads = again + int(said.split()[-2]), reads + int(said.split()[-1])
            tally.expect(again <= 2 * count, f"{again} queries met files that had just gone")
            left = len(list(trial.workspace.dataset_files("predictions")))
            tally.expect(left == 1, f"{left} files of predictions are left")
            tally.add(trial.inspect(complete=True))
            made.case(tally, "readers")
            made.cases = reads
        made.how += f"; cases are rounds of queries, {again} of which met a file that had just gone, and were repeated"
    return made


def two_runs(bed: Bed, rounds: int) -> Row:
    """Start two runs at the same time, again and again."""
    with row("two runs", "started together: one works, the other exits 75") as made:
        for number in range(rounds):
            with bed.trial() as trial:
                processes = [trial.popen(), trial.popen()]
                codes = []
                for process in processes:
                    process.communicate(timeout=60)
                    codes.append(process.returncode)
                tally = trial.inspect(complete=True)
                records = len(list(trial.workspace.runs.glob("*.json")))
                tally.expect(sorted(codes) == [0, _LOCKED] and records == 1, f"exits {codes}, {records} runs")
                made.case(tally, f"round {number + 1}")
    return made


def lock_holder_killed(bed: Bed, rounds: int) -> Row:
    """Kill a run that holds the lock and start the next one at once."""
    with row("lock holder killed", "SIGKILL while it works; the next run, started at once, does the rest") as made:
        for number in range(rounds):
            with bed.trial() as trial:
                with trial.popen() as process:
                    while process.poll() is None and not any(trial.workspace.dataset_files("predictions")):
                        time.sleep(0.001)
                    process.kill()
                done = trial.run()
                tally = trial.inspect(complete=True)
                tally.expect(done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-300:]}")
                made.case(tally, f"round {number + 1}")
    return made
