"""The archive that the demo draws: images, some of them broken, and a catalogue in which some photos are tagged."""

import io
import multiprocessing
import os
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.atomic import publish
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.run.demo.canvas import Canvas
from geotag_batch.run.demo.scenes import PLACES, SCENES, Scene
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace

__all__ = ["DemoPhoto", "draw_images", "invent_photos", "write_catalogue"]

_FIRST_ID, _LAST_ID = 7_590_000, 7_630_000
_SHARE_TAGGED = 0.4
_FLAWS = ("missing", "truncated", "web page", "empty")
_FLAW_EVERY = 40
"""Every 40th photo is broken: 2.5 %, half of what run.max_failure_rate allows."""

_PEOPLE = ("Ann Example", "Bob Sample", "Cara Specimen", "Dai Instance", "Eilidh Pattern", "Fergus Model")
_WEB_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Moved</title></head><body><h1>This photo has moved</h1></body></html>\n"
)


@dataclass(frozen=True, slots=True)
class DemoPhoto:
    """One photo of the drawn archive; `tags` is the truth, which the catalogue tells only if `tagged`."""

    gridimage_id: int
    scene: int
    more: bool
    title: str
    place: str
    grid_reference: str | None
    tagged: bool
    flaw: str | None

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags that the photo deserves."""
        scene = SCENES[self.scene]
        return (scene.tag, scene.more_tag) if self.more and scene.more_tag else (scene.tag,)


def invent_photos(count: int, seed: int) -> list[DemoPhoto]:
    """Return `count` photos in ascending id, the same for the same seed."""
    chance = random.Random(seed)
    ids = sorted(chance.sample(range(_FIRST_ID, _LAST_ID), count))
    return [_invent(chance, gridimage_id, number) for number, gridimage_id in enumerate(ids)]


def _invent(chance: random.Random, gridimage_id: int, number: int) -> DemoPhoto:
    index = chance.randrange(len(SCENES))
    scene, more = SCENES[index], chance.random() < 0.35
    square, name = chance.choice(PLACES[chance.choice(scene.where)])
    titles = scene.more_titles if more and scene.more_tag else scene.titles
    flaw = _FLAWS[number // _FLAW_EVERY % len(_FLAWS)] if number % _FLAW_EVERY == _FLAW_EVERY // 2 else None
    return DemoPhoto(
        gridimage_id=gridimage_id,
        scene=index,
        more=more,
        title="" if chance.random() < 0.03 else chance.choice(titles).format(name),
        place=square,
        grid_reference=_refer(chance, square),
        tagged=chance.random() < _SHARE_TAGGED,
        flaw=flaw,
    )


def _refer(chance: random.Random, square: str) -> str | None:
    """Write a reference inside a 1 km square in one of the ways that contributors do; a few give none."""
    letters, digits = square[:-4], square[-4:]
    kind = chance.random()
    if kind < 0.04:
        return None
    if kind < 0.6:
        return square
    length = 1 if kind < 0.85 else 2
    east, north = (f"{chance.randrange(10**length):0{length}}" for _ in range(2))
    gap = " " if kind > 0.92 else ""
    return f"{letters}{gap}{digits[:2]}{east}{gap}{digits[2:]}{north}"


def draw_images(photos: Sequence[DemoPhoto], images: Path) -> None:
    """Draw every photo's image to its place under `images`, on all cores; the broken ones broken."""
    for bucket in {photo.gridimage_id // 10_000 for photo in photos}:
        (images / f"{bucket:05d}").mkdir(parents=True, exist_ok=True)
    workers = min(os.cpu_count() or 1, 8)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        list(pool.map(partial(_draw, images), photos, chunksize=25))


def _draw(images: Path, photo: DemoPhoto) -> None:
    data = _image_bytes(photo)
    if data is not None:
        (images / f"{photo.gridimage_id // 10_000:05d}" / f"{photo.gridimage_id}.jpg").write_bytes(data)


def _image_bytes(photo: DemoPhoto) -> bytes | None:
    if photo.flaw == "missing":
        return None
    if photo.flaw == "empty":
        return b""
    if photo.flaw == "web page":
        return _WEB_PAGE
    data = _jpeg(SCENES[photo.scene], photo)
    return data[: len(data) * 2 // 3] if photo.flaw == "truncated" else data


def _jpeg(scene: Scene, photo: DemoPhoto) -> bytes:
    canvas = Canvas(random.Random(photo.gridimage_id))
    scene.paint(canvas, photo.more)
    file = io.BytesIO()
    canvas.finish().save(file, "JPEG", quality=88)
    return file.getvalue()


def write_catalogue(photos: Sequence[DemoPhoto], workspace: Workspace) -> None:
    """Write photos/demo.parquet, as an archive would: every photo, tags only where somebody gave them."""
    chance = random.Random(len(photos))
    centres = wgs84_centres([photo.place for photo in photos])
    start = datetime(2012, 1, 1)
    taken = [start + timedelta(days=chance.randrange(4000)) for _ in photos]
    users = [chance.randrange(len(_PEOPLE)) for _ in photos]
    columns = {
        "gridimage_id": [photo.gridimage_id for photo in photos],
        "title": [photo.title or None for photo in photos],
        "grid_reference": [photo.grid_reference for photo in photos],
        "wgs84_lat": np.round(centres[:, 0], 5),
        "wgs84_long": np.round(centres[:, 1], 5),
        "tags": [list(photo.tags) if photo.tagged else [] for photo in photos],
        "image": [None] * len(photos),
        "user_id": [100 + user for user in users],
        "realname": [_PEOPLE[user] for user in users],
        "imagetaken": [day.strftime("%Y-%m-%d") for day in taken],
        "updated_at": [day + timedelta(days=chance.randrange(1, 60)) for day in taken],
    }
    table = pa.table(columns, schema=load_schema("photos").arrow())
    publish(partial(pq.write_table, table), workspace.root / "photos" / "demo.parquet", workspace.staging)
