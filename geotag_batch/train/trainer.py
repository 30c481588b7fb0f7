"""Training a linear head with the paper's recipe (CLIP the Landscape, arXiv 2506.12214, and its notebooks).

Features and labels are arrays in memory; how they get there is dataset.py's business. Nothing here depends on
torch's global random state: the same seed on the same machine gives the same head.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch.errors import InputError
from geotag_batch.predict.policy import Policy
from geotag_batch.train.metrics import macro_f1, subset_accuracy

__all__ = ["Epoch", "Examples", "Recipe", "Trained", "train_linear"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults are the paper's for a linear head."""

    learning_rate: float = 5e-3
    weight_decay: float = 1e-5
    batch_size: int = 4096  # at most; a small archive still gets `_LEAST_STEPS` steps an epoch
    epochs: int = 200
    cosine_epochs: int = 50  # T_max: the rate falls for 50 epochs, rises for 50, and so on
    patience: int = 10
    seed: int = 0


_LEAST_STEPS, _LEAST_BATCH = 16, 8
"""200 photos in one batch are one step an epoch, and ten epochs' patience ends before anything is learned."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training part: its mean loss, and how the head then did on the validation part."""

    number: int
    loss: float
    subset_accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The best epoch's layer, weight float32 (t, d) and bias float32 (t,), and what all epochs were like."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    best: Epoch
    history: tuple[Epoch, ...]

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the layer as a head's tensors, named as torch names them."""
        return {"weight": self.weight, "bias": self.bias}


@dataclass(frozen=True, slots=True)
class Examples:
    """Photos to learn from or to judge by: features float32 (n, d), labels bool (n, t), row by row the same photo."""

    features: NDArray[np.float32]
    labels: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "Examples":
        """Return the rows that `chosen` (n,) marks."""
        return Examples(self.features[chosen], self.labels[chosen])

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.features)


def train_linear(
    training: Examples,
    validation: Examples,
    recipe: Recipe,
    policy: Policy,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> Trained:
    """Train until `recipe.patience` epochs bring no better validation subset accuracy; keep the best epoch.

    `policy` decides on the validation part as it will in production. Raises InputError if either part is empty or
    a feature is not finite.
    """
    _check(training, "training")
    _check(validation, "validation")
    chance = torch.Generator().manual_seed(recipe.seed)
    layer = _new_layer(training.features.shape[1], training.labels.shape[1], chance)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=recipe.cosine_epochs)
    features, labels = torch.from_numpy(training.features), torch.from_numpy(training.labels)
    judged = torch.from_numpy(validation.features)
    batch_size = min(recipe.batch_size, max(_LEAST_BATCH, len(training) // _LEAST_STEPS))
    history: list[Epoch] = []
    best, kept = None, copy.deepcopy(layer.state_dict())
    for number in range(1, recipe.epochs + 1):
        loss = _train_epoch(layer, optimizer, (features, labels), batch_size, chance)
        schedule.step()
        chosen = policy.decide(_scores(layer, judged)).chosen
        epoch = Epoch(number, loss, subset_accuracy(validation.labels, chosen), macro_f1(validation.labels, chosen))
        history.append(epoch)
        on_epoch(epoch)
        if best is None or epoch.subset_accuracy > best.subset_accuracy:
            best, kept = epoch, copy.deepcopy(layer.state_dict())
        elif number - best.number >= recipe.patience:
            break
    if best is None:
        raise InputError("no epoch was trained", hint="ask for at least one with --epochs")
    return Trained(kept["weight"].numpy(), kept["bias"].numpy(), best, tuple(history))


def _check(examples: Examples, part: str) -> None:
    if not len(examples):
        raise InputError(
            f"the {part} part has no photos: too few tagged photos are embedded",
            hint="embed more of them with `geotag embed --select tagged`",
        )
    if not np.isfinite(examples.features).all():
        raise InputError(f"the {part} part has features that are not finite", hint="run `geotag verify`")


def _new_layer(inputs: int, outputs: int, chance: torch.Generator) -> torch.nn.Linear:
    """Return Linear(inputs, outputs) begun as torch begins it, but from `chance`."""
    layer = torch.nn.Linear(inputs, outputs)
    bound = inputs**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=chance)
    return layer


def _train_epoch(
    layer: torch.nn.Linear,
    optimizer: torch.optim.Optimizer,
    examples: tuple[torch.Tensor, torch.Tensor],
    batch_size: int,
    chance: torch.Generator,
) -> float:
    """Go over the examples once in a new order; return the mean loss."""
    features, labels = examples
    total = 0.0
    order = torch.randperm(len(features), generator=chance)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        optimizer.zero_grad()
        logits = layer(features[batch])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch].to(torch.float32))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += float(loss.detach()) * len(batch)
    return total / len(features)


def _scores(layer: torch.nn.Linear, features: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        scores: NDArray[np.float32] = torch.sigmoid(layer(features)).numpy()
    return scores
