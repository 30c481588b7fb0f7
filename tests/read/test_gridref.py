"""Grid references: what is one, where it lies, and what is refused."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from geotag_batch.read.gridref import Square, parse_grid_reference, wgs84_centres

GB_LETTERS = {(5, 1): "TQ", (4, 1): "SU", (0, 0): "SV", (4, 12): "HP", (6, 12): "JM", (5, 5): "OV", (2, 9): "NC"}
IE_LETTERS = {(3, 3): "J", (0, 1): "Q", (0, 0): "V", (4, 4): "E", (3, 2): "O"}
"""Hundreds of kilometres east and north, from the published maps of both grids."""


@pytest.mark.parametrize(
    ("text", "square"),
    [
        ("TQ3080", Square("GB", 530_000, 180_000, 1_000)),
        ("TQ 30 80", Square("GB", 530_000, 180_000, 1_000)),
        ("tq3080", Square("GB", 530_000, 180_000, 1_000)),
        ("  Tq\t30  80\n", Square("GB", 530_000, 180_000, 1_000)),
        ("\u00a0TQ3080\u00a0", Square("GB", 530_000, 180_000, 1_000)),
        ("SU38", Square("GB", 430_000, 180_000, 10_000)),
        ("SU387148", Square("GB", 438_700, 114_800, 100)),
        ("SU38711480", Square("GB", 438_710, 114_800, 10)),
        ("SU3871412345", Square("GB", 438_714, 112_345, 1)),
        ("SU 38714 12345", Square("GB", 438_714, 112_345, 1)),
        ("SV8000", Square("GB", 80_000, 0, 1_000)),
        ("HP6018", Square("GB", 460_000, 1_218_000, 1_000)),
        ("OV0000", Square("GB", 500_000, 500_000, 1_000)),
        ("J3473", Square("IE", 334_000, 373_000, 1_000)),
        ("j 34 73", Square("IE", 334_000, 373_000, 1_000)),
        ("Q1234", Square("IE", 12_000, 134_000, 1_000)),
        ("V00", Square("IE", 0, 0, 10_000)),
    ],
)
def test_a_grid_reference_names_its_square(text: str, square: Square) -> None:
    assert parse_grid_reference(text) == square


@pytest.mark.parametrize(
    "text",
    [
        "SU38711",  # an odd number of figures
        "SU",  # a 100 km square alone
        "SU387141234567",  # 12 figures
        "SU387141 234567",
        "SI1234",
        "IS1234",
        "I1234",
        "ZZ0000",  # the letters go on where the grid has ended
        "AA0000",
        "RV0000",  # west of the false origin
        "XA0000",  # south of it
        "JN0000",  # east of 700 km
        "HA0000",  # north of 1300 km
        "ABC1234",
        "1234",
        "TQ 305 8",  # unequal halves: 305 8? 30 58?
        "TQ 3 0 8 0",
        "T Q3080",
        "TQ30-80",
        "",
        "   ",
        "-",
        "NULL",
        "None",
        "nan",
        "SU387148\0",
        "SU387148'--",
        "SU/../../x",
        "51.5,-0.1",
        "\uff33\uff35\uff13\uff18\uff17\uff11\uff14\uff18",  # full-width throughout
        "SU\uff13\uff18\uff17\uff11\uff14\uff18",  # full-width figures
        "SU\u0663\u0668\u0667\u0661\u0664\u0668",  # Arabic figures
        "N\u212a3080",  # the Kelvin sign, a K when case is ignored
        "SU" + "1" * 10_000,
        " " * 10_000 + "SU",
        "S" * 10_000,
    ],
)
def test_what_is_no_grid_reference_is_none(text: str) -> None:
    assert parse_grid_reference(text) is None


@given(st.text())
def test_no_text_at_all_raises(text: str) -> None:
    assert isinstance(parse_grid_reference(text), Square | None)


@given(st.from_regex(r"\s?[A-Za-z]{1,2}\s?[0-9]{1,6}\s?[0-9]{0,6}\s?", fullmatch=True))
def test_whatever_looks_like_a_reference_lies_on_its_grid_or_is_none(text: str) -> None:
    square = parse_grid_reference(text)
    if square is not None:
        width, height = (700_000, 1_300_000) if square.grid == "GB" else (500_000, 500_000)
        assert 0 <= square.easting <= width - square.size
        assert 0 <= square.northing <= height - square.size


@given(
    st.sampled_from([*GB_LETTERS.items(), *IE_LETTERS.items()]),
    st.integers(0, 99_999),
    st.integers(0, 99_999),
    st.integers(1, 5),
    st.sampled_from(["{l}{e}{n}", "{l} {e} {n}", " {l} {e}{n} "]),
    st.booleans(),
)
def test_a_reference_written_from_a_point_comes_back_as_that_point_floored(
    square: tuple[tuple[int, int], str], east: int, north: int, half: int, layout: str, lower: bool
) -> None:
    (column, row), letters = square
    text = layout.format(l=letters, e=f"{east:05d}"[:half], n=f"{north:05d}"[:half])
    size = 10 ** (5 - half)
    found = parse_grid_reference(text.lower() if lower else text)
    assert found == Square(
        "GB" if len(letters) == 2 else "IE",
        column * 100_000 + east // size * size,
        row * 100_000 + north // size * size,
        size,
    )


def test_the_golden_squares_lie_where_they_should(shared: Path) -> None:
    squares = json.loads((shared / "golden" / "locations.json").read_text())["squares"]
    references = [square["grid_reference"] for square in squares]
    expected = [[square["latitude"], square["longitude"]] for square in squares]
    np.testing.assert_allclose(wgs84_centres(references, square_km=True), expected, atol=1e-4, rtol=0)
    for reference, square in zip(references, squares, strict=True):
        found = parse_grid_reference(reference)
        assert found is not None
        assert found.grid == square["grid"]


@pytest.mark.parametrize(("grid", "epsg"), [("GB", 27700), ("IE", 29903)])
def test_centres_agree_with_the_registered_coordinate_systems(grid: str, epsg: int) -> None:
    letters = {"GB": ("SU", "TQ", "SK", "NN", "SH"), "IE": ("J", "O", "R", "H", "M")}[grid]
    references = [f"{name}{east}{north}" for name in letters for east in (15, 85) for north in (15, 85)]
    squares = [square for text in references if (square := parse_grid_reference(text))]
    longitude, latitude = Transformer.from_crs(epsg, 4326, always_xy=True).transform(
        [square.easting + 500 for square in squares], [square.northing + 500 for square in squares]
    )
    np.testing.assert_allclose(wgs84_centres(references), np.column_stack((latitude, longitude)), atol=1e-4, rtol=0)


def test_a_centre_is_that_of_the_reference_at_its_own_precision() -> None:
    hectad, kilometre, metre = wgs84_centres(["SU31", "SU3514", "SU3500014000"])
    # The centre of SU31 is the south-west corner of SU3515, half a kilometre west and north of SU3514's centre.
    assert math.isclose((hectad[0] - kilometre[0]) * 111_200, 500, abs_tol=15)
    assert math.isclose((hectad[1] - kilometre[1]) * 111_200 * math.cos(math.radians(51)), -500, abs_tol=15)
    assert math.isclose((kilometre[0] - metre[0]) * 111_200, 500, abs_tol=15)


def test_to_the_square_kilometre_a_longer_reference_is_cut_and_a_shorter_one_unknown() -> None:
    kilometre, cut, short = wgs84_centres(["SU3871", "SU3879971499", "SU37"], square_km=True)
    assert cut.tolist() == kilometre.tolist()
    assert np.isnan(short).all()


def test_only_the_grids_asked_for_are_located() -> None:
    references = ["J3372", None, "TQ0775", "nowhere"]
    assert np.isnan(wgs84_centres(references, grids=("GB",))).all(axis=1).tolist() == [True, True, False, True]
    assert np.isnan(wgs84_centres(references, grids=("IE",))).all(axis=1).tolist() == [False, True, True, True]
    assert wgs84_centres(references, grids=()).shape == (4, 2)


def test_no_references_give_no_centres() -> None:
    assert wgs84_centres([]).shape == (0, 2)


def test_pyproj_is_not_imported_before_a_reference_is_located() -> None:
    code = (
        "import sys; from geotag_batch.read import gridref; gridref.wgs84_centres([None, 'nowhere']);"
        "assert 'pyproj' not in sys.modules; gridref.wgs84_centres(['TQ3080']); assert 'pyproj' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_references_at_once_are_read_as_each_alone() -> None:
    references = ["TQ3080", "TQ38", "SU387148", "SU3871414812", "J3731", "H4", "ZZ0000", "TQ308", None, "", "I1234"]
    for square_km in (False, True):
        together = wgs84_centres(references, square_km=square_km)
        slowly = [None if text is None else text.lower() for text in references]  # not the usual writing: one by one
        np.testing.assert_array_equal(together, wgs84_centres(slowly, square_km=square_km))
        alone = [wgs84_centres([text], square_km=square_km)[0] for text in references]
        np.testing.assert_array_equal(together, alone)
    assert np.isfinite(wgs84_centres(references)).all(axis=1).tolist() == [True] * 5 + [False] * 6
