"""British (EPSG:27700) and Irish (EPSG:29903) grid references to squares, and to WGS84 centres."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    found = _parse_all(references)
    centres = np.full((len(references), 2), np.nan)
    for grid in ("GB", "IE"):
        rows = np.flatnonzero(found.size > 0) if grid in grids else np.empty(0, np.int64)
        rows = rows[(found.british[rows] == (grid == "GB")) & ~(square_km & (found.size[rows] > 1000))]
        if len(rows):
            size = np.full(len(rows), 1000) if square_km else found.size[rows]
            eastings, northings = (each[rows] // size * size + size / 2 for each in (found.easting, found.northing))
            longitude, latitude = _to_wgs84(grid).transform(eastings, northings)
            centres[rows] = np.column_stack((latitude, longitude))
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


@dataclass(frozen=True, slots=True)
class _Squares:
    """n squares, each an int64 (n,) but `british`, bool (n,); size 0 marks a text that names none."""

    british: NDArray[np.bool_]
    easting: NDArray[np.int64]
    northing: NDArray[np.int64]
    size: NDArray[np.int64]


def _parse_all(references: Sequence[str | None]) -> _Squares:
    """Parse many references; the usual writing, capitals and figures alone, goes by columns, all else one by one."""
    count = len(references)
    squares = _Squares(np.zeros(count, np.bool_), *(np.zeros(count, np.int64) for _ in range(3)))
    texts = pa.array(references, pa.string())
    parts = pc.extract_regex(texts, r"^(?P<letters>[A-Z]{1,2})(?P<figures>(?:[0-9]{2}){1,5})$")
    letters, figures = parts.field("letters"), parts.field("figures")
    usual = parts.is_valid().to_numpy(zero_copy_only=False)
    names = letters.filter(parts.is_valid()).dictionary_encode()
    halves = pc.divide(pc.utf8_length(figures), 2).fill_null(0).to_numpy()
    corners = np.array([_corner(name) or (-1, -1) for name in names.dictionary.to_pylist()], np.int64).reshape(-1, 2)
    corner = np.full((count, 2), -1, np.int64)
    corner[usual] = corners[names.indices.to_numpy()]
    squares.british[:] = pc.equal(pc.utf8_length(letters), 2).fill_null(False).to_numpy(zero_copy_only=False)
    for half in np.unique(halves[usual]).tolist():
        rows = np.flatnonzero(usual & (halves == half) & (corner[:, 0] >= 0))
        taken = figures.take(pa.array(rows))
        squares.size[rows] = size = 10 ** (5 - half)
        for axis, (target, start) in enumerate(((squares.easting, 0), (squares.northing, half))):
            digits = pc.utf8_slice_codeunits(taken, start, start + half).cast(pa.int64()).to_numpy()
            target[rows] = corner[rows, axis] + digits * size
    for row in np.flatnonzero(~usual).tolist():
        square = parse_grid_reference(references[row] or "")
        if square is not None:
            squares.british[row] = square.grid == "GB"
            squares.easting[row], squares.northing[row], squares.size[row] = (
                square.easting,
                square.northing,
                square.size,
            )
    return squares


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
