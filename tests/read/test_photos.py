"""The plan: which photos are pending, and why."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import Config
from geotag_batch.errors import CatalogueError, InputError
from geotag_batch.read.photos import (
    REASONS,
    Selection,
    Target,
    add_signatures,
    iter_chunks,
    open_catalogue,
    photos_to_look_at,
    plan_pending,
    prepare,
    reasons,
)
from geotag_batch.workspace import Workspace
from tests.builders import ENCODER, HEAD, POLICY, RUN_1, RUN_2, RUN_3, commit, write_catalogue

NOW = datetime(2026, 2, 1)
TARGET = Target(ENCODER, HEAD, POLICY, ("image", "title", "location"), ("GB", "IE"), True)
EMBED_ONLY = Target(ENCODER, None, None, ("image", "title"))


def pending(
    workspace: Workspace,
    selection: Selection | None = None,
    target: Target = TARGET,
    looks: dict[int, str | None] | None = None,
) -> dict[int, dict[str, Any]]:
    """Plan, and return the pending rows by id."""
    selection = replace(selection or Selection(), check_images=looks is not None)
    connection = open_catalogue(workspace, Config())
    prepare(connection, target, selection)
    if looks is not None:
        add_signatures(connection, looks)
    plan_pending(connection, target, selection, NOW)
    total = sum(reason.photos for reason in reasons(connection, None))
    rows = [row for chunk in iter_chunks(connection, total, 2) for row in chunk.to_pylist()]
    connection.close()
    assert [row["position"] for row in rows] == list(range(1, total + 1))
    return {row["gridimage_id"]: row for row in rows}


def done(workspace: Workspace, *photos: dict[str, Any], run_id: str = RUN_1, **prediction: Any) -> None:  # noqa: ANN401
    """Write a catalogue of photos titled "a title" that are embedded and predicted already."""
    rows = [{"gridimage_id": 1, "title": "a title"} | photo for photo in photos or ({},)]
    write_catalogue(workspace, rows)
    ids = [{"gridimage_id": row["gridimage_id"]} for row in rows]
    commit(workspace, run_id, embeddings=ids, predictions=[row | prediction for row in ids])


def test_photos_that_nothing_was_done_for_are_new_and_need_everything(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 5, "title": "Quay"}, {"gridimage_id": 3, "title": None}])
    rows = pending(workspace)
    assert list(rows) == [3, 5]
    assert {row["reason"] for row in rows.values()} == {"new"}
    assert all(row["image_work"] == "encode" and row["encode_title"] for row in rows.values())
    assert rows[3]["title"] == "" and rows[3]["title_hash"] == "d41d8cd98f00b204e9800998ecf8427e"


@pytest.mark.parametrize(("select", "expected"), [("untagged", [2, 3, 4]), ("tagged", [1]), ("all", [1, 2, 3, 4])])
def test_a_photo_is_tagged_if_it_carries_one_of_the_49_tags(
    workspace: Workspace,
    select: Literal["untagged", "tagged", "all"],
    expected: list[int],
) -> None:
    photos = [(1, ["Coastal", "mine"]), (2, ["mine"]), (3, []), (4, None)]
    write_catalogue(workspace, [{"gridimage_id": gridimage_id, "tags": tags} for gridimage_id, tags in photos])
    assert list(pending(workspace, Selection(select))) == expected


def test_a_photo_with_a_current_prediction_is_not_pending(workspace: Workspace) -> None:
    done(workspace)
    assert pending(workspace) == {}


def test_locations_are_centres_of_the_square_kilometre_or_else_the_catalogues_own(workspace: Workspace) -> None:
    photos: list[dict[str, Any]] = [
        {"gridimage_id": 1, "grid_reference": "TL44425475"},
        {"gridimage_id": 2, "grid_reference": None, "wgs84_lat": 50.5, "wgs84_long": -1.25},
        {"gridimage_id": 3, "grid_reference": "nowhere", "wgs84_lat": None, "wgs84_long": None},
    ]
    write_catalogue(workspace, photos)
    rows = pending(workspace)
    assert rows[1]["latitude"] == pytest.approx(52.16985, abs=1e-4)  # TL4454 in the shared golden locations
    assert rows[1]["longitude"] == pytest.approx(0.111508, abs=1e-4)
    assert (rows[2]["latitude"], rows[2]["longitude"]) == (50.5, -1.25)
    assert (rows[3]["latitude"], rows[3]["longitude"]) == (None, None)


def test_a_changed_title_is_encoded_again_but_not_the_image(workspace: Workspace) -> None:
    done(workspace, {"title": "another title"})
    row = pending(workspace)[1]
    assert (row["reason"], row["image_work"], row["encode_title"]) == ("title changed", "none", True)


def test_a_changed_title_does_not_matter_to_a_head_that_reads_none(workspace: Workspace) -> None:
    done(workspace, {"title": "another title"})
    assert pending(workspace, target=Target(ENCODER, HEAD, POLICY, ("image",))) == {}


def test_a_changed_location_is_only_scored_again(workspace: Workspace) -> None:
    done(workspace, {"grid_reference": "TQ3080"}, latitude=51.0, longitude=0.0)
    row = pending(workspace)[1]
    assert (row["reason"], row["image_work"], row["encode_title"]) == ("location changed", "none", False)
    assert row["embedding_file"] is not None


def test_the_same_location_is_not_a_change(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1, "title": "a title", "grid_reference": "TQ3080"}])
    where = {name: value for name, value in pending(workspace)[1].items() if name in ("latitude", "longitude")}
    done(workspace, {"grid_reference": "TQ3080"}, **where)
    assert pending(workspace) == {}


def test_an_updated_photo_has_its_image_checked(workspace: Workspace) -> None:
    done(workspace, {"updated_at": datetime(2026, 1, 1, 12)})
    row = pending(workspace)[1]
    assert (row["reason"], row["image_work"]) == ("photo updated", "check")
    assert row["image_signature"] == "1-1"


def test_an_image_that_looks_different_is_pending_only_where_images_are_checked(workspace: Workspace) -> None:
    done(workspace)
    assert pending(workspace, looks={1: "1-1"}) == {}
    assert pending(workspace, looks={}) == {}
    row = pending(workspace, looks={1: "2-2"})[1]
    assert (row["reason"], row["image_work"]) == ("image changed", "encode")
    assert pending(workspace, looks={1: None})[1]["reason"] == "image changed"


def test_images_worth_a_look_are_those_of_photos_done_before(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": number, "title": "a title"} for number in (1, 2, 3)])
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}], failures=[{"gridimage_id": 3}])
    connection = open_catalogue(workspace, Config())
    prepare(connection, TARGET, Selection())
    assert [row[0] for rows in photos_to_look_at(connection) for row in rows] == [1, 3]


def test_another_head_is_scored_from_stored_embeddings_without_any_image(workspace: Workspace) -> None:
    done(workspace)
    row = pending(workspace, target=Target(ENCODER, "head-2", POLICY, ("image", "title")))[1]
    assert (row["reason"], row["image_work"], row["encode_title"]) == ("head changed", "none", False)
    assert row["embedding_file"].endswith(f"encoder={ENCODER}/{RUN_1}-000001.parquet")


def test_another_encoder_needs_new_embeddings(workspace: Workspace) -> None:
    done(workspace)
    row = pending(workspace, target=Target("encoder-2", "head-2", POLICY, ("image", "title")))[1]
    assert (row["image_work"], row["encode_title"], row["embedding_file"]) == ("encode", True, None)


def test_another_policy_only_decides_again_from_stored_scores(workspace: Workspace) -> None:
    done(workspace)
    row = pending(workspace, target=Target(ENCODER, HEAD, "policy-2", ("image", "title")))[1]
    assert (row["reason"], row["only_decide"], row["image_work"]) == ("policy changed", True, "none")
    assert row["prediction_file"].endswith(f"{RUN_1}-000001.parquet")


def test_scores_older_than_the_embedding_are_not_decided_on_again(workspace: Workspace) -> None:
    done(workspace)
    commit(workspace, RUN_2, embeddings=[{"gridimage_id": 1, "image_signature": "2-2"}])
    row = pending(workspace, target=Target(ENCODER, HEAD, "policy-2", ("image", "title")))[1]
    assert (row["reason"], row["only_decide"]) == ("policy changed", False)
    assert row["embedding_file"].endswith(f"{RUN_2}-000001.parquet")


def test_the_newest_prediction_is_the_one_of_the_greatest_run_id(workspace: Workspace) -> None:
    done(workspace, run_id=RUN_2)
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1, "title_hash": "old"}])
    assert pending(workspace) == {}
    commit(workspace, RUN_3, predictions=[{"gridimage_id": 1, "title_hash": "odd"}])
    assert pending(workspace)[1]["reason"] == "title changed"


def test_redo_before_takes_older_predictions_for_not_there(workspace: Workspace) -> None:
    done(workspace)
    row = pending(workspace, Selection(redo_before=datetime(2026, 1, 2)))[1]
    assert (row["reason"], row["image_work"], row["encode_title"]) == ("redo", "none", False)
    assert pending(workspace, Selection(redo_before=datetime(2026, 1, 1))) == {}


def test_reembed_takes_older_embeddings_for_not_there_too(workspace: Workspace) -> None:
    done(workspace)
    row = pending(workspace, Selection(redo_before=datetime(2026, 1, 2), reembed=True))[1]
    assert (row["reason"], row["image_work"], row["encode_title"]) == ("redo", "encode", True)
    assert row["embedding_file"] is None


@pytest.mark.parametrize(
    ("failure", "due"),
    [
        ({"retry_after": datetime(2026, 1, 31)}, True),
        ({"retry_after": datetime(2026, 2, 2)}, False),
        ({"permanent": True}, False),
        ({"permanent": True, "failed_at": datetime(2026, 1, 1)}, True),  # the photo was updated on the 5th
        (
            {"retry_after": datetime(2026, 1, 31), "head": "head-2", "stage": "predict"},
            True,
        ),  # of another head
        ({"permanent": True, "head": HEAD, "stage": "predict", "failed_at": datetime(2026, 1, 6)}, False),
        ({"permanent": True, "encoder_id": "encoder-2", "stage": "encode"}, True),
    ],
)
def test_a_failed_photo_is_pending_once_its_failure_no_longer_stands(
    workspace: Workspace, failure: dict[str, Any], due: bool
) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1, "updated_at": datetime(2026, 1, 5)}])
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1, "failed_at": datetime(2026, 1, 6)} | failure])
    assert bool(pending(workspace)) == due


def test_every_failed_photo_is_due_where_asked_for(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1, "permanent": True, "attempts": 3}])
    assert pending(workspace) == {}
    row = pending(workspace, Selection(retry_failed=True))[1]
    assert (row["reason"], row["attempts"]) == ("failure due", 3)


def test_a_changed_image_lifts_a_permanent_failure(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1, "permanent": True, "image_signature": "1-1"}])
    assert pending(workspace, looks={1: "1-1"}) == {}
    assert pending(workspace, looks={1: "2-2"})[1]["reason"] == "failure due"


def test_a_failure_that_a_later_success_has_overtaken_is_forgotten(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1, "title": "a title"}])
    commit(workspace, RUN_1, failures=[{"gridimage_id": 1, "permanent": True}])
    commit(workspace, RUN_2, embeddings=[{"gridimage_id": 1}])
    row = pending(workspace)[1]
    assert (row["reason"], row["image_work"], row["attempts"]) == ("new", "none", 0)


def test_a_failure_after_a_success_stands(workspace: Workspace) -> None:
    done(workspace, {"updated_at": datetime(2026, 1, 1, 12)})
    commit(workspace, RUN_2, failures=[{"gridimage_id": 1, "permanent": True}])
    assert pending(workspace) == {}


def test_embedding_only_asks_for_what_embeddings_lack(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": number, "title": "a title"} for number in (1, 2, 3, 4)])
    rows: list[dict[str, Any]] = [
        {"gridimage_id": 1},
        {"gridimage_id": 2, "title_hash": "old"},
        {"gridimage_id": 3, "image_embedding": None, "image_signature": None},
    ]
    commit(workspace, RUN_1, embeddings=rows)
    found = pending(workspace, target=EMBED_ONLY)
    assert {number: row["reason"] for number, row in found.items()} == {
        2: "title changed",
        3: "image changed",
        4: "new",
    }
    assert (found[2]["image_work"], found[3]["image_work"], found[3]["encode_title"]) == ("none", "encode", False)


def test_cheap_work_comes_first(workspace: Workspace) -> None:
    done(workspace, {"gridimage_id": 7})
    write_catalogue(workspace, [{"gridimage_id": 7, "title": "a title"}, {"gridimage_id": 1, "title": "x"}])
    assert list(pending(workspace, target=Target(ENCODER, "head-2", POLICY, ("image", "title")))) == [7, 1]


def test_only_the_ids_asked_for_are_pending(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": number} for number in (1, 2, 3)])
    assert list(pending(workspace, Selection(ids=(3, 1)))) == [1, 3]
    assert pending(workspace, Selection(ids=())) == {}


def test_ids_that_are_not_in_the_catalogue_are_named(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    with pytest.raises(InputError, match="2 of the ids asked for are not in the catalogue: 7, 9"):
        pending(workspace, Selection(ids=(1, 7, 9)))


def test_reasons_with_a_limit_count_only_the_first_photos(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": number, "title": "same"} for number in range(1, 6)])
    connection = open_catalogue(workspace, Config())
    prepare(connection, TARGET, Selection())
    plan_pending(connection, TARGET, Selection(), NOW)
    (reason,) = reasons(connection, 3)
    assert (reason.reason, reason.photos, reason.images, reason.titles) == ("new", 3, 3, 1)
    assert reason.reason in REASONS


def test_a_workspace_without_catalogue_says_where_one_is_looked_for(workspace: Workspace) -> None:
    with pytest.raises(CatalogueError, match=r"nothing matches photos\.path = 'photos/\*\.parquet'"):
        open_catalogue(workspace, Config())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1]}, "has no column gridimage_id, only id"),
        ({"gridimage_id": [7.5]}, "column gridimage_id is double, should be int64"),
        ({"gridimage_id": ["7"]}, "column gridimage_id is string, should be int64"),
        ({"gridimage_id": [1], "title": [b"x"]}, "column title is binary, should be string"),
        ({"gridimage_id": [1], "tags": ["Coastal"]}, r"column tags is string, should be list<string>"),
        ({"gridimage_id": [1], "Title": ["a"], "title": ["b"]}, "has the column title more than once"),
        ({"gridimage_id": [1, None]}, "has 1 rows without a gridimage_id"),
        ({"gridimage_id": [1, -2]}, "1 negative and 0 repeated gridimage_ids, among them -2"),
        ({"gridimage_id": [1, 1]}, "0 negative and 1 repeated gridimage_ids, among them 1"),
    ],
)
def test_a_catalogue_that_is_not_what_it_should_be_is_refused(
    workspace: Workspace, columns: dict[str, list[Any]], message: str
) -> None:
    (workspace.root / "photos").mkdir()
    pq.write_table(pa.table(columns), workspace.root / "photos" / "bad.parquet")
    with pytest.raises(CatalogueError, match=message):
        open_catalogue(workspace, Config())


def test_an_id_repeated_in_two_files_is_refused(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}], "a")
    write_catalogue(workspace, [{"gridimage_id": 1}], "b")
    with pytest.raises(CatalogueError, match="1 repeated gridimage_ids"):
        open_catalogue(workspace, Config())


def test_a_file_that_is_not_parquet_is_named(workspace: Workspace) -> None:
    (workspace.root / "photos").mkdir()
    (workspace.root / "photos" / "page.parquet").write_text("<html>")
    with pytest.raises(CatalogueError, match=r"page\.parquet: cannot be read as Parquet"):
        open_catalogue(workspace, Config())


def test_files_of_one_catalogue_may_have_different_columns_and_types(workspace: Workspace) -> None:
    folder = workspace.root / "photos"
    folder.mkdir()
    pq.write_table(pa.table({"gridimage_id": pa.array([1], pa.int32()), "colour": ["red"]}), folder / "a.parquet")
    titles = pa.array(["t"]).dictionary_encode()
    pq.write_table(pa.table({"gridimage_id": [2], "title": titles}), folder / "b.parquet")
    assert [row["title"] for row in pending(workspace).values()] == ["", "t"]


def test_another_column_may_hold_the_images(workspace: Workspace) -> None:
    (workspace.root / "photos").mkdir()
    pq.write_table(pa.table({"gridimage_id": [1], "Path": ["a/b.jpg"]}), workspace.root / "photos" / "a.parquet")
    named = Config().with_flags({"images.column": "path"})
    connection = open_catalogue(workspace, named)
    assert connection.execute("SELECT image FROM catalogue").fetchall() == [("a/b.jpg",)]
    with pytest.raises(CatalogueError, match=r"no column where, which images\.column names"):
        open_catalogue(workspace, Config().with_flags({"images.column": "where"}))


def test_folder_names_with_special_characters_are_taken_literally(tmp_path: Path) -> None:
    root = tmp_path / "[a] it's=b" / "run_date=2020-01-01"
    root.mkdir(parents=True)
    workspace = Workspace(root)
    done(workspace)
    write_catalogue(workspace, [{"gridimage_id": 1, "title": "a title"}, {"gridimage_id": 2}])
    assert list(pending(workspace)) == [2]
