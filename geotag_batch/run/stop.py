"""When a run ends early: a signal, or the end of its time window."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType

__all__ = ["Stop", "seconds_until", "signals_as_exits"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop:
    """Asked between batches whether to go on.

    The first signal asks the run to commit what it has finished; the second leaves at once, as a crash would, which
    the next run copes with.
    """

    def __init__(self, seconds: float | None = None) -> None:
        """End the window after `seconds`, if given; measured by the monotonic clock."""
        self.signal: int | None = None
        self._react: Callable[[], None] | None = None
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def __call__(self) -> bool:
        """Return whether to stop now."""
        return self.signal is not None or self.window_over

    @property
    def window_over(self) -> bool:
        """Return whether the time window has ended."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def when_signalled(self, react: Callable[[], None]) -> None:
        """Call `react`, in the signal handler, at the first signal; it must be safe there."""
        self._react = react
        if self.signal is not None:
            react()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP for the length of a `with` block; one that is ignored (nohup) stays so."""
        taken = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, self._on_signal) for number in taken}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def ask(self, number: int) -> None:
        """Ask the run to stop, as the first signal `number` does; it is safe in a signal handler."""
        self.signal = number
        if self._react is not None:
            self._react()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(128 + number)
        self.ask(number)


@contextmanager
def signals_as_exits() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, where they would kill, raise SystemExit(128 + n) for the length of a `with` block.

    SIGINT does as much by itself. So a run that is stopped before its first chunk can still be told of; while there are
    chunks, `Stop` takes the signals.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    taken = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def seconds_until(hour: int, minute: int, now: datetime) -> float:
    """Return the seconds from `now` (local time) to the next HH:MM."""
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if end <= now:
        end += timedelta(days=1)
    return (end - now).total_seconds()
