"""Whether one head is better than another: a paired bootstrap over photos (Efron and Tibshirani 1993, chapter 13).

Every resample draws as many photos as there are, with replacement, the same ones for all heads; what differs between
heads on the same photos is then not blurred by which photos they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Resampled", "resample"]

_AT_ONCE = 50
_OUTER = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    @property
    def answer(self) -> str:
        """Return what a difference tells: better, worse, or nothing."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference that these photos can tell"


@dataclass(frozen=True, slots=True)
class Resampled:
    """One measure of h heads: `value` (h,) on the photos themselves, `values` (resamples, h)."""

    value: NDArray[np.float64]
    values: NDArray[np.float64]

    def interval(self, head: int) -> Interval:
        """Return a head's measure."""
        return _interval(float(self.value[head]), self.values[:, head])

    def difference(self, head: int, base: int) -> Interval:
        """Return by how much `head` exceeds `base`."""
        return _interval(float(self.value[head] - self.value[base]), self.values[:, head] - self.values[:, base])


def resample(
    truth: NDArray[np.bool_], chosen: Sequence[NDArray[np.bool_]], resamples: int, seed: int
) -> dict[str, Resampled]:
    """Return subset_accuracy and macro_f1 of heads whose decisions on the photos of `truth` (n, t) are `chosen`.

    The same seed gives the same resamples. Needs about 2 kB a photo.
    """
    chance, n = np.random.default_rng(seed), len(truth)
    facts = np.concatenate([_facts(truth, each) for each in chosen], axis=1)
    rows = [facts.sum(axis=0, dtype=np.float64)[None]]
    for start in range(0, resamples, _AT_ONCE):
        counts = np.empty((min(_AT_ONCE, resamples - start), n), np.float32)
        for row in counts:
            row[:] = np.bincount(chance.integers(0, n, n), minlength=n)
        rows.append((counts @ facts).astype(np.float64))
    sums = np.concatenate(rows).reshape(resamples + 1, len(chosen), -1)
    tags = truth.shape[1]
    right, sizes = sums[..., :tags], sums[..., tags : 2 * tags]
    f1 = np.divide(2 * right, sizes, out=np.full(right.shape, np.nan), where=sizes > 0)
    with np.errstate(invalid="ignore"):
        macro = np.nansum(f1, axis=-1) / np.maximum(np.isfinite(f1).sum(axis=-1), 1)
    accuracy = sums[..., -1] / n
    return {"subset_accuracy": Resampled(accuracy[0], accuracy[1:]), "macro_f1": Resampled(macro[0], macro[1:])}


def _facts(truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return what adds up over photos, float32 (n, 2 t + 1): tags right, tags given and chosen, whole set right."""
    sizes = truth.astype(np.float32) + chosen
    return np.concatenate([truth & chosen, sizes, (truth == chosen).all(axis=1)[:, None]], axis=1, dtype=np.float32)


def _interval(value: float, values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, _OUTER)
    return Interval(value, float(low), float(high))
