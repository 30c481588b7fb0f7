"""British (EPSG:27700) and Irish (EPSG:29903) grid references to squares, and to WGS84 centres."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "Square", "parse_grid_reference", "wgs84_centres"]

Grid = Literal["GB", "IE"]


@dataclass(frozen=True, slots=True)
class Square:
    """What a grid reference names: easting and northing of its south-west corner and its side, in metres."""

    grid: Grid
    easting: int
    northing: int
    size: int


# ASCII classes on purpose: \d, str.isdigit and IGNORECASE take full-width and Arabic figures and the Kelvin sign.
_REFERENCE = re.compile(r"\s*([A-Za-z]{1,2})\s*([0-9]{1,10})\s*([0-9]{0,5})\s*")

_LETTERS = "ABCDEFGHJKLMNOPQRSTUVWXYZ"
"""5 x 5 squares from north-west to south-east, row by row; neither grid has an I."""

_GB_WIDTH, _GB_HEIGHT = 700_000, 1_300_000
"""The National Grid ends there (OS, A Guide to Coordinate Systems in Great Britain, section 7); letters go on."""


def parse_grid_reference(text: str) -> Square | None:
    """Return the square that a reference of 2 to 10 figures names, or None for any text that is none.

    Two letters are the British grid, one the Irish. Lower case and white space around and between letters,
    eastings and northings are fine; figures split into unequal halves are not, because either reading may be meant.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    letters, first, second = match.groups()
    if second and len(second) != len(first):
        return None
    figures = first + second
    half = len(figures) // 2
    if len(figures) % 2:
        return None
    corner = _corner(letters.upper())
    if corner is None:
        return None
    size = 10 ** (5 - half)
    easting = corner[0] + int(figures[:half]) * size
    northing = corner[1] + int(figures[half:]) * size
    return Square("GB" if len(letters) == 2 else "IE", easting, northing, size)


def wgs84_centres(
    references: Sequence[str | None], *, grids: Collection[str] = ("GB", "IE"), square_km: bool = False
) -> NDArray[np.float64]:
    """Return latitude and longitude, float64 (n, 2) in degrees, of the centres of what `references` name.

    NaN where there is no reference, none that can be read, or one of a grid not in `grids`. With `square_km` each
    reference is cut to the 1 km square that holds it, and one of fewer than 4 figures is unknown.
    """
    squares = [None if text is None else parse_grid_reference(text) for text in references]
    centres = np.full((len(squares), 2), np.nan)
    for grid in ("GB", "IE"):
        wanted = [
            (position, *_centre(square, square_km))
            for position, square in enumerate(squares)
            if square and square.grid == grid and grid in grids and not (square_km and square.size > 1000)
        ]
        if wanted:
            positions, eastings, northings = (list(column) for column in zip(*wanted, strict=True))
            longitude, latitude = _to_wgs84(grid).transform(eastings, northings)
            centres[positions] = np.column_stack((latitude, longitude))
    return centres


@cache
def _corner(letters: str) -> tuple[int, int] | None:
    """Return easting and northing of a 100 km square, None if its letters are on neither grid."""
    if "I" in letters:
        return None
    row, column = divmod(_LETTERS.index(letters[-1]), 5)
    easting, northing = column * 100_000, (4 - row) * 100_000
    if len(letters) == 1:
        return easting, northing
    row, column = divmod(_LETTERS.index(letters[0]), 5)
    easting, northing = easting + (column - 2) * 500_000, northing + (3 - row) * 500_000  # S holds the false origin
    return (easting, northing) if 0 <= easting < _GB_WIDTH and 0 <= northing < _GB_HEIGHT else None


def _centre(square: Square, square_km: bool) -> tuple[float, float]:
    size = 1000 if square_km else square.size
    return square.easting // size * size + size / 2, square.northing // size * size + size / 2


_PROJECTION = {
    "GB": "+proj=tmerc +lat_0=49 +lon_0=-2 +k=0.9996012717 +x_0=400000 +y_0=-100000",  # EPSG:27700
    "IE": "+proj=tmerc +lat_0=53.5 +lon_0=-8 +k=1.000035 +x_0=200000 +y_0=250000",  # EPSG:29903
}
_ELLIPSOID = {"GB": "airy", "IE": "mod_airy"}
_DATUM_SHIFT = {
    "GB": "+x=446.448 +y=-125.157 +z=542.06 +rx=0.15 +ry=0.247 +rz=0.842 +s=-20.489",  # EPSG:1314, 2 m
    "IE": "+x=482.5 +y=-130.6 +z=564.6 +rx=-1.042 +ry=-0.214 +rz=-0.631 +s=8.15",  # EPSG:1641, 1 m
}


@cache
def _to_wgs84(grid: str) -> Any:  # noqa: ANN401  pyproj is imported when the first reference is located
    """Return the transformation to longitude and latitude, with its datum shift written out.

    Transformer.from_crs would take the best shift that the machine has (OSTN15, where its file is installed, or
    fetched with PROJ_NETWORK=ON), so that the same photo would lie elsewhere on another machine and count as moved.
    """
    from pyproj import Transformer  # noqa: PLC0415  0.1 s that a command without grid references need not wait

    ellipsoid = _ELLIPSOID[grid]
    return Transformer.from_pipeline(
        f"+proj=pipeline +step +inv {_PROJECTION[grid]} +ellps={ellipsoid}"
        f" +step +proj=push +v_3 +step +proj=cart +ellps={ellipsoid}"
        f" +step +proj=helmert {_DATUM_SHIFT[grid]} +convention=position_vector"
        " +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3"
        " +step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
