import json
from pathlib import Path

import numpy as np
import pytest

from geotag_batch.predict.features import DEFAULT_RULE, PUBLISHED_RULE, LocationRule, feature_width, fuse
from geotag_batch.read.gridref import wgs84_centres


@pytest.mark.parametrize(
    ("rule", "key"),
    [(DEFAULT_RULE, "scaled"), (PUBLISHED_RULE, "scaled_for_published_heads")],
    ids=["ours", "published"],
)
def test_squares_become_the_published_values(rule: LocationRule, key: str, shared: Path) -> None:
    squares = json.loads((shared / "golden" / "locations.json").read_text(encoding="utf-8"))["squares"]
    centres = wgs84_centres([square["grid_reference"] for square in squares], grids=rule.grids, square_km=True)
    assert np.abs(rule.scale(centres) - [square[key] for square in squares]).max() < 2e-5  # 1e-4 degrees


def test_bounds_become_0_and_1_and_what_lies_beyond_goes_on() -> None:
    scaled = PUBLISHED_RULE.scale(np.array([[49.9, -8.6], [61.9, 2.1], [55.9, -3.25], [52.0, -10.27]]))
    assert scaled.dtype == np.float32
    assert scaled[:3] == pytest.approx(np.array([[0, 0], [1, 1], [0.5, 0.5]]))
    assert scaled[3, 1] < 0


@pytest.mark.parametrize("unknown", [(np.nan, np.nan), (52.0, np.nan), (np.nan, -2.0), (np.inf, 0.0)])
def test_an_unknown_location_is_zero_after_scaling(unknown: tuple[float, float]) -> None:
    assert DEFAULT_RULE.scale(np.array([unknown, (52.0, -2.0)]))[0].tolist() == [0.0, 0.0]


def test_a_location_rule_survives_its_json() -> None:
    for rule in (PUBLISHED_RULE, DEFAULT_RULE, LocationRule(("IE",), True, (51.0, 56.0), (-11.0, -5.0))):
        assert LocationRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule


def test_features_stand_in_the_order_of_the_published_model() -> None:
    image, title = np.full((2, 3), 1, np.float16), np.full((2, 3), 2, np.float16)
    location = np.full((2, 2), 3, np.float32)
    features = fuse(("image", "title", "location"), image, title, location)
    assert features.dtype == np.float32
    assert features.tolist() == [[1, 1, 1, 2, 2, 2, 3, 3]] * 2
    assert fuse(("image", "location"), image, title, location).tolist() == [[1, 1, 1, 3, 3]] * 2
    assert fuse(("title",), None, title, None).tolist() == [[2, 2, 2]] * 2


def test_float16_embeddings_are_widened_to_the_bit() -> None:
    stored = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float16)
    assert np.array_equal(fuse(("image",), stored, None, None), stored.astype(np.float64))


def test_a_missing_modality_is_an_error_and_not_zeros() -> None:
    with pytest.raises(ValueError, match="needs title"):
        fuse(("image", "title"), np.ones((2, 3)), None, None)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        fuse(("image", "title"), np.ones((2, 3)), np.ones((3, 3)), None)


def test_widths_are_those_of_the_published_heads() -> None:
    assert feature_width(("image", "title", "location"), 512) == 1026
    assert feature_width(("image", "title"), 512) == 1024
    assert feature_width(("location",), 512) == 2
