"""Photos to try something on: the same ones each time, spread over the catalogue by a hash of their ids."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.catalogue import catalogue_files, catalogue_relation, steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import connect, fetch_arrow, storage_trouble
from geotag_batch.errors import InputError
from geotag_batch.predict.features import LocationRule
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.read.loader import ImageLoader, ImageRequest, LoadedImage
from geotag_batch.read.sources import image_reference
from geotag_batch.run.capacity import decoding_workers
from geotag_batch.workspace import Workspace

__all__ = ["Sample", "read_calibration", "read_sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """n photos: `pixels` uint8 (n, size, size, 3), titles, and latitude and longitude (n, 2), NaN where unknown.

    `decoded` are the pixels as images.decode makes them.
    """

    pixels: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    titles: list[str]
    locations: NDArray[np.float64]


def read_sample(
    workspace: Workspace, config: Config, preprocess: Preprocess, rule: LocationRule | None, photos: int
) -> Sample:
    """Return up to `photos` photos whose image can be had. Raises InputError if there is none, CatalogueError."""
    rows, requests = _choose(workspace, config, photos)
    plain = replace(config, images=replace(config.images, decode="full"))
    loaded = decoded = _load(plain, workspace, preprocess, requests)
    if config.images.decode != "full":
        decoded = _load(config, workspace, preprocess, requests)
    kept = [
        (row, image.pixels, other.pixels)
        for row, image, other in zip(rows, loaded, decoded, strict=True)
        if image.pixels is not None and other.pixels is not None
    ]
    if not kept:
        raise _no_images(len(rows))
    photos_kept, pixels, others = (list(column) for column in zip(*kept, strict=True))
    titles = [row["title"] or "" for row in photos_kept]
    return Sample(np.stack(pixels), np.stack(others), titles, _locations(photos_kept, rule))


def read_calibration(workspace: Workspace, config: Config, preprocess: Preprocess, photos: int) -> NDArray[np.uint8]:
    """Return up to `photos` images uint8 (n, size, size, 3), decoded as images.decode says, from the other end.

    In an archive that is not very small they are none of those that `read_sample` returns. Raises as that does.
    """
    rows, requests = _choose(workspace, config, photos, from_end=True)
    loaded = _load(config, workspace, preprocess, requests)
    pixels = [image.pixels for image in loaded if image.pixels is not None]
    if not pixels:
        raise _no_images(len(rows))
    return np.stack(pixels)


def _choose(
    workspace: Workspace, config: Config, photos: int, from_end: bool = False
) -> tuple[list[dict[str, Any]], list[ImageRequest]]:
    only = ("gridimage_id", "title", "grid_reference", "wgs84_lat", "wgs84_long", "image")
    limit = config.run.memory_limit
    with (
        storage_trouble(workspace.root),
        connect(memory_limit=limit, spill=workspace.cache) as connection,
        steady_catalogue(workspace, config),
    ):
        relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=only)
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        asked = {"photos": photos, "from_end": from_end}
        rows = fetch_arrow(connection, "report", "sample", asked).to_pylist()
    return rows, [
        ImageRequest(row["gridimage_id"], image_reference(config.images, row["gridimage_id"], row["image"]))
        for row in rows
    ]


def _no_images(photos: int) -> InputError:
    return InputError(
        f"none of {photos} photos has an image to compare precisions on",
        hint="look at images.root and images.template, or set encoder.precision to float32",
    )


def _load(
    config: Config, workspace: Workspace, preprocess: Preprocess, requests: Sequence[ImageRequest]
) -> list[LoadedImage]:
    with ImageLoader(config.images, workspace.root, preprocess, decoding_workers(config.run, "cpu")) as loader:
        return list(loader.load(requests))


def _locations(rows: Sequence[dict[str, Any]], rule: LocationRule | None) -> NDArray[np.float64]:
    if rule is None:
        return np.full((len(rows), 2), np.nan)
    found = wgs84_centres([row["grid_reference"] or "" for row in rows], grids=rule.grids, square_km=True)
    if rule.wgs84_fallback:
        given = np.array([(row["wgs84_lat"], row["wgs84_long"]) for row in rows], np.float64)
        found = np.where(np.isfinite(found).all(axis=1, keepdims=True), found, given)
    return found
