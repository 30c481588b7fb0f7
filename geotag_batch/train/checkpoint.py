"""What an interrupted training goes on from: one file for each head in training, written after each of its epochs.

A checkpoint explains itself: beside the tensors it holds the facts that the training depends on. It is taken up only
where all of them are the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from geotag_batch import atomic
from geotag_batch.errors import InputError, StorageError
from geotag_batch.train.learner import Learner

__all__ = ["Checkpoints"]

_RESTART = "add --restart to throw the interrupted training away and begin anew"


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints in `folder`, each under the name of what is trained."""

    folder: Path

    def save(self, name: str, learner: Learner, facts: Mapping[str, Any]) -> None:
        """Write down where `learner` is. Raises StorageError if the disk refuses."""
        tensors, history = learner.state()
        state = json.dumps({"facts": facts, "history": history}, sort_keys=True)
        data = safetensors.numpy.save(tensors, metadata={"state": state})
        atomic.write_bytes(data, self._file(name), self.folder / "staging", replace=True)

    def resume(self, name: str, learner: Learner, facts: Mapping[str, Any]) -> bool:
        """Bring `learner` to where its checkpoint is; return False if there is none.

        Raises InputError, naming each difference, if it was made by another recipe or from other photos, and
        StorageError if it cannot be read.
        """
        path = self._file(name)
        if not path.exists():
            return False
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                state = json.loads(file.metadata()["state"])
            differences = _differences(state["facts"], json.loads(json.dumps(facts)))
            if not differences:
                learner.restore(safetensors.numpy.load_file(path), state["history"])
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise StorageError(f"{path} is broken: {type(error).__name__}: {error}", hint=_RESTART) from error
        if differences:
            raise InputError(
                f"the interrupted training of {name} ({len(state['history'])} epochs done) cannot go on, because "
                f"something has changed: {'; '.join(differences)}",
                hint=f"undo the change, give this training another --name, or {_RESTART}",
            )
        return True

    def remove(self, name: str) -> None:
        """Forget a training; one that is not there is no error."""
        atomic.remove_committed(self._file(name))

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return in words where two JSON documents differ, by the path of their keys."""
    found = []
    for key in sorted({*then, *now}):
        before, after, name = then.get(key), now.get(key), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += _differences(before, after, f"{name}.")
        elif before != after:
            found.append(f"{name} was {_short(before)}, is {_short(after)}")
    return found


def _short(value: Any) -> str:  # noqa: ANN401
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) < 60 else f"{text[:12]}..."
