"""A catalogue described; numbers are worked out by hand, pictures are opened."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geotag_batch.config import load_config
from geotag_batch.errors import CatalogueError
from geotag_batch.run.describe import Description, describe, description_text
from geotag_batch.workspace import Workspace
from tests.builders import write_catalogue
from tests.run.conftest import Archive

_PHOTOS: list[dict[str, Any]] = [
    {"gridimage_id": 1, "title": "Stone bridge", "grid_reference": "TQ3080", "tags": ["Islands"], "realname": "Ann"},
    {
        "gridimage_id": 2,
        "title": "A stone BRIDGE, Bridge",
        "grid_reference": "tq 31 84",
        "tags": ["Islands", "Coastal"],
    },
    {"gridimage_id": 3, "title": "", "grid_reference": "J3473", "tags": ["top hat"], "realname": "Bob"},
    {"gridimage_id": 4, "title": None, "grid_reference": None, "wgs84_lat": 51.5, "wgs84_long": -0.12, "tags": None},
    {"gridimage_id": 5, "title": "x" * 300, "grid_reference": "nonsense", "tags": ["Islands", "Islands"]},
]


def _describe(workspace: Workspace) -> Description:
    return describe(workspace, load_config(workspace, {}))


def test_the_numbers_are_those_of_the_catalogue(workspace: Workspace) -> None:
    write_catalogue(workspace, _PHOTOS)
    found = _describe(workspace)
    document = json.loads((workspace.reports / "describe" / "describe.json").read_text())
    assert document == found.document
    assert (document["photos"], document["tagged"], document["without_title"]) == (5, 3, 2)
    assert (document["with_degrees_only"], document["without_location"]) == (1, 1)
    assert document["tags_per_photo"] == [
        {"tags": 0, "photos": 2},
        {"tags": 1, "photos": 2},
        {"tags": 2, "photos": 1},
    ]
    assert [(row["tag"], row["photos"]) for row in document["photos_per_tag"]] == [("Islands", 3), ("Coastal", 1)]
    assert document["title_lengths"][-1] == {"characters": 100, "photos": 1}
    assert document["title_words"][:2] == [{"word": "bridge", "photos": 2}, {"word": "stone", "photos": 2}]
    assert [(row["square"], row["photos"], row["tagged"]) for row in document["squares"]] == [
        ("J37", 1, 0),
        ("TQ38", 2, 2),
    ]
    assert document["degrees"] == [{"latitude": 51.5, "longitude": -0.1, "photos": 1}]
    assert {(row["tag"], row["other"]): row["photos"] for row in document["tags_together"]} == {
        ("Islands", "Islands"): 3,
        ("Coastal", "Coastal"): 1,
        ("Islands", "Coastal"): 1,
        ("Coastal", "Islands"): 1,
    }
    text = description_text(document)
    assert "tags per tagged photo: 1.33" in text
    assert text in (workspace.reports / "describe" / "describe.md").read_text()


def test_every_picture_is_drawn(archive: Callable[[int], Archive]) -> None:
    made = archive(4)
    for photo in made.photos:
        photo.update(tags=["Islands", "Coastal"][: photo["gridimage_id"] % 2 + 1], realname="Ann")
    made.write()
    made.image(1).write_bytes(b"<html>")  # the next photo of the tag is shown instead
    files = _describe(made.workspace).files
    pictures = [path for path in files if path.suffix == ".png"]
    assert {path.stem for path in pictures} == {
        "map",
        "one-photo-per-tag",
        "photos-per-tag",
        "tags-per-photo",
        "tags-together",
        "title-lengths",
        "title-words",
    }
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 150
    with Image.open(made.workspace.reports / "describe" / "one-photo-per-tag.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**24) or []}
    shade = np.array(2 * np.array([37, 91, 0])) % 256  # the colour that photo 2 is drawn in
    assert min(np.abs(np.array(colour) - shade).sum() for colour in colours) < 12


_ODD: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "an id": [{"gridimage_id": 1}],
    "dollars and emoji": [
        {
            "gridimage_id": 1,
            "title": "cost $5 and $10",
            "tags": ["Islands"],
            "realname": "$x^2$ \u65e5\u672c \U0001f600",
        }
    ],
    "glyphs and escapes": [
        {
            "gridimage_id": 1,
            "title": "\u5bcc\u58eb\u5c71\u306e\u5199\u771f \x07\x1b[31m",
            "wgs84_lat": float("nan"),
            "wgs84_long": 1.0,
        }
    ],
    "a long title near the pole": [
        {"gridimage_id": 1, "title": "word " * 20_000, "wgs84_lat": 89.99, "wgs84_long": 179.9, "tags": ["Coastal"]}
    ],
    "off the earth": [{"gridimage_id": 1, "wgs84_lat": 1e300, "wgs84_long": 0.0}],
}


@pytest.mark.parametrize("photos", _ODD.values(), ids=list(_ODD))
def test_odd_catalogues_are_described_too(workspace: Workspace, photos: list[dict[str, Any]]) -> None:
    write_catalogue(workspace, photos)
    found = _describe(workspace)
    assert found.document["photos"] == len(photos)
    assert description_text(found.document)


def test_a_catalogue_of_ids_alone_is_described(workspace: Workspace) -> None:
    (workspace.root / "photos").mkdir(exist_ok=True)
    pq.write_table(pa.table({"gridimage_id": pa.array([4, 9])}), workspace.root / "photos" / "a.parquet")
    text = description_text(_describe(workspace).document)
    assert "no photo carries one of the 49 tags" in text
    assert "no photo has a title" in text


def test_without_a_catalogue_the_error_says_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(CatalogueError, match="no catalogue"):
        _describe(workspace)
