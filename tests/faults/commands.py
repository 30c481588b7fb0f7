"""The other commands that write, killed at each step: done again, they leave what an undisturbed one leaves."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb
import numpy as np
from safetensors.numpy import save_file

from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.predict.head import list_heads
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial

__all__ = ["commands_killed"]

_BASE = "gridimage_id\tuser_id\trealname\ttitle\tgrid_reference\timagetaken\tmoderation_status\n"


@dataclass(frozen=True)
class _Command:
    """A command, what must be there before it starts, and what is to be compared afterwards.

    A word that begins with @ is a file in the workspace. One that `mends` starts where something is wrong.
    """

    arguments: tuple[str, ...]
    prepare: Callable[[Trial], None]
    state: Callable[[Trial], object]
    mends: bool = False


def commands_killed(bed: Bed, every: int = 1, first: int | None = None) -> Row:
    """Kill each command, or the `first` few, at its first, second, ... step until one gets through; run it again."""
    names = ", ".join(" ".join(command.arguments[:2]) for command in _COMMANDS[:first])
    with row("other commands killed", f"SIGKILL at the k-th step of {names}; k from 1 by {every} until clean") as made:
        for command in _COMMANDS[:first]:
            with bed.trial() as ready:
                ready.finish()
                command.prepare(ready)
                with _copied(ready) as trial:
                    made.tally.expect(_go(trial, command) == 0, f"{command.arguments} fails undisturbed")
                    expected = command.state(trial)
                for step in range(1, 10_000, every):
                    with _copied(ready) as trial:
                        code, tally = _killed(trial, command, step, expected)
                    made.case(tally, f"{' '.join(command.arguments[:2])}, step {step}")
                    if code == 0:
                        break
    return made


@contextmanager
def _copied(ready: Trial) -> Iterator[Trial]:
    root = ready.workspace.root.with_name("copy")
    shutil.copytree(ready.workspace.root, root)
    try:
        yield replace(ready, workspace=Workspace(root))
    finally:
        shutil.rmtree(root)


def _killed(trial: Trial, command: _Command, step: int, expected: object) -> tuple[int, Tally]:
    """Kill it at a step and do it again; return its exit code and what does not hold in between and afterwards."""
    code = _go(trial, command, step)
    tally = Tally() if command.mends else _problems(trial, "killed")
    again = _go(trial, command)
    tally.expect(code in (0, -9) and again == 0, f"ended with {code}, then {again}")
    tally.add(_problems(trial, "done again"))
    seen = command.state(trial)
    tally.expect(seen == expected, f"left {seen}, not {expected}")
    return code, tally


def _go(trial: Trial, command: _Command, step: int | None = None) -> int:
    """Run the command, killed at a step or to its end; return its exit code."""
    arguments = [str(trial.workspace.root / word[1:]) if word[:1] == "@" else word for word in command.arguments]
    killer = None if step is None else trial.faulty("kill-at", step, trial.workspace.root)
    return trial.run(*arguments, command=killer).returncode


def _problems(trial: Trial, when: str) -> Tally:
    return Tally(others=[f"{when}: {found.where}: {found.what}" for found in verify(trial.workspace).problems])


def _write_decisions(trial: Trial) -> None:
    lines = ["gridimage_id,tag,decision,reviewer", "1,Canals,add,Ann", "2,Canals,add,Ann", "3,Moorland,add,Bob"]
    (trial.workspace.root / "in.csv").write_text("\n".join(lines) + "\n")


def _decide(trial: Trial) -> None:
    for number in range(1, 5):
        append_decisions(trial.workspace, [Decision(number, "Canals", "add", "Ann", "test")])


def _decided(trial: Trial) -> object:
    files = f"'{trial.workspace.root}/decisions/*.parquet'"
    return duckdb.execute(f"SELECT DISTINCT gridimage_id, tag, decision, reviewer FROM {files} ORDER BY ALL").fetchall()


def _write_head(trial: Trial) -> None:
    chance = np.random.default_rng(7)
    tensors = {
        "weight": chance.normal(0, 0.3, (49, 1026)).astype(np.float32),
        "bias": chance.normal(-1, 0.3, 49).astype(np.float32),
    }
    save_file(tensors, trial.workspace.root / "new.safetensors")


def _heads(trial: Trial) -> object:
    return sorted((head.head_id, head.policy.policy_id) for head in list_heads(trial.workspace))


def _write_dump(trial: Trial) -> None:
    rows = [f"{number}\t93\tA Name\tTitle {number}\tTQ0775\t2005-03-01\tgeograph\n" for number in range(100, 110)]
    (trial.workspace.root / "gridimage_base.tsv").write_text(_BASE + "".join(rows))


def _catalogue(trial: Trial) -> object:
    files = f"'{trial.workspace.root}/photos/geograph.parquet'"
    return duckdb.execute(f"SELECT gridimage_id, title FROM {files} ORDER BY ALL").fetchall()


def _damage(trial: Trial) -> None:
    path = min(trial.workspace.predictions.rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])


def _repaired(trial: Trial) -> object:
    """Compare with the undisturbed run, once the next run has redone what was set aside."""
    trial.finish()
    return trial.inspect(complete=True)


_STATEMENTS = ("--type", "linear", "--modalities", "image,title,location", "--encoder", FakeEncoder.encoder_id)
_COMMANDS = (
    _Command(("decisions", "import", "@in.csv"), _write_decisions, _decided),
    _Command(("decisions", "compact", "--now"), _decide, _decided),
    _Command(("heads", "import", "@new.safetensors", *_STATEMENTS), _write_head, _heads),
    _Command(("ingest", "geograph", "@gridimage_base.tsv"), _write_dump, _catalogue),
    _Command(("verify", "--repair"), _damage, _repaired, mends=True),
)
