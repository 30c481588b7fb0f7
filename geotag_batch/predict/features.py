"""Fusion: embeddings and location to the features of a head, `[image | title | location]`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_RULE", "MODALITIES", "PUBLISHED_RULE", "LocationRule", "feature_width", "fuse", "select"]

MODALITIES = ("image", "title", "location")
"""In the order of the features; a head takes some of them."""


@dataclass(frozen=True, slots=True)
class LocationRule:
    """How a head was taught locations: which grids it knows, and how degrees are scaled.

    A location is the centre of the 1 km square of the photo's grid reference; with `wgs84_fallback`, where that is
    unknown, the catalogue's wgs84_lat and wgs84_long as they are.
    """

    grids: tuple[str, ...]
    wgs84_fallback: bool
    latitude: tuple[float, float] = (49.9, 61.9)  # the published model's bounds of Great Britain
    longitude: tuple[float, float] = (-8.6, 2.1)

    def scale(self, locations: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return features (n, 2) of latitude, longitude in degrees (n, 2); NaN is unknown.

        The bounds become 0 and 1, what lies beyond them goes on. Unknown is [0, 0] after scaling, as the
        published model has it.
        """
        low = np.array([self.latitude[0], self.longitude[0]])
        high = np.array([self.latitude[1], self.longitude[1]])
        scaled: NDArray[np.float64] = (np.asarray(locations, np.float64) - low) / (high - low)
        scaled[~np.isfinite(scaled).all(axis=1)] = 0
        return scaled.astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as it stands in head.json."""
        return {
            "grids": list(self.grids),
            "wgs84_fallback": self.wgs84_fallback,
            "latitude": list(self.latitude),
            "longitude": list(self.longitude),
        }

    @classmethod
    def from_json(cls, rule: Mapping[str, Any]) -> "LocationRule":
        """Return the rule that `to_json` wrote. Raises KeyError, TypeError or ValueError if it is none."""
        south, north = map(float, rule["latitude"])
        west, east = map(float, rule["longitude"])
        if not (south < north and west < east and isinstance(rule["wgs84_fallback"], bool)):
            raise ValueError(f"{rule} is no location rule")
        return cls(tuple(map(str, rule["grids"])), rule["wgs84_fallback"], (south, north), (west, east))


PUBLISHED_RULE = LocationRule(grids=("GB",), wgs84_fallback=False)
"""What the published heads were trained with: anything the British grid does not know was unknown."""

DEFAULT_RULE = LocationRule(grids=("GB", "IE"), wgs84_fallback=True)
"""What heads are trained with here."""


def feature_width(modalities: Sequence[str], dim: int) -> int:
    """Return the number of features of `modalities`, `dim` being the length of one embedding."""
    return sum(2 if modality == "location" else dim for modality in modalities)


def fuse(
    modalities: Sequence[str],
    image: NDArray[Any] | None,
    title: NDArray[Any] | None,
    location: NDArray[Any] | None,
) -> NDArray[np.float32]:
    """Return features float32 (n, d): what `select` returns, side by side. Raises as it does."""
    return np.concatenate(select(modalities, image, title, location), axis=1, dtype=np.float32)


def select(
    modalities: Sequence[str],
    image: NDArray[Any] | None,
    title: NDArray[Any] | None,
    location: NDArray[Any] | None,
) -> list[NDArray[Any]]:
    """Return the arrays of `modalities`, in the order of MODALITIES.

    `image` and `title` are embeddings (n, dim), float16 as stored or float32; `location` is scaled, (n, 2).
    Raises ValueError if one is missing or their lengths differ.
    """
    given = {"image": image, "title": title, "location": location}
    parts = []
    for modality in (name for name in MODALITIES if name in modalities):
        part = given[modality]
        if part is None:
            raise ValueError(f"the head needs {modality}, which is not there")
        parts.append(part)
    if len({len(part) for part in parts}) != 1:
        raise ValueError(f"features of {[len(part) for part in parts]} photos do not belong together")
    return parts
