"""How good decisions are against what contributors said; the same numbers as scikit-learn's, from NumPy alone.

`truth` and `chosen` are bool (n, t): photos by tags.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CALIBRATION_BINS",
    "Calibration",
    "TagScores",
    "average_precision",
    "calibration",
    "f1_by_tag",
    "macro_f1",
    "micro_f1",
    "score_tags",
    "subset_accuracy",
]

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


@dataclass(frozen=True, slots=True)
class TagScores:
    """How each tag was decided, arrays (t,): NaN where a number is not defined.

    `support` int64: photos that carry the tag; `chosen` int64: photos it was chosen for; `precision` is NaN where it
    was never chosen, `recall` and `average_precision` where nobody gave it, `f1` where both.
    """

    support: NDArray[np.int64]
    chosen: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    average_precision: NDArray[np.float64]


def score_tags(truth: Labels, chosen: Labels, scores: NDArray[np.float32]) -> TagScores:
    """Return how each tag was decided; `scores` float32 (n, t) are what `chosen` was decided from."""
    right = (truth & chosen).sum(axis=0, dtype=np.float64)
    support, picked = truth.sum(axis=0, dtype=np.int64), chosen.sum(axis=0, dtype=np.int64)
    return TagScores(
        support=support,
        chosen=picked,
        precision=_ratio(right, picked),
        recall=_ratio(right, support),
        f1=f1_by_tag(truth, chosen),
        average_precision=np.array([average_precision(truth[:, tag], scores[:, tag]) for tag in range(truth.shape[1])]),
    )


def _ratio(part: NDArray[Any], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """Return the mean precision at each photo that carries the tag, (n,) each, by falling score; NaN without any.

    Equal scores count together, as in scikit-learn's average_precision_score: sum of (R_k - R_{k-1}) P_k.
    """
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # the last of each run of equal scores
    right = np.cumsum(truth[order])[ends]
    precision = right / (ends + 1)
    return float((np.diff(right, prepend=0) * precision).sum() / right[-1])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Decisions (photo, tag) in bins of equal width by score: `count`, `score` (mean) and `share` that are right.

    `score` and `share` are NaN in empty bins. `error` is the expected calibration error (Naeini et al., AAAI 2015):
    the mean of |share - score| over the decisions.
    """

    count: NDArray[np.int64]
    score: NDArray[np.float64]
    share: NDArray[np.float64]
    error: float


CALIBRATION_BINS = 15


def calibration(truth: Labels, scores: NDArray[np.float32], bins: int = CALIBRATION_BINS) -> Calibration:
    """Return how often scores are right, over all photos and tags, (n, t) each; the error of no photos is NaN."""
    place = np.minimum((scores.ravel() * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    score = _ratio(np.bincount(place, weights=scores.ravel(), minlength=bins), count)
    share = _ratio(np.bincount(place, weights=truth.ravel(), minlength=bins), count)
    known = count > 0
    gaps = np.abs(share[known] - score[known]) * count[known]
    return Calibration(count, score, share, float(gaps.sum() / count.sum()) if known.any() else float("nan"))
