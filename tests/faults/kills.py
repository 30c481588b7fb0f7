"""Killed: at random moments, at each step that Python announces, at each system call of what writes natively."""

import random
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import duckdb

from geotag_batch.config import load_config
from geotag_batch.run.check_file import DATASETS
from geotag_batch.run.compact import CompactRequest, compact
from geotag_batch.run.verify import verify
from tests.faults import strace
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial

__all__ = ["compact_killed", "grown_archive", "kill_at_calls", "kill_at_steps", "prune_killed"]

_CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "mkdir", "rmdir", "ftruncate")


def kill_at_steps(bed: Bed, every: int = 1) -> Row:
    """Kill at the first, second, ... announced step until a run gets through; of them only every so many."""
    with row(
        "killed at each step",
        f"SIGKILL at the k-th file-system step that Python announces, k from 1 by {every} until clean",
    ) as made:
        for step in range(1, 10_000, every):
            with bed.trial() as trial:
                code = trial.run(command=trial.faulty("kill-at", step, trial.workspace.root)).returncode
                tally = trial.recover()
                tally.expect(code in (0, -9), f"ended with {code}")
                made.case(tally, f"step {step}")
            if code == 0:
                break
    return made


def kill_at_calls(bed: Bed, every: int = 1) -> Row:
    """Kill at the first, second, ... of each kind of writing system call until a run gets through.

    Of the many calls of write, only every seventh: a file half written is half written. strace counts each kind and
    each thread for itself.
    """
    with row(
        "killed in native code", f"strace: SIGKILL at the k-th {', '.join(_CALLS)}, k from 1 by {every} until clean"
    ) as made:
        if not strace.is_usable():
            made.skipped = strace.MISSING
            return made
        killed = 0
        for name in _CALLS:
            for step in range(1, 10_000, every * (7 if name == "write" else 1)):
                with bed.trial() as trial:
                    command = strace.injecting(trial.job, name, f"signal=KILL:when={step}", Path("/dev/null"))
                    code = trial.run(command=command).returncode
                    tally = trial.recover()
                    tally.expect(code in (0, -9, 137), f"ended with {code}")
                    made.case(tally, f"{name} {step}")
                    killed += code != 0
                if code == 0:
                    break
        made.how += f"; {killed} were killed"
        made.tally.expect(killed > 2 * len(_CALLS) // every, "the calls were not met")
    return made


def prune_killed(bed: Bed, every: int = 1) -> Row:
    """Kill `geotag prune --withdrawn` at each announced step; done again, it leaves what an undisturbed one leaves."""
    with row("prune killed", f"SIGKILL at the k-th step of geotag prune, k from 1 by {every} until clean") as made:
        for step in range(1, 10_000, every):
            with bed.trial() as trial:
                trial.finish()
                _withdraw(trial, (1, 2, 7))
                prune = ("prune", "--withdrawn", "--yes")
                code = trial.run(*prune, command=trial.faulty("kill-at", step, trial.workspace.root)).returncode
                tally = Tally(others=[f"{found.where}: {found.what}" for found in verify(trial.workspace).problems])
                again = trial.run(*prune).returncode
                tally.expect(code in (0, -9) and again == 0, f"ended with {code}, then {again}")
                tally.add(_only_withdrawn_are_gone(trial))
                made.case(tally, f"step {step}")
            if code == 0:
                break
    return made


def compact_killed(bed: Bed, every: int = 1) -> Row:
    """Kill `geotag compact`, which has files to remove and files to merge, at each announced step; then finish it."""
    with row("compact killed", f"SIGKILL at the k-th step of geotag compact, k from 1 by {every} until clean") as made:
        for step in range(1, 10_000, every):
            with bed.trial() as trial:
                trial.finish()
                config = load_config(trial.workspace, {})
                compact(trial.workspace, config, CompactRequest(10, margin=-1))
                again = ("compact", "--target-rows", "100", "--margin", "0", "--grace", "0")
                code = trial.run(*again, command=trial.faulty("kill-at", step, trial.workspace.root)).returncode
                tally = trial.inspect(complete=True)
                left = _files(trial)
                while left != [1, 1, 1]:  # remove, merge, remove; nobody is reading
                    before = left
                    compact(trial.workspace, config, CompactRequest(100, margin=-1, grace=-60))
                    left = _files(trial)
                    if left == before:
                        break
                tally.add(trial.inspect(complete=True))
                tally.expect(code in (0, -9) and left == [1, 1, 1], f"ended with {code}, {left} files are left")
                made.case(tally, f"step {step}")
            if code == 0:
                break
    return made


def _files(trial: Trial) -> list[int]:
    return [len(list(trial.workspace.dataset_files(dataset))) for dataset in DATASETS]


def _withdraw(trial: Trial, photos: tuple[int, ...]) -> None:
    catalogue = trial.workspace.root / "photos" / "photos.parquet"
    staged = catalogue.with_suffix(".tmp")
    duckdb.execute(f"COPY (FROM '{catalogue}' WHERE gridimage_id NOT IN {photos}) TO '{staged}' (FORMAT parquet)")
    staged.rename(catalogue)


def _only_withdrawn_are_gone(trial: Trial) -> Tally:
    """Compare with what the undisturbed run makes of the photos that are left."""
    left = trial.workspace.root.with_suffix(".left.parquet")
    photos = f"'{trial.workspace.root}/photos/*.parquet'"
    duckdb.execute(f"COPY (FROM '{trial.expected}' SEMI JOIN {photos} USING (gridimage_id)) TO '{left}'")
    tally = replace(trial, expected=left).inspect(complete=True)
    left.unlink()
    return tally


def grown_archive(folder: Path, photos: int, kills: int, seed: int) -> Row:
    """Let an archive grow while its runs are killed again and again; in the end it equals an undisturbed one."""
    how = f"SIGKILL at random moments of {kills} runs, while the archive grows to {photos:,} photos"
    with row("killed at random", how) as made:
        bed = Bed(folder, photos, chunk_size=max(4, photos // kills))
        chance = random.Random(seed)
        with bed.trial() as trial:
            catalogue = trial.workspace.root / "photos"
            whole = shutil.move(catalogue / "photos.parquet", folder / "whole.parquet")
            reached, missed = 0, 0
            while made.cases < kills:
                share = photos * (made.cases + 1) // kills
                if share > reached:
                    _grow(Path(whole), catalogue, reached, share)
                    reached = share
                killed = _kill_at_random(trial, chance)
                missed += not killed
                if killed or missed > kills:
                    made.case(trial.inspect(complete=False), f"kill {made.cases + 1}")
            made.tally.add(trial.recover())
            made.how += f" ({missed} runs ended before their moment came)"
    return made


def _grow(whole: Path, catalogue: Path, after: int, upto: int) -> None:
    """Add the photos from `after` to `upto` as a file of their own, in one step, as an archive would."""
    staged, final = catalogue / "grown.tmp", catalogue / f"grown-{upto:06d}.parquet"
    duckdb.execute(
        f"COPY (FROM '{whole}' WHERE gridimage_id > {after} AND gridimage_id <= {upto}) TO '{staged}' (FORMAT parquet)"
    )
    staged.rename(final)


def _kill_at_random(trial: Trial, chance: random.Random) -> bool:
    """Start a run and kill it: at any moment, while it stages a file, or after it has committed something."""
    kind = chance.choice(["any", "staging", "committed"])
    committed = len(list(trial.workspace.runs.glob("*.json")))
    with trial.popen(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if kind == "any":
            _wait(process, chance.uniform(0.05, 1.2))
        elif kind == "staging":
            while process.poll() is None and not any(trial.workspace.staging.glob("*/*.parquet.staged")):
                time.sleep(0.0005)
            _wait(process, chance.uniform(0, 0.02))
        else:
            while process.poll() is None and len(list(trial.workspace.runs.glob("*.json"))) == committed:
                time.sleep(0.002)
            _wait(process, chance.uniform(0, 0.6))
        alive = process.poll() is None
        process.kill()
    return alive


def _wait(process: "subprocess.Popen[str]", seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return
