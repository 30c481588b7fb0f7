"""Which photos of the catalogue lie near a place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geotag_batch.catalogue import catalogue_files, catalogue_relation, steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import connect, fetch_arrow, storage_trouble
from geotag_batch.errors import UsageError
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.read.photos import register_locations
from geotag_batch.workspace import Workspace

__all__ = ["Place", "find_near", "parse_place"]


@dataclass(frozen=True, slots=True)
class Place:
    """A circle: its centre, that of the square which `reference` names, in degrees (WGS84), and its radius `km`."""

    reference: str
    latitude: float
    longitude: float
    km: float


def parse_place(reference: str, km: float) -> Place:
    """Return the circle of `km` around the centre of a grid reference, British or Irish.

    Raises UsageError if it is none.
    """
    ((latitude, longitude),) = wgs84_centres([reference]).tolist()
    if not np.isfinite(latitude):
        raise UsageError(
            f"{reference!r} is no grid reference",
            hint="give one such as TQ3080 (British) or J3473 (Irish), 2 to 10 figures",
        )
    if not (np.isfinite(km) and km > 0):
        raise UsageError(f"{km:g} km is no distance", hint="give one above 0")
    return Place(reference, latitude, longitude, km)


def find_near(workspace: Workspace, config: Config, place: Place) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the ids (n,), ascending, of the photos in `place`, and their distances (n,) from its centre in km.

    Raises CatalogueError, StorageError.
    """
    needed = ("gridimage_id", "grid_reference", "wgs84_lat", "wgs84_long")
    asked = {"latitude": place.latitude, "longitude": place.longitude, "km": place.km}
    limit = config.run.memory_limit
    with (
        storage_trouble(workspace.root),
        steady_catalogue(workspace, config),
        connect(memory_limit=limit, spill=workspace.cache) as connection,
    ):
        relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=needed)
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        register_locations(connection, ("GB", "IE"), square_km=False)
        found = fetch_arrow(connection, "search", "near", asked)
    return found["gridimage_id"].to_numpy(), found["km"].to_numpy()
