"""Why a run ended, as one of a few reasons that programs can go by, with what it means and what a person may do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from geotag_batch.write.runs import RunRecord

__all__ = ["LIMIT_REACHED", "REASONS", "Reason", "advice_of", "as_it_is", "reason_of"]

LIMIT_REACHED = "--limit reached"
"""The stop_reason of a run whose window was its --limit."""


@dataclass(frozen=True, slots=True)
class Reason:
    """`heading` is one word or two for a headline, `advice` what to do next where an error itself gives no hint."""

    heading: str
    advice: str


_GOES_ON = "Nothing: the next run goes on with the rest."

REASONS: Mapping[str, Reason] = {
    "done": Reason("done", "Nothing."),
    "limit": Reason("done so far", _GOES_ON),
    "window": Reason("done so far", _GOES_ON),
    "stopped": Reason("stopped", "Nothing, if somebody stopped it on purpose: the next run goes on."),
    "killed": Reason(
        "killed",
        "Look in the system's log (journalctl -k) for a lack of memory, a power cut or a kill. What is committed is "
        "good, and the next run goes on.",
    ),
    "usage": Reason("FAILED", "Mend the command line."),
    "configuration": Reason("FAILED", "Mend geotag.toml, or the GEOTAG_ variable; `geotag doctor` looks at both."),
    "input": Reason("FAILED", "Look at the disk, the catalogue and images.root; `geotag doctor` looks at them all."),
    "model": Reason("FAILED", "Look at the weights and the head in use; `geotag doctor` looks at both."),
    "failure_budget": Reason(
        "FAILED",
        "Look whether images.root and images.template are right and all images are there; if so many really fail, "
        "raise run.max_failure_rate. Nothing of the chunk that went over it was committed.",
    ),
    "locked": Reason("NOT STARTED", "Wait for the other command to end; `geotag status` shows it."),
    "bug": Reason("FAILED", "Report the lines that it wrote to standard error: it is a bug in geotag-batch."),
}
"""Every way in which a run ends."""

_NO_OTHER_GOES_ON = (
    "What is committed is good. No other run goes on with an import: start it again, before one encodes what its files "
    "hold."
)

_OF_CODE = {2: "usage", 3: "configuration", 4: "input", 5: "model", 6: "failure_budget", 75: "locked", 130: "stopped"}
_OF_STATUS = {"done": "done", "window": "window", "stopped": "stopped", "interrupted": "killed"}


def reason_of(record: RunRecord) -> str | None:
    """Return why a run ended, one of REASONS; None if its record says that it is running."""
    if record.status == "running":
        return None
    if record.stop_reason == LIMIT_REACHED:
        return "limit"
    return _OF_STATUS.get(record.status) or _OF_CODE.get(record.exit_code or 0, "bug")


def advice_of(record: RunRecord) -> str:
    """Return what to do next about a run that has ended, where an error itself gives no hint."""
    reason = reason_of(record) or "done"
    unfinished_import = record.command == "import" and reason in ("stopped", "killed")
    return _NO_OTHER_GOES_ON if unfinished_import else REASONS[reason].advice


def as_it_is(record: RunRecord, *, busy: bool) -> RunRecord:
    """Return the record, "interrupted" if it says "running" and no command holds the workspace's lock."""
    return replace(record, status="interrupted") if record.status == "running" and not busy else record
