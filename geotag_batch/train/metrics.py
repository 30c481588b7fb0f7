"""How good decisions are against what contributors said; the same numbers as scikit-learn's, from NumPy alone.

`truth` and `chosen` are bool (n, t): photos by tags.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["f1_by_tag", "macro_f1", "micro_f1", "subset_accuracy"]

Labels = NDArray[np.bool_]


def subset_accuracy(truth: Labels, chosen: Labels) -> float:
    """Return the share of photos whose whole set of tags is right (scikit-learn's accuracy_score); 0 for no photos."""
    return float((truth == chosen).all(axis=1).mean()) if len(truth) else 0.0


def f1_by_tag(truth: Labels, chosen: Labels) -> NDArray[np.float64]:
    """Return F1 of each tag, float64 (t,); NaN where nobody gave the tag and it was never chosen."""
    right = (truth & chosen).sum(axis=0, dtype=np.float64)
    both = truth.sum(axis=0, dtype=np.float64) + chosen.sum(axis=0, dtype=np.float64)
    scores = np.full(both.shape, np.nan)
    np.divide(2 * right, both, out=scores, where=both > 0)
    return scores


def macro_f1(truth: Labels, chosen: Labels) -> float:
    """Return the mean F1 over the tags that were given or chosen at least once; 0 if there are none.

    With all 49 tags in the validation part, as in the paper, it is scikit-learn's f1_score(average="macro"); a small
    archive is not marked down for tags that it does not have.
    """
    scores = f1_by_tag(truth, chosen)
    known = scores[np.isfinite(scores)]
    return float(known.mean()) if len(known) else 0.0


def micro_f1(truth: Labels, chosen: Labels) -> float:
    """Return F1 over all decisions together (scikit-learn's f1_score(average="micro")); 0 if nothing was chosen."""
    both = int(truth.sum()) + int(chosen.sum())
    return 2 * int((truth & chosen).sum()) / both if both else 0.0
