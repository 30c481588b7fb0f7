"""Why a head scored as it did: how much image, title and location each added to a tag's logit.

A linear head's logit is a sum, and the shares are its terms: what the image's columns of the weights make of the
image's features, and so on, and the bias. They are computed from the inputs as rounded for scoring, so that they add
up to the logit that the score came from, not to one that is nearly it.

An MLP's logit is no such sum. Its shares are the Shapley values of a game of up to three players, the modalities: what
adding one changes, on average over all orders of adding them (Lundberg & Lee, 2017, with every order, none sampled).
One that has not been added is zeros, for location the very value of an unknown one. They add up to the logit as well,
`bias` being the logit of all zeros, and for a linear head they would be the same as its terms. But an MLP was never
taught what an image of zeros is, so they say what this head computes, not what another photo would get; `exact` tells
the two kinds apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.predict.bundle import Scorer
from geotag_batch.predict.features import MODALITIES, feature_width, select
from geotag_batch.predict.head import Head

__all__ = ["Contributions", "explain"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """Shares of n photos' logits; `image`, `title`, `location`, `bias` and `logits` are float64 (n, 49).

    The first four add up to `logits`, whose sigmoids are the scores; one that the head does not take is 0. `exact`
    bool (n,) marks the photos of a linear head. `head_ids` (n) names the head of each: of a bundle, the member. A
    photo whose features are not finite has NaN everywhere.
    """

    image: Array
    title: Array
    location: Array
    bias: Array
    logits: Array
    exact: NDArray[np.bool_]
    head_ids: tuple[str, ...]

    def of(self, modality: str) -> Array:
        """Return the shares (n, 49) of one of MODALITIES. Raises KeyError for anything else."""
        return {"image": self.image, "title": self.title, "location": self.location}[modality]


def explain(
    scorer: Scorer,
    used: NDArray[np.bool_],
    image: NDArray[Any] | None,
    title: NDArray[Any] | None,
    locations: Array | None,
) -> Contributions:
    """Return the contributions of n photos, ascending tag_id, from what their predictions were made of.

    `used` bool (n, 3) is has_image, has_title and has_location of the predictions, by which a bundle's member is found;
    `image` and `title` are the embeddings as stored, (n, dim); `locations` (n, 2) latitude and longitude in degrees,
    NaN where unknown, as the predictions have them. What no head takes may be None. Raises ValueError if something
    that a photo's head takes is None, or of another length.
    """
    count, tags = len(used), len(scorer.info.tags)
    parts = np.zeros((len(MODALITIES) + 2, count, tags))  # and bias, and logits
    member = scorer.choose(used)
    for place, head in enumerate(scorer.members):
        rows = np.flatnonzero(member == place)
        if len(rows):
            given = [None if part is None else part[rows] for part in (image, title, locations)]
            parts[:, rows] = _explain(head, *given)
    exact = np.array([head.info.type == "linear" for head in scorer.members])[member]
    head_ids = tuple(scorer.members[place].info.head_id for place in member)
    return Contributions(parts[0], parts[1], parts[2], parts[3], parts[4], exact, head_ids)


def _explain(
    head: Head, image: NDArray[Any] | None, title: NDArray[Any] | None, locations: Array | None
) -> NDArray[np.float64]:
    """Return image, title, location, bias and logits (5, n, 49) of one head."""
    info = head.info
    location = None if info.location is None or locations is None else info.location.scale(locations)
    inputs = np.concatenate(select(info.modalities, image, title, location), axis=1, dtype=np.float64)
    if inputs.shape[1] != info.width:
        raise ValueError(f"features are {inputs.shape}, should be (n, {info.width})")
    taken = [place for place, name in enumerate(MODALITIES) if name in info.modalities]
    finite = np.isfinite(inputs).all(axis=1)
    inputs[~finite] = 0
    terms, bias = head.layers[0].split(inputs, list(_columns(info.modalities, info.dim)))
    found = np.zeros((len(MODALITIES) + 2, len(inputs), len(info.tags)))
    if len(head.layers) == 1:
        found[taken], found[-2] = terms, bias
        found[-1] = sum(terms) + bias
    else:
        found[taken], found[-2], found[-1] = _shapley(head, terms, bias)
    found[:, ~finite] = np.nan
    return found


def _columns(modalities: Sequence[str], dim: int) -> Iterator[slice]:
    """Yield the columns of each modality that the head takes, in the order of MODALITIES."""
    start = 0
    for name in MODALITIES:
        if name in modalities:
            stop = start + feature_width([name], dim)
            yield slice(start, stop)
            start = stop


def _shapley(head: Head, terms: Sequence[Array], bias: Array) -> tuple[Array, Array, Array]:
    """Return shares (modalities, n, 49), the logits of nothing and of everything, from the first layer's terms.

    Each of the 2^3 sets goes through the second layer once. A player's weight for a set of s of the other m - 1 is
    s! (m - s - 1)! / m!, the share of the orders in which exactly these come before it.
    """
    players = range(len(terms))
    values: dict[frozenset[int], Array] = {}
    for size in range(len(terms) + 1):
        for chosen in combinations(players, size):
            hidden = sum((terms[player] for player in chosen), np.zeros_like(terms[0])) + bias
            values[frozenset(chosen)] = head.layers[1](np.maximum(hidden, 0))
    shares = np.zeros((len(terms), *values[frozenset()].shape))
    for player in players:
        for others, value in values.items():
            if player not in others:
                weight = factorial(len(others)) * factorial(len(terms) - len(others) - 1) / factorial(len(terms))
                shares[player] += weight * (values[others | {player}] - value)
    return shares, values[frozenset()], values[frozenset(players)]
