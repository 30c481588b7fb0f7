"""Photos that belong together, and those whose tags do not fit the rest."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geotag_batch.config import Config, HeadConfig
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views
from tests.builders import RUN_1, commit, write_catalogue
from tests.data import prediction
from tests.write.test_views import URL, ask, make_workspace, near

DAY = "2010-05-01"


def photo(gridimage_id: int, user_id: int | None, title: str | None, place: str | None, day: str | None) -> Any:  # noqa: ANN401
    return {
        "gridimage_id": gridimage_id,
        "user_id": user_id,
        "realname": f"User {user_id}",
        "title": title,
        "grid_reference": place,
        "imagetaken": day,
    }


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an archive of two series of Ann's, 1 to 5 by title and 4 to 7 by day and square, and what is none."""
    workspace = make_workspace(Path(tmp_path_factory.mktemp("series")) / "[a] it's=b")
    photos = [
        *(photo(number, 1, "Canal", f"SK9{number}9{number}", None) for number in (1, 2, 3)),
        *(photo(number, 1, "Canal", f"SK1{number}13{number}3", DAY) for number in (4, 5)),
        photo(6, 1, "Lock", "SK 14 13", DAY),
        photo(7, 1, None, "sk1413", DAY),
        *(photo(number, 2, "Canal", "SK1413", DAY) for number in (8, 9)),  # another contributor, and two only
        *(photo(number, 3, f"Mill {number}", "SK1413", "2010-05-00") for number in (10, 11, 12)),  # no whole day
        *(photo(number, 4, "", "SK14", DAY) for number in (13, 14, 15)),  # no title, and no 1 km square
    ]
    photos[4]["grid_reference"] = "SK145135"
    photos[3]["grid_reference"] = "SK144134"
    write_catalogue(workspace, photos)
    tags = {1: {"Canals": 0.9}, 2: {"Canals": 0.9, "Paths": 0.8}, 3: {"Canals": 0.9}, 4: {"Canals": 0.8}}
    others = {number: {"Paths": 0.9} for number in range(5, 16)}
    commit(workspace, RUN_1, predictions=[prediction(number, scores) for number, scores in (tags | others).items()])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    return workspace


def test_a_series_is_one_contributors_photos_with_one_title_or_of_one_day_in_one_square(workspace: Workspace) -> None:
    rows = ask(
        workspace, "SELECT kind, series, size, list(gridimage_id ORDER BY gridimage_id) FROM series GROUP BY ALL"
    )
    assert sorted((kind, size, photos) for kind, _, size, photos in rows) == [
        ("outing", 4, [4, 5, 6, 7]),
        ("title", 5, [1, 2, 3, 4, 5]),
    ]


def test_photos_that_lack_what_most_of_their_series_have_or_have_what_few_have_are_found(workspace: Workspace) -> None:
    sql = "SELECT kind, gridimage_id, tag, problem, with_tag, others, tags FROM series_outliers ORDER BY kind, 2, 3"
    assert ask(workspace, sql) == [
        ("outing", 4, "Canals", "extra", 0, 3, ["Canals"]),
        ("outing", 4, "Paths", "missing", 3, 3, ["Canals"]),
        ("title", 2, "Paths", "extra", 1, 4, ["Paths", "Canals"]),
        ("title", 5, "Canals", "missing", 4, 4, ["Paths"]),
        ("title", 5, "Paths", "extra", 1, 4, ["Paths"]),
    ]
    clearest = ask(workspace, "SELECT gridimage_id, title, photo_url FROM series_outliers LIMIT 1")
    assert clearest == [(5, "Canal", f"{URL}/5")]


def test_one_photo_shows_its_series(workspace: Workspace) -> None:
    sql = "SELECT gridimage_id, same_title, same_outing, tags FROM series_of(4)"
    assert ask(workspace, sql) == [
        (1, True, False, ["Canals"]),
        (2, True, False, ["Paths", "Canals"]),
        (3, True, False, ["Canals"]),
        (4, True, True, ["Canals"]),
        (5, True, True, ["Paths"]),
        (6, False, True, ["Paths"]),
        (7, False, True, ["Paths"]),
    ]
    assert ask(workspace, "SELECT gridimage_id FROM series_of(13)") == [(13,)]
    assert ask(workspace, "FROM series_of(999)") == []


def test_the_queue_of_a_hectad_or_a_tag_is_what_waits_there(workspace: Workspace) -> None:
    everything = ask(workspace, "SELECT gridimage_id FROM review_queue")
    assert ask(workspace, "SELECT gridimage_id FROM queue(first_rows := 3)") == everything[:3]
    in_hectad = "SELECT gridimage_id FROM queue_in_hectad('sk11') ORDER BY ALL"
    assert ask(workspace, in_hectad) == [(number,) for number in range(4, 13)]
    canals = ask(workspace, "SELECT gridimage_id, score FROM queue_for_tag('Canals', first_rows := 10) ORDER BY ALL")
    assert canals == [(1, near(0.9)), (2, near(0.9)), (3, near(0.9)), (4, near(0.8))]
    assert ask(workspace, "FROM queue_for_tag('No such tag')") == []
