"""The story of one photo, on what the job itself committed."""

import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import InputError, UsageError
from geotag_batch.predict.bundle import save_bundle
from geotag_batch.run.explain import explain_photo, parse_id
from geotag_batch.run.explain_text import story_json, story_text
from geotag_batch.write.decisions import Decision, append_decisions
from tests.builders import commit
from tests.heads import make_head
from tests.run.conftest import Archive


def told(archive: Archive, gridimage_id: int = 1) -> dict[str, Any]:
    """Return the story of a photo as a reader of the JSON has it."""
    story: dict[str, Any] = json.loads(story_json(explain_photo(archive.workspace, archive.config, gridimage_id)))
    return story


def check_sums(said: dict[str, Any]) -> None:
    """Check that the contributions add up to the logit, whose sigmoid is the score that was committed."""
    assert said["unexplained"] is None
    for share in said["shares"]:
        parts = sum(share[name] for name in ("image", "title", "location", "bias"))
        assert parts == pytest.approx(share["logit"], abs=1e-6)
        assert 1 / (1 + math.exp(-share["logit"])) == pytest.approx(share["score"], abs=1e-6)


def test_the_story_tells_what_the_job_did_and_why_each_tag_was_given(archive: Callable[[int], Archive]) -> None:
    one = archive(3)
    one.photos[0] |= {"realname": "Ann", "imagetaken": "2010-05-01", "tags": ["top hat"]}
    one.write()
    record = one.backfill()
    append_decisions(one.workspace, [Decision(1, "Paths", "add", "Bob", "review")])
    story = told(one)
    assert (story["photo"]["title"], story["photo"]["realname"], story["photo"]["tags"]) == (
        "Photo 1",
        "Ann",
        ["top hat"],
    )
    assert story["image"]["reference"] == "00000/1.jpg"
    (embedding,) = story["embeddings"]
    assert embedding["encoder"] == FakeEncoder.encoder_id
    assert embedding["image_signature"] == story["image"]["signature"]
    assert (one.workspace.root / embedding["file"]).is_file()
    (said,) = story["predictions"]
    assert (said["is_current"], said["exact"], said["facts"]["run_id"]) == (True, True, record.run_id)
    assert len(said["shares"]) == max(5, len(said["facts"]["tags"]))
    assert {share["tag"] for share in said["shares"] if share["given"]} == set(said["facts"]["tags"])
    check_sums(said)
    assert any(share["location"] != 0 for share in said["shares"])
    assert [(row["tag"], row["decision"], row["counts"]) for row in story["decisions"]] == [("Paths", "add", True)]
    assert [(run["run_id"], run["encoder_id"]) for run in story["runs"]] == [(record.run_id, FakeEncoder.encoder_id)]
    assert story["failures"] == []


def test_each_heads_newest_word_comes_with_its_earlier_ones(archive: Callable[[int], Archive]) -> None:
    one = archive(2)
    first = one.backfill()
    one.draw(1, shade=200)
    again = one.backfill(check_images=True)
    one.use(make_head(one.workspace, FakeEncoder.encoder_id, seed=2))
    other = one.backfill()
    story = told(one)
    order = [(said["facts"]["run_id"], said["facts"]["is_newest"], said["is_current"]) for said in story["predictions"]]
    assert order == [(other.run_id, True, True), (again.run_id, True, False), (first.run_id, False, False)]
    for said in story["predictions"]:  # each from the embedding that there was then
        check_sums(said)
    assert len(story["embeddings"]) == 2


def test_contributions_that_cannot_be_said_are_not_made_up(archive: Callable[[int], Archive]) -> None:
    one = archive(1)
    one.backfill()
    for file in one.workspace.dataset_files("embeddings"):
        file.unlink()
    (said,) = told(one)["predictions"]
    assert "no embedding" in said["unexplained"]
    assert said["shares"][0]["logit"] is None
    assert said["shares"][0]["score"] > 0
    commit(one.workspace, "20990101T000000Z-aaaa", embeddings=[{"gridimage_id": 1}], encoder=FakeEncoder.encoder_id)
    (said,) = told(one)["predictions"]
    assert said["unexplained"] is not None
    assert "cannot be said" in story_text(explain_photo(one.workspace, one.config, 1))


def test_a_bundle_is_explained_by_the_member_that_scored(archive: Callable[[int], Archive]) -> None:
    one = archive(1)
    members = [
        make_head(one.workspace, FakeEncoder.encoder_id, seed=3),
        make_head(one.workspace, FakeEncoder.encoder_id, seed=4, modalities=("image", "title")),
    ]
    one.photos[0]["grid_reference"] = None
    one.write()
    one.use(save_bundle(one.workspace, "both", members).head_id)
    one.backfill()
    (said,) = told(one)["predictions"]
    check_sums(said)
    assert said["head_id"] == members[1]
    assert f"scored by {members[1]}" in story_text(explain_photo(one.workspace, one.config, 1))


def test_failures_tell_when_the_photo_is_tried_again(archive: Callable[[int], Archive]) -> None:
    one = archive(1)
    later = datetime(2999, 1, 1, 20)
    commit(one.workspace, "20260101T000000Z-aaaa", failures=[{"gridimage_id": 1, "retry_after": later}])
    commit(one.workspace, "20260102T000000Z-aaaa", failures=[{"gridimage_id": 1, "retry_after": later, "attempts": 2}])
    newest, first = told(one)["failures"]
    assert (newest["attempts"], newest["stands"], newest["due"]) == (2, True, False)
    assert (first["attempts"], first["stands"]) == (1, False)
    assert "next retry after 2999-01-01 20:00" in story_text(explain_photo(one.workspace, one.config, 1))
    one.backfill(retry_failed=True)
    assert [row["stands"] for row in told(one)["failures"]] == [False, False]


def test_hostile_text_cannot_move_the_cursor(archive: Callable[[int], Archive]) -> None:
    one = archive(1)
    one.photos[0]["title"] = "\x1b[31mred\r\nphotos: all deleted"
    one.write()
    text = story_text(explain_photo(one.workspace, one.config, 1))
    assert "\\u001b[31mred\\u000d\\u000aphotos" in text
    assert "\x1b" not in text


def test_a_photo_that_the_catalogue_does_not_have_is_one_clear_error(archive: Callable[[int], Archive]) -> None:
    one = archive(1)
    with pytest.raises(InputError, match="photo 99 is not in the catalogue"):
        explain_photo(one.workspace, one.config, 99)


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "", "1e3", "\u0663", str(2**63)])
def test_what_is_no_number_of_a_photo_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not the number of a photo"):
        parse_id(text)
    assert parse_id(str(2**63 - 1)) == 2**63 - 1
