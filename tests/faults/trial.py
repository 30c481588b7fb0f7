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
from geotag_batch.errors import GeotagError
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace
from tests.faults.invariants import Tally, inspect, save_outcomes
from tests.run.conftest import Archive
from tests.run.processes import processes_of, wait_for

__all__ = ["GEOTAG", "Bed", "Trial", "environment"]

GEOTAG = str(Path(sys.executable).with_name("geotag"))
_CHECKOUT = Path(__file__).parents[2]
_SECONDS = 120.0  # that a process may take, unless said otherwise, before the harness gives it up


@dataclass(frozen=True)
class Trial:
    """One workspace under fault, to be compared with the bed's undisturbed run; its job may write as a mutant does."""

    workspace: Workspace
    expected: Path
    mutant: str | None = None

    @property
    def job(self) -> list[str]:
        """Return the command of the installed job."""
        return [GEOTAG] if self.mutant is None else self.faulty("none")

    def faulty(self, fault: str, *arguments: object) -> list[str]:
        """Return the command of the installed job with a fault in it; see child.py."""
        given = (
            [fault, *map(str, arguments)]
            if self.mutant is None
            else ["mutant", self.mutant, fault, *map(str, arguments)]
        )
        return [sys.executable, "-m", "tests.faults.child", *given, "--", GEOTAG]

    def popen(self, *arguments: str, command: list[str] | None = None, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
        """Start `geotag` with `arguments` on the workspace, or `command` in its place; what it says is piped."""
        line = [*(command or self.job), *(arguments or ("backfill",)), "-C", str(self.workspace.root)]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(line, **{**pipes, "env": environment(), **options})

    def run(
        self,
        *arguments: str,
        command: list[str] | None = None,
        seconds: float = _SECONDS,
        **options: Any,  # noqa: ANN401
    ) -> subprocess.CompletedProcess[str]:
        """Run `geotag` to its end, which it must reach within so many seconds; its output is in `stdout`."""
        with self.popen(*arguments, command=command, **options) as process:
            try:
                said, _ = process.communicate(timeout=seconds)
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

    def recover(self, *, in_process: bool = False) -> Tally:
        """Look, let the next run do the rest, look again; in the end nothing may be left in staging.

        The next run is a process too, unless that would take too long.
        """
        tally = self.inspect(complete=False)
        failure = self._rest(in_process)
        tally.expect(failure is None, f"the next run {failure}")
        tally.add(self.inspect(complete=failure is None))
        staged = [path for path in self.workspace.staging.rglob("*") if path.is_file()]
        tally.expect(not staged, f"left in staging: {staged}")
        return tally

    def _rest(self, in_process: bool) -> str | None:
        """Do what is left; return how that failed, if it did."""
        if self.mutant is not None or not in_process:
            done = self.run()
            return None if done.returncode == 0 else f"ended with {done.returncode}: {done.stdout[-300:]}"
        try:
            self.finish()
        except GeotagError as error:
            return f"raised {error.message}"
        return None


class Bed:
    """A workspace of `count` photos with nothing committed, and what an undisturbed run makes of a copy.

    Photo 7 has an empty image and photo 8 none, if there are as many.
    """

    def __init__(self, folder: Path, count: int, chunk_size: int = 5, mutant: str | None = None) -> None:
        """Draw the photos below `folder`, and run undisturbed; the trials' job may be a mutant's."""
        root = folder / "bed"
        root.mkdir(parents=True)
        (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
        self.archive = Archive(Workspace(root), count)
        if count >= 8:
            self.archive.image(7).write_bytes(b"")
            self.archive.image(8).unlink()
        set_key(self.archive.workspace, "run.chunk_size", chunk_size)
        self._folder, self._mutant = folder, mutant
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
            yield Trial(Workspace(root), self.expected, self._mutant)
        finally:
            shutil.rmtree(root)


def environment(**more: str) -> Mapping[str, str]:
    """Return the environment of the job: the checkout is importable, for what injects faults."""
    return {**os.environ, "PYTHONPATH": str(_CHECKOUT), "OMP_NUM_THREADS": "1", **more}
