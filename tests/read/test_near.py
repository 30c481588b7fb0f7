"""Which photos lie near a place."""

from typing import Any

import pytest

from geotag_batch.config import Config
from geotag_batch.errors import UsageError
from geotag_batch.read.near import find_near, parse_place
from geotag_batch.workspace import Workspace
from tests.builders import write_catalogue

PHOTOS: list[dict[str, Any]] = [
    {"gridimage_id": 1, "grid_reference": "TQ3080"},
    {"gridimage_id": 2, "grid_reference": "TQ 345 805"},  # 4 km to the east, to the 100 m
    {"gridimage_id": 3, "grid_reference": "tq3085"},  # 5 km to the north
    {"gridimage_id": 4, "grid_reference": "SU3814"},
    {"gridimage_id": 5, "grid_reference": None, "wgs84_lat": 51.507, "wgs84_long": -0.128},  # Trafalgar Square
    {"gridimage_id": 6, "grid_reference": "nonsense", "wgs84_lat": None, "wgs84_long": None},
    {"gridimage_id": 9, "grid_reference": None, "wgs84_lat": 51.507, "wgs84_long": 359.872},  # not on the Earth
    {"gridimage_id": 10, "grid_reference": None, "wgs84_lat": float("nan"), "wgs84_long": float("nan")},
    {"gridimage_id": 7, "grid_reference": "J3473"},  # Belfast
    {"gridimage_id": 8, "grid_reference": "J3573"},
]


def test_distances_are_those_on_the_grid_within_half_a_per_cent(workspace: Workspace) -> None:
    write_catalogue(workspace, PHOTOS)
    ids, km = find_near(workspace, Config(), parse_place("TQ3080", 6))
    assert ids.tolist() == [1, 2, 3, 5]
    assert km.tolist()[:3] == pytest.approx([0, 4.05, 5], rel=0.005, abs=1e-6)
    assert km[3] < 1
    assert find_near(workspace, Config(), parse_place("tq 30 80", 4.9))[0].tolist() == [1, 2, 5]


def test_a_place_on_the_irish_grid_is_found_too(workspace: Workspace) -> None:
    write_catalogue(workspace, PHOTOS)
    ids, km = find_near(workspace, Config(), parse_place("J3473", 1.5))
    assert ids.tolist() == [7, 8]
    assert km.tolist() == pytest.approx([0, 1], rel=0.005, abs=1e-6)


@pytest.mark.parametrize("reference", ["", "TQ308", "II3080", "London", "TQ30 8"])
def test_what_is_no_grid_reference_is_said_with_a_hint(reference: str) -> None:
    with pytest.raises(UsageError, match="is no grid reference") as caught:
        parse_place(reference, 5)
    assert "TQ3080" in str(caught.value.hint)


@pytest.mark.parametrize("km", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_distance_is_refused(km: float) -> None:
    with pytest.raises(UsageError, match="is no distance"):
        parse_place("TQ3080", km)
