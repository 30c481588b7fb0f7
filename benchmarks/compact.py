"""`python -m benchmarks.compact`: thousands of small files merged while four readers query; times before and after.

Each reader asks the same of the views again and again, half of them with the database open all the time, and ends with
an error if an answer differs from the first. Prints what docs/scale.md quotes. Takes some minutes, and 6 GB of disk for
8 million photos; `--photos 1024000 --chunk 512` makes as many files of fewer.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.backfill import job_in_a_process
from benchmarks.large import make_large
from geotag_batch.config import load_config
from geotag_batch.run.compact import CompactRequest, compact, compacted_text
from geotag_batch.workspace import Workspace
from tests.faults.reader import exact

_ASKED = {
    "predictions_all, every id": "SELECT count(*), sum(hash(gridimage_id, run_id))::VARCHAR FROM predictions_all",
    "tag_counts": "FROM tag_counts",
    "photo(1)": "FROM photo(1)",
    "queue()": "SELECT gridimage_id FROM queue()",
}
_COMMANDS = {
    **{name: ("query", query) for name, query in _ASKED.items()},
    "plan": ("plan",),
    "status": ("status",),
    "coverage": ("query", "FROM coverage"),
    "predictions, first 100 rows": ("query", "SELECT * FROM predictions LIMIT 100"),
}
_READERS = 4


def main() -> None:
    """Make or take a workspace, or read one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=8_000_000)
    parser.add_argument("--chunk", type=int, default=4096, help="photos of a small file")
    parser.add_argument("--workspace", type=Path, help="one that is there already, and is changed")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.read:
        again, rounds = exact(f"{arguments.read}/review.duckdb", arguments.keep, _ASKED)
        print(json.dumps({"reads": rounds * len(_ASKED), "again": again}))
        return
    with tempfile.TemporaryDirectory() as made:
        if arguments.workspace:
            workspace = Workspace.find(arguments.workspace)
        else:
            workspace = make_large(Path(made) / "large", arguments.photos, chunk=arguments.chunk)
        _measure(workspace, arguments.rounds)


def _measure(workspace: Workspace, rounds: int) -> None:
    before, files = _times(workspace, rounds), _files(workspace)
    with _readers(workspace) as answers:
        began = time.monotonic()
        done = compact(workspace, load_config(workspace), CompactRequest(margin=5, grace=20))
        merged = time.monotonic() - began
        time.sleep(22)
        gone = compact(workspace, load_config(workspace), CompactRequest(margin=5, grace=20))
    after = _times(workspace, rounds)
    print(f"{compacted_text(done)}\nin {merged:.0f} s beside {_READERS} readers; then {compacted_text(gone)}")
    print(f"{files:,} files before, {_files(workspace):,} after")
    reads, again = sum(answer["reads"] for answer in answers), sum(answer["again"] for answer in answers)
    print(
        f"{reads:,} answers, each as the first; {again} met a file that had just gone, and were right when asked again"
    )
    print("| query | before, s | after, s | before, GiB | after, GiB |\n| --- | --- | --- | --- | --- |")
    for name in before:
        cells = [f"{found[name][0]:.1f}" for found in (before, after)]
        cells += [f"{found[name][1] / 1024:.2f}" for found in (before, after)]
        print(f"| {name} | {' | '.join(cells)} |")


def _files(workspace: Workspace) -> int:
    return sum(len(list(workspace.dataset_files(dataset))) for dataset in ("embeddings", "failures", "predictions"))


def _times(workspace: Workspace, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median seconds and the greatest MiB of each command."""
    job_in_a_process(workspace, "views")
    found = {}
    for name, command in _COMMANDS.items():
        runs = [job_in_a_process(workspace, *command) for _ in range(rounds)]
        found[name] = statistics.median(run["seconds"] for run in runs), max(run["peak_mib"] for run in runs)
    return found


@contextmanager
def _readers(workspace: Workspace) -> Iterator[list[dict[str, Any]]]:
    """Let readers read for the length of a `with` block; the list has their answers afterwards."""
    command = [sys.executable, "-m", "benchmarks.compact", "--read", str(workspace.root)]
    commands = [[*command, "--keep"] if number % 2 else command for number in range(_READERS)]
    reading = [subprocess.Popen(each, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for each in commands]
    answers: list[dict[str, Any]] = []
    try:
        yield answers
    finally:
        for process in reading:
            said, _ = process.communicate("stop")
            if process.returncode:
                raise SystemExit("a reader was told something else, see above")
            answers.append(json.loads(said))


if __name__ == "__main__":
    main()
