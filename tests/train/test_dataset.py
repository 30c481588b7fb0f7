"""What a head learns from, read back from committed embeddings."""

from typing import Any

import numpy as np
import pytest

from geotag_batch.config import Config
from geotag_batch.errors import InputError
from geotag_batch.predict.features import DEFAULT_RULE, PUBLISHED_RULE, LocationRule
from geotag_batch.taxonomy import tag_index, tag_names
from geotag_batch.train.dataset import Split, TrainingSet, Wanted, choose_encoder, in_validation, read_training_set
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.builders import ENCODER, RUN_1, RUN_2, commit, title_hash, write_catalogue

_HASH = title_hash("a title")


def _photo(gridimage_id: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"gridimage_id": gridimage_id, "title": "a title", "tags": ["Coastal"], "grid_reference": None} | more


def _embedding(gridimage_id: int, value: float = 1.0, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"gridimage_id": gridimage_id, "image_embedding": np.full(512, value, np.float16)} | more


_ALL = ("image", "title", "location")


def _read(
    workspace: Workspace,
    modalities: tuple[str, ...] = _ALL,
    rule: LocationRule = DEFAULT_RULE,
    split: Split = Split(validation_ids=()),  # noqa: B008  frozen
) -> TrainingSet:
    return read_training_set(workspace, Config(), Wanted(ENCODER, 512, modalities, rule), split)


def _ids(photos: TrainingSet) -> list[int]:
    ids: list[int] = photos.examples.ids[photos.examples.training].tolist()
    return ids


def test_the_newest_embedding_of_each_tagged_photo_is_read_by_id(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(3), _photo(1), _photo(2), _photo(4, tags=[])])
    commit(workspace, RUN_1, embeddings=[_embedding(4, 9), _embedding(3, 3), _embedding(1, 8), _embedding(2, 2)])
    commit(workspace, RUN_2, embeddings=[_embedding(1, 1)])
    photos = _read(workspace)
    assert _ids(photos) == [1, 2, 3]
    assert photos.examples.parts["image"][:, 0].tolist() == [1, 2, 3]
    assert photos.examples.parts["image"].dtype == np.float16
    assert not any(photos.left_out.values())


def test_labels_are_in_ascending_tag_id_and_other_tags_are_not_learned(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1, tags=["Uplands", "top hat", "Coastal"])])
    commit(workspace, RUN_1, embeddings=[_embedding(1)])
    photos = _read(workspace)
    labels = photos.examples.labels
    assert labels.shape == (1, 49)
    assert np.flatnonzero(labels[0]).tolist() == [tag_index()["Coastal"], tag_index()["Uplands"]]
    assert photos.unknown_tags == {"top hat": 1}
    assert set(photos.untaught) == set(tag_names()) - {"Coastal", "Uplands"}


def test_photos_that_cannot_teach_are_left_out_and_counted(workspace: Workspace) -> None:
    write_catalogue(
        workspace,
        [
            _photo(1),
            _photo(2, tags=list(tag_names()[:6])),
            _photo(3),
            _photo(4, title="changed since"),
            _photo(5),
            _photo(6, tags=list(tag_names()[:5])),
        ],
    )
    commit(
        workspace,
        RUN_1,
        embeddings=[
            _embedding(1),
            _embedding(2),
            _embedding(4),
            _embedding(5, image_embedding=None, image_signature=None),
            _embedding(6),
        ],
    )
    photos = _read(workspace)
    assert _ids(photos) == [1, 6]
    assert photos.left_out == {
        "not embedded, or not since the title changed": 2,
        "more than 5 tags": 1,
        "without the embedding of a modality": 1,
        "held out with rejected tags alone": 0,
    }
    assert _ids(_read(workspace, ("title",))) == [1, 5, 6]


def test_locations_follow_the_rule_of_the_head(workspace: Workspace) -> None:
    write_catalogue(
        workspace,
        [
            _photo(1, grid_reference="TQ 3080"),
            _photo(2, grid_reference="M 2925"),
            _photo(3, wgs84_lat=51.0, wgs84_long=-1.0),
            _photo(4),
        ],
    )
    commit(workspace, RUN_1, embeddings=[_embedding(number) for number in (1, 2, 3, 4)])
    # Charing Cross, Galway, as given, unknown: worked out by hand from the bounds 49.9..61.9 and -8.6..2.1
    expected: list[list[float]] = [[0.1340, 0.7924], [0.2813, -0.0428], [0.0917, 0.7103], [0, 0]]
    locations = _read(workspace).examples.parts["location"]
    assert locations.dtype == np.float32
    np.testing.assert_allclose(locations, expected, atol=0.002)
    published = _read(workspace, ("location",), PUBLISHED_RULE).examples.parts["location"]
    np.testing.assert_allclose(published, expected[:1] + [[0.0, 0.0]] * 3, atol=0.002)


def test_features_are_image_title_location_as_stored(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1, wgs84_lat=61.9, wgs84_long=-8.6)])
    title = np.full(512, 0.1, np.float16)
    commit(workspace, RUN_1, embeddings=[_embedding(1, 3, title_embedding=title)])
    features = _read(workspace).examples.features(np.array([0]), _ALL)
    assert features.dtype == np.float32
    assert features.shape == (1, 1026)
    assert set(features[0, :512]) == {np.float32(3)}
    assert set(features[0, 512:1024]) == {np.float32(np.float16(0.1))}
    np.testing.assert_allclose(features[0, 1024:], [1, 0], atol=1e-6)


def test_the_only_stored_encoder_is_learned_from(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1)])
    with pytest.raises(InputError, match="nothing is embedded") as caught:
        choose_encoder(workspace, None)
    assert "geotag embed" in str(caught.value.hint)
    commit(workspace, RUN_1, embeddings=[_embedding(1)])
    assert choose_encoder(workspace, None) == (ENCODER, 512)
    with pytest.raises(InputError, match=f"no embeddings of encoder other are stored, only of {ENCODER}"):
        choose_encoder(workspace, "other")


def test_the_fingerprint_of_the_photos_changes_with_their_tags(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1), _photo(2)])
    commit(workspace, RUN_1, embeddings=[_embedding(1), _embedding(2)])
    before, again = _read(workspace).examples.digest(), _read(workspace).examples.digest()
    write_catalogue(workspace, [_photo(1), _photo(2, tags=["Uplands"])])
    assert before == again != _read(workspace).examples.digest()


def test_the_split_is_splitmix64_of_the_id() -> None:
    # Published first outputs of SplitMix64: seed 1234567 gives 6457827717110365317 (Rosetta Code, "Pseudo-random
    # numbers/Splitmix64"), seed 0 gives 0xE220A8397B1DCDAF.
    for gridimage_id, output in ((1234567, 6457827717110365317), (0, 0xE220A8397B1DCDAF)):
        ids = np.array([gridimage_id])
        assert not in_validation(ids, 0, (output - 2**40) / 2**64).any()
        assert in_validation(ids, 0, (output + 2**40) / 2**64).all()


def test_the_split_holds_out_a_fifth_and_stays_as_the_archive_grows() -> None:
    ids = np.arange(7_000_000, 7_050_000)
    held_out = in_validation(ids, seed=3)
    assert held_out.mean() == pytest.approx(0.2, abs=0.01)
    assert np.array_equal(in_validation(ids[::2], seed=3), held_out[::2])
    assert (in_validation(ids, seed=4) != held_out).mean() == pytest.approx(0.32, abs=0.02)  # 2 * 0.2 * 0.8


def test_a_file_of_ids_may_decide_the_split(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1), _photo(2), _photo(3)])
    commit(workspace, RUN_1, embeddings=[_embedding(1), _embedding(2), _embedding(3)])
    examples = _read(workspace, split=Split(validation_ids=(3, 1))).examples
    assert examples.ids[examples.training].tolist() == [2]
    assert examples.ids[examples.validation].tolist() == [1, 3]
    with pytest.raises(InputError, match="1 ids are not among the tagged and embedded photos with few enough tags: 7"):
        _read(workspace, split=Split(validation_ids=(3, 7)))


def test_vectors_are_not_held_in_memory_of_their_own(workspace: Workspace) -> None:
    write_catalogue(workspace, [_photo(1), _photo(2)])
    commit(workspace, RUN_1, embeddings=[_embedding(1), _embedding(2)])
    image = _read(workspace).examples.parts["image"]
    bases: list[Any] = [image]
    while getattr(bases[-1], "base", None) is not None:
        bases.append(bases[-1].base)
    assert "mmap" in {type(base).__name__ for base in bases}
    assert not [path for path in workspace.cache.rglob("*") if path.is_file()]  # the file has no name


def _decide(workspace: Workspace, *decisions: tuple[int, str, str]) -> None:
    append_decisions(workspace, [Decision(photo, tag, kind, "Ann", "review") for photo, tag, kind in decisions])


def _labels(photos: TrainingSet, gridimage_id: int) -> list[str]:
    (row,) = np.flatnonzero(photos.examples.ids == gridimage_id)
    return [tag_names()[place] for place in np.flatnonzero(photos.examples.labels[row])]


@pytest.fixture
def reviewed(workspace: Workspace) -> Workspace:
    """Photos 1 and 2 are tagged Coastal, 3 to 6 are not; people decided on all but 2 and 6."""
    write_catalogue(workspace, [_photo(number, tags=["Coastal"] if number <= 2 else []) for number in range(1, 7)])
    commit(workspace, RUN_1, embeddings=[_embedding(number) for number in range(1, 7)])
    _decide(
        workspace,
        (1, "Coastal", "reject"),
        (1, "Uplands", "add"),
        (3, "Paths", "accept"),
        (4, "Paths", "reject"),
        (5, "Paths", "accept"),
        (5, "Paths", "withdraw"),
    )
    return workspace


def test_given_tags_are_labels_and_rejected_ones_are_not_whatever_contributors_said(reviewed: Workspace) -> None:
    photos = _read(reviewed)
    assert _ids(photos) == [1, 2, 3, 4]
    assert [_labels(photos, number) for number in (1, 2, 3, 4)] == [["Uplands"], ["Coastal"], ["Paths"], []]
    decided = photos.examples.decided
    assert decided is not None
    assert decided.sum(axis=1).tolist() == [2, 0, 1, 1]
    used = photos.decisions
    assert used is not None
    assert (used.photos, used.given, used.rejected) == (3, 2, 2)
    assert (used.added, used.removed, used.labelled, used.only_rejected) == (2, 1, 1, 1)


def test_without_decisions_only_contributors_tags_count(reviewed: Workspace) -> None:
    wanted = Wanted(ENCODER, 512, _ALL, DEFAULT_RULE, decisions=False)
    photos = read_training_set(reviewed, Config(), wanted, Split(validation_ids=()))
    assert _ids(photos) == [1, 2]
    assert _labels(photos, 1) == ["Coastal"]
    assert photos.decisions is None
    assert photos.examples.decided is None


def test_a_photo_with_rejected_tags_alone_is_not_judged_by_as_a_whole(reviewed: Workspace) -> None:
    photos = _read(reviewed, split=Split(validation_ids=(2, 3, 4)))
    assert photos.examples.ids[photos.examples.validation].tolist() == [2, 3]
    assert photos.examples.ids[photos.examples.only_rejected].tolist() == [4]
    assert photos.left_out["held out with rejected tags alone"] == 1


def test_the_digest_of_decisions_changes_with_each_of_them(reviewed: Workspace) -> None:
    first = _read(reviewed)
    _decide(reviewed, (2, "Coastal", "accept"))  # says what the contributor said: known, and no other label
    second = _read(reviewed)
    assert np.array_equal(first.examples.labels, second.examples.labels)
    assert first.decisions is not None
    assert second.decisions is not None
    assert first.decisions.sha256 != second.decisions.sha256
    assert first.sha256 != second.sha256
