"""One head in training: its net, its optimizer, how its epochs went, and the best of them.

A learner's state is tensors and a JSON document: it can be written down after each epoch and taken up again, and then
goes on bit for bit as if nothing had happened.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch.train.examples import Batch
from geotag_batch.train.nets import new_net
from geotag_batch.train.recipe import Recipe
from geotag_batch.train.tally import Tally

__all__ = ["Epoch", "Learner", "Trained"]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training part: its mean loss, and how the head then did on the validation part."""

    number: int
    loss: float
    subset_accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The best epoch's tensors, float32, named as torch names them, and what all epochs were like."""

    tensors: dict[str, NDArray[np.float32]]
    best: Epoch
    history: tuple[Epoch, ...]


class Learner:
    """A head that is trained by `recipe`; `history` grows by an epoch at a time."""

    def __init__(self, recipe: Recipe, widths: Mapping[str, int], tags: int) -> None:
        """Begin untrained, on features of these `widths` by modality, in the recipe's order."""
        self.recipe = recipe
        self.history: list[Epoch] = []
        self._net = new_net(recipe, widths, tags)
        self._optimizer = torch.optim.AdamW(
            self._net.parameters.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        self._kept = self._copy()

    @property
    def best(self) -> Epoch | None:
        """Return the first epoch with the best subset accuracy, None before the first one."""
        return max(self.history, key=lambda epoch: (epoch.subset_accuracy, -epoch.number), default=None)

    @property
    def finished(self) -> bool:
        """Return whether all epochs are done, or `patience` of them brought nothing better."""
        done, best = len(self.history), self.best
        return done >= self.recipe.epochs or (best is not None and done - best.number >= self.recipe.patience)

    def begin_epoch(self) -> None:
        """Set the learning rate of the next epoch (torch's CosineAnnealingLR, in its closed form)."""
        turn = math.pi * len(self.history) / self.recipe.cosine_epochs
        for group in self._optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * (1 + math.cos(turn)) / 2

    def learn(self, batch: Batch, kept: torch.Tensor | None) -> torch.Tensor:
        """Take one step; return the batch's mean loss, float32 ()."""
        loss = self._net.compute_gradients(batch, kept)
        self._optimizer.step()
        return loss

    def scores(self, batch: Batch) -> NDArray[np.float32]:
        """Return scores float32 (b, tags)."""
        scores: NDArray[np.float32] = self._net.logits(batch).sigmoid_().numpy()
        return scores

    def end_epoch(self, loss: float, tally: Tally) -> Epoch:
        """Record the epoch, and keep its weights if it is the best one so far."""
        epoch = Epoch(len(self.history) + 1, loss, tally.subset_accuracy, tally.macro_f1)
        self.history.append(epoch)
        if self.best is epoch:
            self._kept = self._copy()
        return epoch

    def result(self) -> Trained:
        """Return the best epoch's head; at least one must be done."""
        best = self.best
        assert best is not None, "no epoch was trained"
        return Trained({name: tensor.numpy() for name, tensor in self._kept.items()}, best, tuple(self.history))

    def state(self) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]]]:
        """Return everything that the next epoch depends on: tensors by name, and the history."""
        tensors = {f"net.{name}": tensor for name, tensor in self._net.parameters.items()}
        tensors |= {f"kept.{name}": tensor for name, tensor in self._kept.items()}
        for place, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": tensor for name, tensor in moments.items()}
        return {name: tensor.numpy() for name, tensor in tensors.items()}, [asdict(epoch) for epoch in self.history]

    def restore(self, tensors: Mapping[str, NDArray[Any]], history: Sequence[Mapping[str, Any]]) -> None:
        """Go back to a state that `state` returned. Raises KeyError, TypeError or ValueError if it is none."""
        epochs = [Epoch(**epoch) for epoch in history]
        for name, parameter in self._net.parameters.items():
            parameter.copy_(_tensor(tensors[f"net.{name}"], parameter.shape))
            self._kept[name].copy_(_tensor(tensors[f"kept.{name}"], parameter.shape))
        state = self._optimizer.state_dict()
        state["state"] = {
            place: {
                "step": _tensor(tensors[f"optimizer.{place}.step"], torch.Size()),
                "exp_avg": _tensor(tensors[f"optimizer.{place}.exp_avg"], parameter.shape),
                "exp_avg_sq": _tensor(tensors[f"optimizer.{place}.exp_avg_sq"], parameter.shape),
            }
            for place, parameter in enumerate(self._net.parameters.values())
        }
        self._optimizer.load_state_dict(state)
        self.history = epochs

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: parameter.clone() for name, parameter in self._net.parameters.items()}


def _tensor(array: NDArray[Any], shape: torch.Size) -> torch.Tensor:
    if tuple(array.shape) != tuple(shape):
        raise ValueError(f"a tensor of shape {array.shape} where {tuple(shape)} was expected")
    return torch.from_numpy(array.copy())
