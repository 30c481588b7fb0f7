"""Small pictures of photos for pages and figures, decoded as safely as a run decodes them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from PIL import Image

from geotag_batch.catalogue import catalogue_files, catalogue_relation
from geotag_batch.config import Config
from geotag_batch.duck import connect, fetch_arrow, storage_trouble
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.loader import ImageLoader, ImageRequest
from geotag_batch.read.sources import image_reference
from geotag_batch.run.capacity import decoding_workers
from geotag_batch.workspace import Workspace

__all__ = ["Thumbnail", "describe_photos", "load_thumbnails"]

_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """What a page shows of a photo: `jpeg` is its centre square, None where `problem` says why there is none."""

    gridimage_id: int
    title: str
    contributor: str
    grid_reference: str
    url: str
    jpeg: bytes | None
    problem: str | None

    @property
    def data_url(self) -> str | None:
        """Return the picture as a data: URL."""
        return None if self.jpeg is None else f"data:image/jpeg;base64,{base64.b64encode(self.jpeg).decode('ascii')}"


def describe_photos(workspace: Workspace, config: Config, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what the catalogue says of those of `ids` that it has: the columns of sql/report/photos.sql.

    Raises CatalogueError, StorageError.
    """
    with storage_trouble(workspace.root), connect(memory_limit=config.run.memory_limit) as connection:
        only = ("gridimage_id", "title", "realname", "grid_reference", "image")
        relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=only)
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        connection.register("asked", pa.table({"gridimage_id": pa.array(ids, pa.int64())}))
        rows: list[dict[str, Any]] = fetch_arrow(connection, "report", "photos").to_pylist()
        return rows


def load_thumbnails(workspace: Workspace, config: Config, ids: Sequence[int], size: int) -> dict[int, Thumbnail]:
    """Return a thumbnail of `size` x `size` pixels for each of `ids` that the catalogue has.

    A photo whose image is missing or broken gets one without picture. Raises CatalogueError.
    """
    rows = describe_photos(workspace, config, ids)
    requests = [
        ImageRequest(row["gridimage_id"], image_reference(config.images, row["gridimage_id"], row["image"]))
        for row in rows
    ]
    shape = Preprocess(size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    thumbnails = {}
    with ImageLoader(config.images, workspace.root, shape, decoding_workers(config.run, "cpu")) as loader:
        for row, image in zip(rows, loader.load(requests), strict=True):
            jpeg = None
            if image.pixels is not None:
                file = io.BytesIO()
                Image.fromarray(image.pixels).save(file, "JPEG", quality=_QUALITY)
                jpeg = file.getvalue()
            thumbnails[row["gridimage_id"]] = Thumbnail(
                gridimage_id=row["gridimage_id"],
                title=row["title"] or "",
                contributor=row["realname"] or "",
                grid_reference=row["grid_reference"] or "",
                url=config.review.photo_url.replace("{gridimage_id}", str(row["gridimage_id"])),
                jpeg=jpeg,
                problem=None if image.failure is None else image.failure.error_class,
            )
    return thumbnails
