"""The archive that the demo draws, looked at with Pillow and DuckDB."""

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from geotag_batch.read.gridref import parse_grid_reference, wgs84_centres
from geotag_batch.run.demo.archive import DemoPhoto, draw_images, invent_photos, write_catalogue
from geotag_batch.run.demo.canvas import Canvas
from geotag_batch.run.demo.scenes import PLACES, SCENES
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import Workspace
from tests.builders import query


@pytest.fixture(scope="module")
def photos() -> list[DemoPhoto]:
    return invent_photos(600, 1)


def test_there_are_at_least_twelve_kinds_of_scene_and_every_tag_is_one_of_the_49(photos: list[DemoPhoto]) -> None:
    assert len({photo.tags[0] for photo in photos}) >= 12
    assert {tag for photo in photos for tag in photo.tags} <= tag_index().keys()
    assert 0.1 < np.mean([len(photo.tags) == 2 for photo in photos]) < 0.4


def test_the_same_seed_invents_the_same_photos_and_ids_ascend(photos: list[DemoPhoto]) -> None:
    assert invent_photos(600, 1) == photos
    assert invent_photos(600, 2) != photos
    ids = [photo.gridimage_id for photo in photos]
    assert ids == sorted(set(ids))


def test_some_photos_are_tagged_and_some_broken_within_the_failure_budget(photos: list[DemoPhoto]) -> None:
    assert np.mean([photo.tagged for photo in photos]) == pytest.approx(0.4, abs=0.06)
    flaws = Counter(photo.flaw for photo in photos)
    assert set(flaws) == {None, "missing", "truncated", "web page", "empty"}
    assert flaws[None] > 600 * 0.96


@pytest.mark.parametrize(
    ("name", "latitude", "longitude"),
    [  # as an atlas has them
        ("Galway", 53.27, -9.06),
        ("Kirkwall", 58.98, -2.96),
        ("St Ives", 50.21, -5.48),
        ("Edale", 53.37, -1.82),
        ("Killarney", 52.06, -9.51),
        ("Stornoway", 58.21, -6.39),
        ("Ely", 52.40, 0.26),
    ],
)
def test_places_are_where_they_are(name: str, latitude: float, longitude: float) -> None:
    (square,) = [square for places in PLACES.values() for square, place in places if place == name]
    np.testing.assert_allclose(wgs84_centres([square])[0], [latitude, longitude], atol=0.03)


def test_grid_references_of_both_islands_lie_in_the_square_of_their_place(photos: list[DemoPhoto]) -> None:
    references = [(photo.grid_reference, photo.place) for photo in photos if photo.grid_reference is not None]
    grids = set()
    for reference, place in references:
        square, around = parse_grid_reference(reference), parse_grid_reference(place)
        assert square is not None
        assert around is not None
        grids.add(square.grid)
        assert (square.easting // 1000, square.northing // 1000) == (around.easting // 1000, around.northing // 1000)
    assert grids == {"GB", "IE"}
    assert len({len(reference.replace(" ", "")) for reference, _ in references}) >= 4


def test_images_are_drawn_and_broken_as_told(photos: list[DemoPhoto], tmp_path: Path) -> None:
    some = [
        next(photo for photo in photos if photo.flaw == flaw) for flaw in ("missing", "truncated", "web page", "empty")
    ]
    some += [photo for photo in photos if photo.flaw is None][:6]
    draw_images(some, tmp_path)
    paths = [tmp_path / f"{photo.gridimage_id // 10000:05d}" / f"{photo.gridimage_id}.jpg" for photo in some]
    assert not paths[0].exists()
    with pytest.raises(OSError, match="truncated"), Image.open(paths[1]) as image:
        image.load()
    assert paths[2].read_bytes().startswith(b"<!DOCTYPE html>")
    assert paths[3].read_bytes() == b""
    for path in paths[4:]:
        with Image.open(path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (320, 240), "RGB")
            assert np.asarray(image).std() > 20
    first = paths[4].read_bytes()
    draw_images(some[4:5], tmp_path)
    assert paths[4].read_bytes() == first


def test_every_kind_of_scene_looks_different_and_shows_what_its_second_tag_is_about() -> None:
    seen: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for scene in SCENES:
        looks = []
        for more in (False, True):
            canvas = Canvas(Random(5))
            scene.paint(canvas, more)
            looks.append(np.asarray(canvas.finish().resize((16, 12)), np.float64))
        if scene.more_tag:
            assert np.abs(looks[0] - looks[1]).mean() > 1, scene.tag
        assert all(np.abs(looks[0] - other).mean() > 10 for other in seen), scene.tag
        seen.append(looks[0])


def test_the_catalogue_tells_tags_only_where_somebody_gave_them(photos: list[DemoPhoto], workspace: Workspace) -> None:
    write_catalogue(photos, workspace)
    rows = query(
        "SELECT gridimage_id, title, tags, wgs84_lat BETWEEN 49 AND 61 "
        f"FROM read_parquet('{workspace.root}/photos/demo.parquet') ORDER BY gridimage_id"
    )
    assert len(rows) == 600
    for photo, (gridimage_id, title, tags, on_the_islands) in zip(photos, rows, strict=True):
        assert gridimage_id == photo.gridimage_id
        assert (title or "") == photo.title
        assert tags == (list(photo.tags) if photo.tagged else [])
        assert on_the_islands
