"""Others at work at the same time: readers of the views, a second run, the next run after a killed one."""

import subprocess
import sys
import time
from pathlib import Path

from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed

__all__ = ["lock_holder_killed", "readers", "two_runs"]

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
