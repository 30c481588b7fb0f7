"""Temperature scaling (Guo et al., ICML 2017): logits divided by one number, so that scores tell their odds."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_temperature"]

_STEPS = 60


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    """Return the temperature T > 0 that minimises the mean binary cross-entropy of `logits` / T, (n, t) each.

    The loss is convex in 1 / T: its slope, the mean of z (sigmoid(z / T) - y), is brought to zero by bisection on
    log T. Returns 1 where no temperature from 0.01 to 100 is best (labels that the logits tell without fail, or not).
    """
    z, y = logits.ravel(), labels.ravel().astype(np.float64)

    def slope(log_temperature: float) -> float:
        scaled = np.clip(z * np.exp(-log_temperature), -700, 700)
        return float((z * (1 / (1 + np.exp(-scaled)) - y)).mean())

    low, high = np.log(0.01), np.log(100.0)  # at a small T the scores are too sure: the slope by 1 / T is positive
    if not slope(low) > 0 > slope(high):
        return 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))
