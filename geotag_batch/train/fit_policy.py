"""Thresholds that reach a stated goal on labelled photos, for a head's decision policy."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geotag_batch.predict.policy import Policy
from geotag_batch.train.metrics import f1_by_tag, macro_f1, subset_accuracy

__all__ = ["GOALS", "Goal", "fit_policy", "reached"]

Goal = Literal["subset-accuracy", "macro-f1", "precision"]
GOALS: tuple[Goal, ...] = ("subset-accuracy", "macro-f1", "precision")

_STEPS = np.round(np.arange(0.02, 0.99, 0.02), 2)
_ROUNDS = 4
Scores = NDArray[np.float32]
Labels = NDArray[np.bool_]


def fit_policy(
    truth: Labels, scores: Scores, goal: Goal, *, by_tag: bool, at_least_one: bool, precision: float = 0.9
) -> Policy:
    """Return the policy that does best for `goal` on these photos, (n, 49) each; never worse there than plain 0.5.

    One threshold is tried in steps of 0.02, thresholds `by_tag` one tag after another, the others kept, until nothing
    gets better. For "precision" each threshold is the smallest at which at least that share of the photos over it
    carry the tag; a tag that never reaches it gets 1, and one threshold stands for all tags together.
    """
    if goal == "precision":
        threshold = _for_precision(truth, scores, precision, by_tag)
        return Policy(threshold, at_least_one)
    start = Policy(0.5, at_least_one)
    one = max(
        (Policy(float(step), at_least_one) for step in _STEPS), key=lambda each: reached(each, truth, scores, goal)
    )
    best = max(start, one, key=lambda each: reached(each, truth, scores, goal))
    return _by_tag(best, truth, scores, goal) if by_tag else best


def reached(policy: Policy, truth: Labels, scores: Scores, goal: Goal) -> float:
    """Return what `policy` reaches; for "precision" that of all decisions together, 1 if there is none."""
    chosen = policy.choose(scores)
    if goal == "subset-accuracy":
        return subset_accuracy(truth, chosen)
    if goal == "macro-f1":
        return macro_f1(truth, chosen)
    return float((truth & chosen).sum() / chosen.sum()) if chosen.any() else 1.0


def _by_tag(start: Policy, truth: Labels, scores: Scores, goal: Goal) -> Policy:
    """Improve one tag's threshold after another, from those of `start`, under the whole policy."""
    first = start.threshold
    thresholds = list(first) if isinstance(first, tuple) else [first] * truth.shape[1]
    best = reached(start, truth, scores, goal)
    for _ in range(_ROUNDS):
        before = best
        for tag in range(truth.shape[1]):
            for step in _candidates(truth[:, tag], scores[:, tag], goal):
                tried = [*thresholds[:tag], step, *thresholds[tag + 1 :]]
                now = reached(Policy(tuple(tried), start.at_least_one), truth, scores, goal)
                if now > best:
                    best, thresholds = now, tried
        if best <= before:
            break
    return Policy(tuple(thresholds), start.at_least_one)


def _candidates(truth: NDArray[np.bool_], scores: Scores, goal: Goal) -> list[float]:
    """Return thresholds worth trying for one tag: for macro F1 the one that is best for it alone, else some steps."""
    if goal != "macro-f1":
        return [float(step) for step in _STEPS[4::3]]
    if not truth.any():
        return [1.0]
    chosen = scores[:, None] > _STEPS.astype(np.float32)
    f1 = f1_by_tag(np.broadcast_to(truth[:, None], chosen.shape), chosen)
    return [float(_STEPS[int(np.nanargmax(f1))])]


def _for_precision(truth: Labels, scores: Scores, least: float, by_tag: bool) -> float | tuple[float, ...]:
    if by_tag:
        return tuple(_smallest(truth[:, tag], scores[:, tag], least, 1.0) for tag in range(truth.shape[1]))
    return _smallest(truth.ravel(), scores.ravel(), least, 0.99)


def _smallest(truth: NDArray[np.bool_], scores: Scores, least: float, otherwise: float) -> float:
    """Return the smallest threshold over which at least `least` of the photos carry the tag."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    good = np.flatnonzero(np.cumsum(truth[order])[ends] >= least * (ends + 1))
    if not len(good):
        return otherwise
    last = ends[good[-1]]
    if last + 1 == len(scores):
        return 0.0
    lowest, next_one = float(scores[order[last]]), float(scores[order[last + 1]])
    return float(np.float32((lowest + next_one) / 2)) if np.float32((lowest + next_one) / 2) < lowest else next_one
