"""Power cuts inflicted on recorded runs, and the order in which a run syncs and renames, as strace sees it."""

import shutil
from pathlib import Path

from tests.faults import strace
from tests.faults.invariants import Tally
from tests.faults.power import Disk, read_log, states
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial

__all__ = ["power_cuts", "trace_order"]


def power_cuts(bed: Bed, *, at_once: int = 3, every: int = 1, until_caught: bool = False) -> Row:
    """Record a run, make each disk that a power cut could leave of it (or every so many), and recover from it.

    With `until_caught` stop at the first photo or file that is not as it should be."""
    how = f"every moment of a recorded run, every subset of up to {at_once} pending operations lost, cut or garbled"
    with row("power cut", how) as made:
        disk, operations = read_log(_record(bed))
        met, distinct = 0, 0
        for name, state in states(disk, operations, at_once):
            met += 1
            if state is None:
                continue
            distinct += 1
            if distinct % every == 0:
                with bed.trial() as trial:
                    _write(state, trial)
                    made.case(trial.recover(in_process=True), name)
                if until_caught and (made.tally.lost or made.tally.doubled or made.tally.unreadable):
                    break
        made.how += f"; of {met:,} such disks {distinct:,} differ"
    return made


def _record(bed: Bed) -> Path:
    with bed.trial() as trial:
        log = trial.workspace.root.with_suffix(".log")
        done = trial.run(command=trial.faulty("record", log, trial.workspace.root))
        if done.returncode:
            raise AssertionError(f"the recorded run ended with {done.returncode}: {done.stdout}")
        return log


def _write(state: Disk, trial: Trial) -> None:
    """Put what is on `state` into the trial's workspace, beside its images."""
    root = trial.workspace.root
    for path in root.iterdir():
        if path.name != "images":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, data in state.tree().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def trace_order(bed: Bed) -> Row:
    """Look at each publishing of a run in a trace of its system calls: write, fsync, rename, fsync of the folder."""
    with row("order of a commit", "strace: each rename after the fsync of that file, before one of its folder") as made:
        if not strace.is_usable():
            made.skipped = strace.MISSING
            return made
        with bed.trial() as trial:
            trace = trial.workspace.root.with_suffix(".trace")
            trial.run(command=strace.tracing(trial.job, "write,pwrite64,fsync,fdatasync,rename,mkdir", trace))
            calls = list(strace.calls(trace, trial.workspace.root))
        for place, call in enumerate(calls):
            if call.name == "rename":
                made.case(_order(calls, place), call.paths[-1])
        tally = Tally()
        tally.expect(made.cases > 0, "nothing was published")
        made.tally.add(tally)
    return made


def _order(calls: list[strace.Call], place: int) -> Tally:
    staged, final = calls[place].paths
    tally = Tally()
    writes = [at for at in range(place) if calls[at].name in ("write", "pwrite64") and staged in calls[at].paths]
    syncs = [at for at in range(place) if calls[at].name == "fsync" and staged in calls[at].paths]
    tally.expect(bool(writes and syncs) and max(writes) < max(syncs), "renamed before all of it was synced")
    later = (call for call in calls[place + 1 :] if call.name in ("fsync", "rename"))
    following = next(later, None)
    synced = following is not None and following.name == "fsync" and str(Path(final).parent) in following.paths
    tally.expect(synced, "its folder was not synced at once")
    return tally
