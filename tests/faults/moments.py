"""Signals at random moments, and clocks that jump during a run."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import duckdb

from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial, environment

__all__ = ["CLOCKS", "clock_jumps", "signals"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PATIENCE = 10.0  # seconds that a stop may take


def signals(bed: Bed, rounds: int, seed: int, numbers: tuple[signal.Signals, ...] = _SIGNALS) -> Row:
    """Send each signal at random moments, once or twice in a row; under nohup SIGHUP must do nothing."""
    how = "SIGTERM, SIGINT, SIGHUP at random moments, once or twice; SIGINT in the last moment; SIGHUP under nohup"
    with row("signals", how) as made:
        chance = random.Random(seed)
        for number in range(rounds):
            for name in numbers:
                for times in (1, 2):
                    with bed.trial() as trial:
                        tally = _signal(trial, name, times, chance)
                        tally.add(trial.recover())
                        made.case(tally, f"{name.name} {times} times, round {number + 1}")
        with bed.trial() as trial:
            heard = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
            command = trial.faulty("interrupt-at-the-end", trial.workspace.root)
            done = trial.run(command=command, preexec_fn=heard)
            tally = trial.inspect(complete=True)
            ((status,),) = duckdb.execute(f"SELECT status FROM read_json('{trial.workspace.runs}/*.json')").fetchall()
            tally.expect((done.returncode, status) == (0, "done"), f"ended with {done.returncode}, {status}")
            made.case(tally, "at the end")
        with bed.trial() as trial:
            ignored = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
            with trial.popen(preexec_fn=ignored) as process:
                _wait_for_work(trial, process.poll)
                process.send_signal(signal.SIGHUP)
                process.communicate(timeout=60)
            tally = trial.inspect(complete=True)
            tally.expect(process.returncode == 0, f"ended with {process.returncode}")
            made.case(tally, "nohup")
    return made


def _signal(trial: Trial, number: signal.Signals, times: int, chance: random.Random) -> Tally:
    """Signal a run at any moment of its life; that it works is waited for in two thirds of the cases."""
    working = chance.random() < 2 / 3
    tally = Tally()
    with trial.popen(preexec_fn=partial(signal.signal, number, signal.SIG_DFL)) as process:
        if working:
            _wait_for_work(trial, process.poll)
            time.sleep(chance.uniform(0, 0.3))
        else:
            time.sleep(chance.uniform(0, 0.8))
        started = time.monotonic()
        for _ in range(times):
            process.send_signal(number)
            time.sleep(chance.uniform(0, 0.05))
        said, _ = process.communicate(timeout=60)
    tally.expect(time.monotonic() - started < _PATIENCE, f"took {time.monotonic() - started:.0f} s to stop")
    # Before it works a signal has its usual effect; a run that was done already has not been stopped.
    right = {0, 128 + number} if working else {0, 128 + number, -number}
    tally.expect(process.returncode in right, f"ended with {process.returncode}: {said[-300:]}")
    statuses = (
        duckdb.execute(f"SELECT status FROM read_json('{trial.workspace.runs}/*.json')").fetchall() if working else []
    )
    expected = {("done",), ("stopped",)} | ({("running",)} if times == 2 else set())
    tally.expect(set(statuses) <= expected, f"the record says {statuses}")
    return tally


def _wait_for_work(trial: Trial, ended: Callable[[], int | None]) -> None:
    while ended() is None and not any(trial.workspace.dataset_files("predictions")):
        time.sleep(0.001)


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that starts at `start` (UTC) and jumps by `jump` seconds after the first chunk; in a time zone."""

    name: str
    start: str
    jump: int
    zone: str = "UTC"


CLOCKS = (
    Clock("a day back", "2026-07-02T12:00:00", -86_400),
    Clock("midnight", "2026-07-01T23:59:55", 10),
    Clock("summer time begins", "2026-03-29T00:59:55", 10, "Europe/London"),
    Clock("summer time ends", "2026-10-25T00:59:55", 10, "Europe/London"),
    Clock("a year ahead", "2026-07-02T12:00:00", 365 * 86_400),
)


def clock_jumps(bed: Bed, clocks: tuple[Clock, ...]) -> Row:
    """Let the clock jump during a run; then tag again with a clock that is a day behind the first run's start."""
    names = ", ".join(clock.name for clock in clocks)
    with row("clock", f"{names}, after the first chunk; then a run whose clock is a day behind") as made:
        for clock in clocks:
            with bed.trial() as trial:
                tally = Tally()
                for start, jump, arguments in (
                    (clock.start, clock.jump, ()),
                    (clock.start, -86_400, ("backfill", "--redo-before", "2999-01-01")),
                ):
                    command = trial.faulty("clock", start, jump, bool(arguments), trial.workspace.root)
                    done = trial.run(*arguments, command=command, env=environment(TZ=clock.zone))
                    tally.expect(done.returncode == 0, f"ended with {done.returncode}: {done.stdout[-300:]}")
                    if not arguments:
                        tally.add(trial.inspect(complete=True))
                _expect_newest(tally, trial, clock)
                made.case(tally, clock.name)
    return made


def _expect_newest(tally: Tally, trial: Trial, clock: Clock) -> None:
    """Expect one run_date a run, and every photo's newest prediction to be of the second run."""
    with duckdb.connect(str(trial.workspace.database), read_only=True) as views:
        dates = views.execute("SELECT run_id FROM predictions_all GROUP BY ALL HAVING count(DISTINCT run_date) > 1")
        tally.expect(not dates.fetchall(), "a run has several run_dates")
        ((jumped,),) = views.execute(
            "SELECT epoch(finished_at - started_at) FROM runs ORDER BY run_id LIMIT 1"
        ).fetchall()
        tally.expect(abs(jumped - clock.jump) < 60, f"the clock has jumped by {jumped} seconds")
        ((runs, last, newest),) = views.execute(
            "SELECT count(*), max(run_id), (SELECT list(DISTINCT run_id) FROM predictions) FROM runs"
        ).fetchall()
    tally.expect(runs == 2 and newest == [last], f"the newest predictions are of {newest}, the last run is {last}")
