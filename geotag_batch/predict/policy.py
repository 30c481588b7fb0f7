"""The decision policy: scores to tags. Evaluation, the Kaggle file and backfill all decide here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch import fingerprint
from geotag_batch.taxonomy import tag_index, tag_names

__all__ = ["PLAIN", "Decisions", "Policy"]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a policy makes of n photos' scores; all arrays have n rows.

    `chosen` bool (n, 49); `forced` bool: only the at-least-one rule gave a tag; `top` int64: position of the highest
    score; `set_probability` float32: the chance that exactly this set is right, were tags independent.
    """

    chosen: NDArray[np.bool_]
    forced: NDArray[np.bool_]
    top: NDArray[np.int64]
    set_probability: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Policy:
    """A tag is given if its score is over its threshold; with `at_least_one`, else the one with the highest score.

    `threshold` is one number for all tags, or 49 of them in ascending tag_id order. The defaults are the paper's.
    A tag's threshold may be 1: the tag is then given by the at-least-one rule alone. Raises ValueError for a single
    threshold that no score could be over, for one outside 0 to 1, and for another number of them.
    """

    threshold: float | tuple[float, ...] = 0.5
    at_least_one: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no threshold for scores between 0 and 1."""
        if not isinstance(self.threshold, tuple):
            if not 0 <= self.threshold < 1:
                raise ValueError(f"a threshold is at least 0 and below 1, not {self.threshold}")
        elif len(self.threshold) != len(tag_names()):
            raise ValueError(f"there are {len(tag_names())} tags, but {len(self.threshold)} thresholds")
        elif not all(0 <= threshold <= 1 for threshold in self.threshold):
            raise ValueError(f"the threshold of a tag is from 0 to 1, not as in {self.threshold}")

    @property
    def policy_id(self) -> str:
        """Return the fingerprint that is written beside every decision."""
        return fingerprint.policy_id(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the policy as it stands in head.json; thresholds of their own by tag."""
        threshold: float | dict[str, float]
        if isinstance(self.threshold, tuple):
            threshold = dict(zip(tag_names(), self.threshold, strict=True))
        else:
            threshold = self.threshold
        return {"threshold": threshold, "at_least_one": self.at_least_one}

    @classmethod
    def from_json(cls, policy: Mapping[str, Any]) -> "Policy":
        """Return the policy that `to_json` wrote. Raises KeyError, TypeError or ValueError if it is none."""
        if not isinstance(policy["at_least_one"], bool):
            raise TypeError(f"at_least_one is true or false, not {policy['at_least_one']!r}")
        threshold = policy["threshold"]
        if isinstance(threshold, Mapping):
            if threshold.keys() != tag_index().keys():
                strange = sorted(threshold.keys() ^ tag_index().keys())[0]
                raise ValueError(f"there must be a threshold for each tag, and for nothing else: see {strange!r}")
            return cls(tuple(float(threshold[tag]) for tag in tag_names()), policy["at_least_one"])
        return cls(float(threshold), policy["at_least_one"])

    def describe(self) -> str:
        """Return the policy in a few words."""
        if isinstance(self.threshold, tuple):
            over = f"thresholds of their own from {min(self.threshold):g} to {max(self.threshold):g}"
        else:
            over = f"{self.threshold:g}"
        return f"tags over {over}, {'at least one' if self.at_least_one else 'or none'}"

    def choose(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return the tags given, bool (n, tags), for scores float32 (n, tags), each finite and from 0 to 1.

        Of equal highest scores the first tag counts.
        """
        chosen = np.zeros(scores.shape, np.bool_)
        np.greater(scores, np.asarray(self.threshold, np.float32), out=chosen)
        if self.at_least_one:
            bare = np.flatnonzero(~chosen.any(axis=1))
            chosen[bare, scores[bare].argmax(axis=1)] = True
        return chosen

    def decide(self, scores: NDArray[np.float32]) -> Decisions:
        """Return the decisions for scores float32 (n, tags), each finite and from 0 to 1; `choose`, with reasons."""
        chosen = self.choose(scores)
        bare = ~np.greater(scores, np.asarray(self.threshold, np.float32)).any(axis=1)
        forced: NDArray[np.bool_] = np.logical_and(self.at_least_one, bare)
        right = np.where(chosen, scores, 1 - scores.astype(np.float64))
        return Decisions(chosen, forced, scores.argmax(axis=1).astype(np.int64), right.prod(axis=1).astype(np.float32))


PLAIN = Policy(0.5, at_least_one=False)
"""What the paper's validation numbers were decided with: a photo without a score over 0.5 gets no tag."""
