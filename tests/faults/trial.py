"""A made workspace, copies of it to inflict faults on, and the installed job started as a process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geotag_batch.config import default_toml, load_config, set_key
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace
from tests.faults.invariants import Tally, inspect, save_outcomes
from tests.run.conftest import Archive
from tests.run.processes import processes_of, wait_for

__all__ = ["GEOTAG", "Bed", "Trial", "faulty"]

GEOTAG = str(Path(sys.executable).with_name("geotag"))
_CHECKOUT = Path(__file__).parents[2]
_SECONDS = 120  # that a process may take before the harness gives it up


def faulty(fault: str, *arguments: object) -> list[str]:
    """Return the command line that starts the installed job with a fault in it; see child.py."""
    return [sys.executable, "-m", "tests.faults.child", fault, *map(str, arguments), "--", GEOTAG]


@dataclass(frozen=True)
class Trial:
    """One workspace under fault, to be compared with the bed's undisturbed run."""

    workspace: Workspace
    expected: Path

    def popen(self, *arguments: str, command: list[str] | None = None, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
        """Start `geotag` with `arguments` on the workspace, or `command` in its place; what it says is piped."""
        line = [*(command or [GEOTAG]), *(arguments or ("backfill",)), "-C", str(self.workspace.root)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(line, **{**pipes, "env": environment(), **options})

    def run(
        self,
        *arguments: str,
        command: list[str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> subprocess.CompletedProcess[str]:
        """Run `geotag` to its end; its output is in `stdout`."""
        with self.popen(*arguments, command=command, **options) as process:
            try:
                said, _ = process.communicate(timeout=_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def finish(self) -> None:
        """Do what is left in this process, which takes no time to start."""
        run_backfill(self.workspace, load_config(self.workspace, {}), Job("backfill", Selection()))

    def inspect(self, *, complete: bool) -> Tally:
        """Return what does not hold; waits for a killed run's processes to be gone."""
        try:
            wait_for(lambda: not processes_of(self.workspace.root), 5)
        except AssertionError:
            return Tally(others=[f"processes are left: {processes_of(self.workspace.root)}"])
        due = f"SELECT gridimage_id FROM '{self.workspace.root}/photos/*.parquet'"
        return inspect(self.workspace, due, self.expected, complete=complete)

    def recover(self) -> Tally:
        """Look, let the next run do the rest, look again; in the end nothing may be left in staging."""
        tally = self.inspect(complete=False)
        done = self.run()
        tally.expect(done.returncode == 0, f"the next run ended with {done.returncode}: {done.stdout[-300:]}")
        tally.add(self.inspect(complete=done.returncode == 0))
        staged = [path for path in self.workspace.staging.rglob("*") if path.is_file()]
        tally.expect(not staged, f"left in staging: {staged}")
        return tally


class Bed:
    """A workspace of `count` photos with nothing committed, and what an undisturbed run makes of a copy.

    Photo 7 has an empty image and photo 8 none, if there are as many.
    """

    def __init__(self, folder: Path, count: int, chunk_size: int = 5) -> None:
        """Draw the photos below `folder`, and run undisturbed."""
        root = folder / "bed"
        root.mkdir(parents=True)
        (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
        self.archive = Archive(Workspace(root), count)
        if count >= 8:
            self.archive.image(7).write_bytes(b"")
            self.archive.image(8).unlink()
        set_key(self.archive.workspace, "run.chunk_size", chunk_size)
        self._folder = folder
        self._copies = 0
        self.expected = folder / "expected.parquet"
        with self.trial() as trial:
            trial.finish()
            save_outcomes(trial.workspace, self.expected)

    @contextmanager
    def trial(self) -> Iterator[Trial]:
        """Make a copy to inflict faults on, removed at the end."""
        self._copies += 1
        root = self._folder / f"trial-{os.getpid()}-{self._copies}"
        shutil.copytree(self.archive.workspace.root, root)
        try:
            yield Trial(Workspace(root), self.expected)
        finally:
            shutil.rmtree(root)


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment of the job: the checkout is importable, for what injects faults."""
    return {**os.environ, "PYTHONPATH": str(_CHECKOUT), "OMP_NUM_THREADS": "1", **more}
