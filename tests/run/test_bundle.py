"""Bundles: photos that lack something are scored by the head that does without, and the prediction says so."""

from collections.abc import Callable

import numpy as np
import pytest

from geotag_batch.config import set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import HeadError, ImageRootError
from geotag_batch.predict.bundle import Scorer
from geotag_batch.predict.features import DEFAULT_RULE, PUBLISHED_RULE, LocationRule, feature_width
from geotag_batch.predict.head import HeadDraft, load_head, read_head_info, save_head
from geotag_batch.predict.policy import Policy
from geotag_batch.run.heads import bundle_heads, set_policy
from geotag_batch.run.verify import verify
from tests.run.conftest import Archive

_WHOLE, _UNTITLED, _BARE = ("image", "title", "location"), ("image", "location"), ("title", "location")


def _head(
    made: Archive,
    modalities: tuple[str, ...],
    encoder_id: str = FakeEncoder.encoder_id,
    rule: LocationRule = DEFAULT_RULE,
) -> str:
    chance = np.random.default_rng(len("".join(modalities)))
    tensors = {
        "weight": chance.normal(0, 0.3, (49, feature_width(modalities, 512))).astype(np.float32),
        "bias": chance.normal(-1, 0.3, 49).astype(np.float32),
    }
    location = rule if "location" in modalities else None
    name = "-".join(modalities)
    return save_head(made.workspace, HeadDraft(name, modalities, 512, location, encoder_id, "given"), tensors).head_id


@pytest.fixture
def bundled(archive: Callable[[int], Archive]) -> Archive:
    """Return 12 photos: 3 and 4 without title, 5 without location, 6 without image, 7 with a broken one."""
    made = archive(12)
    made.photos[2]["title"] = None
    made.photos[3]["title"] = " "
    made.photos[4]["grid_reference"] = None
    made.write()
    made.image(6).unlink()
    made.image(7).write_bytes(b"<html>no</html>")
    heads = [_head(made, each) for each in (_BARE, ("image", "title"), _WHOLE, _UNTITLED)]
    made.use(bundle_heads(made.workspace, "all", heads).head_id)
    return made


def _made_from(made: Archive) -> dict[int, tuple[bool, bool, bool]]:
    rows = made.rows("SELECT gridimage_id, has_image, has_title, has_location FROM predictions")
    return {row[0]: row[1:] for row in rows}


def test_a_photo_without_title_or_location_is_scored_by_the_best_head_for_what_it_has(bundled: Archive) -> None:
    record = bundled.backfill()
    assert (record.predicted, record.failures) == (10, {"missing": 1, "not_an_image": 1})
    whole = dict.fromkeys((1, 2, 8, 9, 10, 11, 12), (True, True, True))
    assert _made_from(bundled) == whole | {
        3: (True, False, True),
        4: (True, False, True),
        5: (True, True, False),
    }
    scores = bundled.scores(str(bundled.config.head.current))
    for modalities, number, place in ((_WHOLE, 1, 0), (_UNTITLED, 3, 2), (("image", "title"), 5, 4)):
        member = next(
            each for each in read_head_info(bundled.workspace, str(bundled.config.head.current)).members
            if load_head(bundled.workspace, each).info.modalities == modalities
        )  # fmt: skip
        bundled.use(member)
        bundled.backfill(ids=(number,))
        assert np.array_equal(bundled.scores(member)[0], scores[place])
        bundled.use(_current(bundled))
    assert not verify(bundled.workspace).problems


def _current(made: Archive) -> str:
    return next(path.parent.name for path in made.workspace.heads.glob("all-*/head.json"))


def test_nothing_is_pending_after_a_run_and_a_new_title_makes_a_photo_so(bundled: Archive) -> None:
    set_key(bundled.workspace, "run.missing_image", "score")
    assert bundled.backfill().predicted == 12
    assert bundled.backfill().pending == 0
    assert bundled.backfill(check_images=True).pending == 1  # the broken image is looked at again, the missing one not
    bundled.photos[2]["title"] = "It has one now"
    bundled.photos[4]["grid_reference"] = "TQ3080"
    bundled.write()
    bundled.draw(6)
    bundled.draw(7)
    assert bundled.backfill(check_images=True).predicted == 4
    assert _made_from(bundled)[3] == _made_from(bundled)[5] == _made_from(bundled)[6] == (True, True, True)
    assert _made_from(bundled)[7] == (True, True, True)


def test_a_missing_image_stays_a_failure_unless_asked_otherwise(bundled: Archive) -> None:
    assert bundled.config.run.missing_image == "fail"
    bundled.backfill()
    assert bundled.rows("SELECT gridimage_id FROM failures ORDER BY 1") == [(6,), (7,)]
    set_key(bundled.workspace, "run.missing_image", "score")
    assert bundled.backfill().pending == 0  # they are failed and not due yet
    record = bundled.backfill(retry_failed=True)
    assert (record.predicted, record.failed) == (2, 0)
    assert _made_from(bundled)[6] == _made_from(bundled)[7] == (False, True, True)
    assert bundled.rows("SELECT count(*) FROM failures") == [(0,)]
    stored = bundled.rows("SELECT image_signature FROM predictions WHERE gridimage_id = 6")
    assert stored == [(None,)]


def test_a_new_policy_is_decided_from_stored_scores_of_whatever_member(bundled: Archive) -> None:
    set_key(bundled.workspace, "run.missing_image", "score")
    bundled.backfill()
    before, made_from = bundled.scores(_current(bundled)), _made_from(bundled)
    set_policy(bundled.workspace, _current(bundled), threshold=0.9)
    for path in (bundled.workspace.root / "images").rglob("*.jpg"):
        path.unlink()
    record = bundled.backfill()
    assert (record.predicted, record.images_encoded) == (12, 0)
    assert _made_from(bundled) == made_from
    assert np.array_equal(bundled.scores(_current(bundled)), before)
    (policy,) = {row[0] for row in bundled.rows("SELECT policy_id FROM predictions")}
    assert policy == Policy(0.9).policy_id


def test_an_image_root_that_is_gone_is_not_scored_around(bundled: Archive) -> None:
    set_key(bundled.workspace, "run.missing_image", "score")
    (bundled.workspace.root / "images").rename(bundled.workspace.root / "unmounted")
    with pytest.raises(ImageRootError):
        bundled.backfill()
    assert not list(bundled.workspace.dataset_files("predictions"))


def test_heads_that_do_not_go_together_are_refused(bundled: Archive) -> None:
    workspace = bundled.workspace
    whole, bare = _head(bundled, _WHOLE), _head(bundled, _BARE)
    foreign = _head(bundled, ("title",), encoder_id="other-12345678")
    published = _head(bundled, ("location",), rule=PUBLISHED_RULE)
    for heads, message in (
        ((whole,), "at least two heads"),
        ((whole, whole), "at least two heads"),
        ((whole, foreign), "was trained on encoder"),
        ((whole, published), "by different rules"),
        ((whole, "nonsense"), "no head 'nonsense'"),
        ((_current(bundled), bare), "is a bundle"),
    ):
        with pytest.raises(HeadError, match=message):
            bundle_heads(workspace, "b", heads)


def test_the_first_member_that_needs_nothing_missing_is_chosen(bundled: Archive) -> None:
    info = read_head_info(bundled.workspace, _current(bundled))
    members = [load_head(bundled.workspace, each) for each in info.members]
    assert [len(member.info.modalities) for member in members] == [3, 2, 2, 2]
    available = np.array([[a, b, c] for a in (True, False) for b in (True, False) for c in (True, False)])
    chosen = Scorer(info, members).choose(available)
    found = [members[place].info.modalities for place in chosen]
    assert found[0] == _WHOLE
    assert found[1] == ("image", "title")
    assert found[2] == _UNTITLED
    assert found[3] == _WHOLE  # an image alone: nothing fits, and the best head has a value for what is missing
    assert found[4:] == [_BARE] * 4  # without image no head that takes one
