"""What one check of the doctor is, and how it is made: in limited time, and never ending in an exception."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from geotag_batch.errors import GeotagError

__all__ = ["Check", "Examine", "failed", "make", "ok", "problem", "warning"]

_PATIENCE = 30.0  # seconds; a dead network file system keeps whoever looks at it for ever


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: how it is, what was seen, and what to do about it.

    `exit_code` is what a run would end with because of a problem, 1 for a warning, 0 if all is well.
    """

    name: str
    level: Literal["ok", "warning", "problem"]
    seen: str
    to_do: str | None = None
    exit_code: int = 0


Examine = Callable[[], Iterable[Check]]


def ok(name: str, seen: str) -> Check:
    """Return that all is well."""
    return Check(name, "ok", seen)


def warning(name: str, seen: str, to_do: str | None) -> Check:
    """Return something that does not stop a run, and that somebody should know."""
    return Check(name, "warning", seen, to_do, 1)


def problem(name: str, seen: str, to_do: str | None, exit_code: int) -> Check:
    """Return something that a run would end at, with `exit_code`."""
    return Check(name, "problem", seen, to_do, exit_code)


def failed(name: str, error: GeotagError) -> Check:
    """Return the problem that an error of a run's own would be."""
    return problem(name, error.message, error.hint, error.exit_code)


def make(name: str, examine: Examine, patience: float = _PATIENCE) -> list[Check]:
    """Return what `examine` finds, before an error of its own too; that becomes a problem, as does taking too long."""
    found: list[Check] = []

    def work() -> None:
        try:
            for check in examine():
                found.append(check)  # one at a time: what was found before an error counts
        except GeotagError as error:
            found.append(failed(name, error))
        except Exception as error:  # noqa: BLE001  whoever asks what is wrong must get an answer, and it is not "ok"
            seen = f"could not be looked at: {type(error).__name__}: {error}"
            found.append(problem(name, seen, "report this: it is a bug in geotag-batch", GeotagError.exit_code))

    thread = threading.Thread(target=work, name=f"doctor-{name}", daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        to_do = "look at the disk, the mount or the server that it lies on: it does not answer"
        return [*found, problem(name, f"no answer within {patience:.0f} seconds", to_do, 4)]
    return found
