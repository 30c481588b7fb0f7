"""The disk refuses: fsync fails, space, inodes or quota run out, files may not grow, or nothing may be written."""

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from geotag_batch.workspace import Workspace
from tests.faults import strace
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import GEOTAG, Bed, Trial

__all__ = ["disk_full", "errors_of_calls", "file_size_limit", "fsync_fails", "no_permission"]

_STORAGE = 4  # the exit code of StorageError


def fsync_fails(bed: Bed, every: int = 1) -> Row:
    """Let the first, second, ... fsync fail, Python's own or DuckDB's, until a run gets through."""
    with row("fsync fails", f"EIO from the k-th fsync of the job, k from 1 by {every} until clean") as made:
        for step in range(1, 10_000, every):
            with bed.trial() as trial:
                log = trial.workspace.root.with_suffix(".synced")
                done = trial.run(command=trial.faulty("fail-fsync", step, log))
                failed = done.returncode != 0
                tally = Tally()
                if failed:
                    _expect_refusal(tally, done, "Input/output error")
                    _expect_not_synced_again(tally, log.read_text().splitlines())
                log.unlink()
                tally.add(trial.recover())
                made.case(tally, f"fsync {step}")
            if not failed:
                break
    return made


def _expect_not_synced_again(tally: Tally, synced: list[str]) -> None:
    """Expect that a file whose fsync failed is not synced once more; a folder may be, through a new descriptor."""
    at = next(place for place, line in enumerate(synced) if line.startswith("FAILED "))
    failed = synced[at].removeprefix("FAILED ")
    later = [line for line in synced[at + 1 :] if line.endswith(failed)]
    tally.expect(not later or Path(failed.partition(" ")[2]).is_dir(), f"after its fsync failed: {later}")


def errors_of_calls(bed: Bed, every: int = 1) -> Row:
    """Let each kind of writing system call fail from the k-th on, as a disk that is full and stays full does."""
    cases = (
        ("pwrite64", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("rename", "EDQUOT"),
        ("mkdir", "EROFS"),
        ("write", "EDQUOT"),
    )
    what = ", ".join(f"{error} from {name}" for name, error in cases)
    with row(
        "disk full, quota, read-only: every call", f"strace: {what}, of the k-th on, k from 1 by {every} until clean"
    ) as made:
        if not strace.is_usable():
            made.skipped = strace.MISSING
            return made
        for name, error in cases:
            for step in range(1, 10_000, every * (7 if name == "write" else 1)):
                with bed.trial() as trial:
                    trace = trial.workspace.root.with_suffix(".trace")
                    done = trial.run(command=strace.injecting(trial.job, name, f"error={error}:when={step}+", trace))
                    hit = any(call.injected for call in strace.calls(trace, trial.workspace.root))
                    trace.unlink()
                    tally = Tally()
                    if name == "write" and done.returncode:  # what it would say cannot be written either
                        tally.expect(done.returncode == _STORAGE, f"ended with {done.returncode}: {done.stdout[-300:]}")
                    elif done.returncode or hit:
                        _expect_refusal(tally, done)
                    tally.add(trial.recover())
                    made.case(tally, f"{error} from {name} {step}")
                if not done.returncode:
                    break
    return made


def disk_full(bed: Bed, sizes: list[int], inodes: list[int]) -> Row:
    """Run on a tmpfs that shrinks to so many free KiB, or so many free inodes, while the job works; then grow it.

    A disk that is full from the start is refused before any work.
    """
    how = f"tmpfs shrunk under the job to {len(sizes)} numbers of free KiB or {len(inodes)} of free inodes"
    with row("disk full", how) as made:
        limits = [("size", size) for size in sizes] + [("nr_inodes", count) for count in inodes]
        for kind, left in limits:
            with bed.trial() as trial, _tmpfs(trial) as small:
                if small is None:
                    made.skipped = "a tmpfs can only be mounted by root"
                    return made
                with small.popen() as process:
                    while process.poll() is None and not any(small.workspace.runs.glob("*.json")):
                        time.sleep(0.001)
                    _leave(small, kind, left)
                    said, _ = process.communicate(timeout=60)
                tally = Tally()
                if process.returncode:
                    _expect_refusal(tally, subprocess.CompletedProcess((), process.returncode, said))
                tally.add(small.inspect(complete=False))
                refused = small.run()
                tally.expect(refused.returncode in (0, _STORAGE), f"on the full disk: {refused.stdout[-300:]}")
                _remount(small, "size=1g,nr_inodes=100000")
                tally.add(small.recover())
                made.case(tally, f"{left} of {kind} left, exit {process.returncode}")
    return made


@contextmanager
def _tmpfs(trial: Trial) -> Iterator[Trial | None]:
    """Put the trial's workspace into a tmpfs of its own, if this process may mount one."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "geotag", folder], capture_output=True, check=False)
        if mounted.returncode:
            yield None
            return
        try:
            root = Path(folder) / "archive"
            shutil.copytree(trial.workspace.root, root)
            yield Trial(Workspace(root), trial.expected)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def _leave(trial: Trial, kind: str, left: int) -> None:
    """Let the trial's tmpfs have room for so many KiB, or files, more than it holds."""
    usage = os.statvfs(trial.workspace.root)
    if kind == "size":
        used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize // 1024
        _remount(trial, f"size={used + max(left, 4)}k")  # 0 would be no limit
    else:
        _remount(trial, f"nr_inodes={usage.f_files - usage.f_ffree + left}")


def _remount(trial: Trial, limits: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{limits}", str(trial.workspace.root.parent)], check=True)


def file_size_limit(bed: Bed, limits: list[int]) -> Row:
    """Run where no file may be larger than so many bytes."""
    with row("files may not grow", f"RLIMIT_FSIZE of {', '.join(f'{limit:,}' for limit in limits)} bytes") as made:
        for limit in limits:
            with bed.trial() as trial:
                limited = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
                done = trial.run(preexec_fn=limited)
                tally = Tally()
                if done.returncode:
                    _expect_refusal(tally, done)
                tally.add(trial.recover())
                made.case(tally, f"{limit} bytes")
    return made


FOLDERS = (".", "staging", "runs", "embeddings/*", "failures/*", "predictions/*/*", "cache")


def no_permission(bed: Bed, folders: tuple[str, ...] = FOLDERS) -> Row:
    """Run where a folder of the workspace may not be written to, without the privilege to do so all the same."""
    with row("read-only", f"chmod 0555 on {', '.join(folders)} of the workspace") as made:
        for name in folders:
            with bed.trial() as trial:
                trial.finish()
                _due_again(trial)
                closed = list(trial.workspace.root.glob(name)) if name != "." else [trial.workspace.root]
                for folder in closed:
                    folder.chmod(0o555)
                done = trial.run(command=_unprivileged())
                for folder in closed:
                    folder.chmod(0o755)
                tally = Tally()
                if name != "cache" or done.returncode:  # nothing has to be written there
                    _expect_refusal(tally, done)
                tally.add(trial.recover())
                made.case(tally, name)
    return made


def _due_again(trial: Trial) -> None:
    """Take back what the last chunk committed, so that there is work."""
    for dataset in ("embeddings", "predictions", "failures"):
        for path in trial.workspace.dataset_files(dataset):
            path.unlink()
    for path in trial.workspace.runs.iterdir():
        path.unlink()


def _unprivileged() -> list[str]:
    """Return the command of the job without root's privilege to write anywhere."""
    if os.geteuid() or shutil.which("setpriv") is None:
        return [GEOTAG]
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override", GEOTAG]


def _expect_refusal(tally: Tally, done: "subprocess.CompletedProcess[str]", words: str = "") -> None:
    """Expect exit code 4 and a message with these words, a hint, and no traceback."""
    said = done.stdout
    tally.expect(done.returncode == _STORAGE, f"ended with {done.returncode}: {said[-300:]}")
    tally.expect("geotag: " in said and "try: " in said and words in said, f"no clear error: {said[-300:]}")
    tally.expect("Traceback" not in said, f"a traceback: {said[-300:]}")
