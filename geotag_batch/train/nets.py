"""The two kinds of head as they are trained: logits, and the gradient of the mean binary cross-entropy, by hand.

Both begin with a linear layer over `[image | title | location]`. It is applied part by part, so that trainings with
other modalities share a batch's parts without copies of them, and each gets the same numbers as it would alone.
Written out, the gradient takes a third less time than autograd's; tests hold it against autograd.
"""

from collections.abc import Mapping, Sequence

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from geotag_batch.train.examples import Batch
from geotag_batch.train.recipe import HIDDEN, Recipe

__all__ = ["LinearNet", "MlpNet", "Net", "new_net"]


class LinearNet:
    """Linear(d, tags). `parameters` are named as torch names them; `compute_gradients` fills their `.grad`."""

    def __init__(self, recipe: Recipe, widths: Mapping[str, int], tags: int, chance: torch.Generator) -> None:
        """Begin as torch's Linear begins."""
        self.modalities, self.rounds = tuple(widths), recipe.gradients == "bfloat16"
        self.parameters = _new_layer("", sum(widths.values()), tags, chance)

    def logits(self, batch: Batch) -> torch.Tensor:
        """Return logits float32 (b, tags)."""
        return _apply(self.parameters["weight"], self.parameters["bias"], _parts(self, batch))

    def compute_gradients(self, batch: Batch, kept: torch.Tensor | None) -> torch.Tensor:
        """Set the gradients of the batch's mean loss; return that loss, float32 (). `kept` is not used."""
        logits = self.logits(batch)
        loss, slope = _loss(logits, batch)
        _set_gradients(self.parameters["weight"], self.parameters["bias"], slope, _inputs(self, batch))
        return loss


class MlpNet:
    """Linear(d, 256), ReLU, Dropout(0.5), Linear(256, tags); `parameters` as torch's Sequential numbers them."""

    def __init__(self, recipe: Recipe, widths: Mapping[str, int], tags: int, chance: torch.Generator) -> None:
        """Begin as torch's Linear layers begin."""
        self.modalities, self.rounds = tuple(widths), recipe.gradients == "bfloat16"
        first = _new_layer("0.", sum(widths.values()), HIDDEN, chance)
        self.parameters = first | _new_layer("3.", HIDDEN, tags, chance)

    def logits(self, batch: Batch) -> torch.Tensor:
        """Return logits float32 (b, tags), nothing dropped."""
        return self._output(self._hidden(batch))

    def compute_gradients(self, batch: Batch, kept: torch.Tensor | None) -> torch.Tensor:
        """Set the gradients of the batch's mean loss; return that loss, float32 ().

        `kept` uint8 (b, 256) marks the activations that dropout keeps, which are doubled; None drops nothing.
        """
        hidden, factor = self._hidden(batch), 1.0
        if kept is not None:
            hidden, factor = hidden.mul_(kept).mul_(2.0), 2.0
        loss, slope = _loss(self._output(hidden), batch)
        _set_gradients(self.parameters["3.weight"], self.parameters["3.bias"], slope, [hidden])
        slope = slope @ self.parameters["3.weight"]
        slope = torch.ops.aten.threshold_backward(slope, hidden, 0.0).mul_(factor)  # neither dropped nor below zero
        _set_gradients(self.parameters["0.weight"], self.parameters["0.bias"], slope, _inputs(self, batch))
        return loss

    def _hidden(self, batch: Batch) -> torch.Tensor:
        return _apply(self.parameters["0.weight"], self.parameters["0.bias"], _parts(self, batch)).relu_()

    def _output(self, hidden: torch.Tensor) -> torch.Tensor:
        return _apply(self.parameters["3.weight"], self.parameters["3.bias"], [hidden])


Net = LinearNet | MlpNet


def new_net(recipe: Recipe, widths: Mapping[str, int], tags: int) -> Net:
    """Return an untrained net of the recipe's kind; its seed decides the initial weights.

    `widths` are the numbers of features of the recipe's modalities, in order.
    """
    chance = torch.Generator().manual_seed(recipe.seed)
    kind = MlpNet if recipe.head == "mlp" else LinearNet
    return kind(recipe, widths, tags, chance)


def _parts(net: Net, batch: Batch) -> list[torch.Tensor]:
    return [batch.parts[modality] for modality in net.modalities]


def _inputs(net: Net, batch: Batch) -> list[torch.Tensor]:
    """Return the parts as the gradient takes them: the wide ones as bfloat16 where the recipe says so."""
    return [
        batch.rounded(modality) if net.rounds and batch.parts[modality].shape[1] >= _NARROW else batch.parts[modality]
        for modality in net.modalities
    ]


def _new_layer(prefix: str, inputs: int, outputs: int, chance: torch.Generator) -> dict[str, torch.Tensor]:
    bound = inputs**-0.5  # what torch.nn.Linear draws from
    weight = torch.empty(outputs, inputs).uniform_(-bound, bound, generator=chance)
    bias = torch.empty(outputs).uniform_(-bound, bound, generator=chance)
    return {f"{prefix}weight": weight, f"{prefix}bias": bias}


def _apply(weight: torch.Tensor, bias: torch.Tensor, parts: Sequence[torch.Tensor]) -> torch.Tensor:
    out, start = None, 0
    for part in parts:
        columns = weight[:, start : start + part.shape[1]]
        out = torch.addmm(bias, part, columns.T) if out is None else out.addmm_(part, columns.T)
        start += part.shape[1]
    assert out is not None, "a head has at least one modality"
    return out


def _loss(logits: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean binary cross-entropy, by weight, and its slope by the logits, weight (sigmoid - label) / count.

    The count is that of all labels, whatever they weigh: where nothing is decided, decisions elsewhere change nothing.
    """
    slope = torch.sigmoid(logits).sub_(batch.labels).div_(logits.numel())
    if batch.weights is not None:
        slope.mul_(batch.weights)
    return binary_cross_entropy_with_logits(logits, batch.labels, weight=batch.weights), slope


_NARROW = 16
"""So few columns are multiplied several times faster the other way round."""


def _set_gradients(
    weight: torch.Tensor, bias: torch.Tensor, slope: torch.Tensor, inputs: Sequence[torch.Tensor]
) -> None:
    """Set both gradients from the loss's slope by the layer's output. Products of bfloat16 are summed in float32."""
    gradient, start = torch.empty_like(weight), 0
    for part in inputs:
        columns = gradient[:, start : start + part.shape[1]]
        if part.dtype == torch.bfloat16:
            columns.copy_(slope.to(torch.bfloat16).T @ part)
        elif part.shape[1] < _NARROW:
            columns.copy_((part.T @ slope).T)
        else:
            torch.mm(slope.T, part, out=columns)
        start += part.shape[1]
    weight.grad, bias.grad = gradient, slope.sum(dim=0)
