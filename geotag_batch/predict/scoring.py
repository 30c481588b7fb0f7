"""A head's arithmetic, in NumPy: features to scores, bit for bit the same whatever batch a row comes in.

BLAS adds in another order for another row of a matrix, another number of rows or threads, so that plain products
differ in their last bits. Here there are no last bits: inputs and weights are rounded to whole steps, so coarse that
every product and every partial sum is a whole number of steps below 2**53 and hence exact in float64, in any order.
The rounding is about that of float32, and depends on the row and the head alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layer", "logits", "make_layers", "score"]

_INPUT_BITS = 23
_WEIGHT_BITS = 29  # the two make 52: one bit is left for what rounding adds to the sum of the weights

_ROWS = 256
"""Rows that are scored together; a shorter rest is padded, for exp may treat the end of an array in another way."""


class Layer:
    """One linear layer: `inputs @ weight.T + bias`, exact but for the rounding of inputs and weights."""

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        """Take weight (outputs, inputs) and bias (outputs,)."""
        exact = weight.astype(np.float64)
        _, exponent = np.frexp(np.abs(exact).sum(axis=1, keepdims=True))
        step = np.ldexp(1.0, exponent - _WEIGHT_BITS)
        self._weight = np.ascontiguousarray((np.rint(exact / step) * step).T)
        self._bias = bias.astype(np.float64)

    def __call__(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, outputs) for inputs (n, inputs), which are rounded in place."""
        _round(inputs)
        outputs: NDArray[np.float64] = inputs @ self._weight
        outputs += self._bias
        return outputs

    def split(
        self, inputs: NDArray[np.float64], columns: Sequence[slice]
    ) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
        """Return what each of `columns` adds to the outputs, (n, outputs) each, and the bias (outputs,).

        Together they are what a call returns, but for the rounding of one float64 addition: the products are exact.
        `inputs` (n, inputs) are rounded in place.
        """
        _round(inputs)
        return [inputs[:, part] @ self._weight[part] for part in columns], self._bias


def _round(inputs: NDArray[np.float64]) -> None:
    """Round each row to whole steps, in place; how large a step is depends on the row's largest value."""
    _, exponent = np.frexp(np.maximum(inputs.max(axis=1, keepdims=True), -inputs.min(axis=1, keepdims=True)))
    # Adding a number whose last bit is one step rounds to whole steps; taking it away again is exact.
    shift = np.ldexp(1.5, exponent - _INPUT_BITS + 52)
    inputs += shift
    inputs -= shift


def make_layers(tensors: Mapping[str, NDArray[np.float32]]) -> tuple[Layer, ...]:
    """Return the layers of a head from its tensors: `weight`, `bias`, or those of layers `0` and `3` of an MLP."""
    if "weight" in tensors:
        return (Layer(tensors["weight"], tensors["bias"]),)
    return tuple(Layer(tensors[f"{place}.weight"], tensors[f"{place}.bias"]) for place in (0, 3))


def score(layers: Sequence[Layer], features: Sequence[NDArray[Any]], tags: int) -> NDArray[np.float32]:
    """Return scores float32 (n, tags): the sigmoid of the last layer, ReLU between.

    `features` are float16 or float32 (n, ...) arrays that stand side by side; they are never put together as a whole.
    A row with a value that is not finite gets NaN.
    """
    scores = np.empty((len(features[0]), tags), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # exp of a very low logit; rows that are not finite
        for rows, values, finite in _blocks(layers, features):
            scores[rows] = (1 / (1 + np.exp(-values)))[: len(finite)]
            scores[rows][~finite] = np.nan  # an infinite one would come out as a sure 0 or 1
    return scores


def logits(layers: Sequence[Layer], features: NDArray[np.float32], tags: int) -> NDArray[np.float64]:
    """Return the logits float64 (n, tags) whose sigmoids `score` returns; for features that are finite."""
    found = np.empty((len(features), tags), np.float64)
    for rows, values, finite in _blocks(layers, [features]):
        found[rows] = values[: len(finite)]
    return found


def _blocks(
    layers: Sequence[Layer], features: Sequence[NDArray[Any]]
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield rows, the last layer's values for them and what follows them, and which of the rows are finite."""
    count, width = len(features[0]), sum(part.shape[1] for part in features)
    block = np.zeros((_ROWS, width), np.float64)
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        column = 0
        for part in features:
            block[: rows.stop - start, column : column + part.shape[1]] = part[rows]
            column += part.shape[1]
        finite = np.isfinite(block[: rows.stop - start].sum(axis=1))  # finite float32s have a finite sum in float64
        values = layers[0](block)
        for layer in layers[1:]:
            values = layer(np.maximum(values, 0))
        yield rows, values, finite
