"""The decision policy: scores to tags."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch import fingerprint

__all__ = ["Decisions", "Policy"]


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
    """A tag is given if its score is over `threshold`; with `at_least_one`, else the one with the highest score.

    The defaults are the paper's. Raises ValueError for a threshold that no score could be over, or all would.
    """

    threshold: float = 0.5
    at_least_one: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no threshold for scores between 0 and 1."""
        if not 0 <= self.threshold < 1:
            raise ValueError(f"a threshold is at least 0 and below 1, not {self.threshold}")

    @property
    def policy_id(self) -> str:
        """Return the fingerprint that is written beside every decision."""
        return fingerprint.policy_id(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the policy as it stands in head.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, policy: Mapping[str, Any]) -> "Policy":
        """Return the policy that `to_json` wrote. Raises KeyError, TypeError or ValueError if it is none."""
        if not isinstance(policy["at_least_one"], bool):
            raise TypeError(f"at_least_one is true or false, not {policy['at_least_one']!r}")
        return cls(float(policy["threshold"]), policy["at_least_one"])

    def decide(self, scores: NDArray[np.float32]) -> Decisions:
        """Return the decisions for scores float32 (n, tags), each finite and from 0 to 1.

        Of equal highest scores the first tag counts.
        """
        chosen = scores > np.float32(self.threshold)
        top = scores.argmax(axis=1)
        forced: NDArray[np.bool_] = np.logical_and(self.at_least_one, ~chosen.any(axis=1))
        chosen[forced, top[forced]] = True
        right = np.where(chosen, scores, 1 - scores.astype(np.float64))
        return Decisions(chosen, forced, top.astype(np.int64), right.prod(axis=1).astype(np.float32))
