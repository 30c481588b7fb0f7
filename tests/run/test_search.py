"""Searching what is stored: which photos, in which order, and what is said where there is nothing to search."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.config import Config, EncoderConfig, HeadConfig
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError, GeotagError, InputError, StorageError, UsageError
from geotag_batch.read.near import parse_place
from geotag_batch.run.search import Answer, Wish, search
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views
from tests.builders import RUN_1, RUN_2, RUN_3, commit, query, write_catalogue
from tests.data import prediction, write_head
from tests.predict.test_nearest import plain

FAKE, WEIGHTS = FakeEncoder.encoder_id, FakeEncoder.weights_sha256
CONFIG = replace(Config(), encoder=EncoderConfig(model="fake"))
COUNT = 300


class Stored:
    """300 photos in four files of the fake encoder: equal ones, ones of zeros, some without image, some embedded again.

    `vectors` has what counts; photos 1 to 20 lie in TQ3080, the others in TQ9000, and 300 is in no catalogue.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        chance = np.random.default_rng(5)
        self.ids = np.arange(1, COUNT + 1)
        self.vectors = {
            modality: (chance.standard_normal((COUNT, 512)) + 0.2).astype(np.float16) for modality in ("image", "title")
        }
        for vectors in self.vectors.values():
            vectors[40:60] = vectors[4]  # equal to what is asked for
            vectors[60:70] = vectors[99]
            vectors[70:72] = 0
        old = {name: chance.standard_normal((COUNT, 512)).astype(np.float16) for name in self.vectors}
        old["image"][9::10] = self.vectors["image"][4]  # would be the nearest of all, but for what overtook it
        self.without_image = set(range(201, 211))
        photos = [
            {"gridimage_id": photo, "title": f"Photo {photo}", "grid_reference": "TQ3080" if photo <= 20 else "TQ9000"}
            for photo in range(1, COUNT)
        ]
        write_catalogue(workspace, photos)
        again = self.ids[9::10]
        once = np.setdiff1d(self.ids, again)
        self._commit(RUN_1, 1, once[::2], self.vectors)
        self._commit(RUN_1, 2, again, old)
        self._commit(RUN_2, 1, once[1::2], self.vectors)
        self._commit(RUN_2, 2, again[:15], old)
        self._commit(RUN_2, 3, again[15:], self.vectors)
        self._commit(RUN_3, 1, again[:15], self.vectors)
        nearest = [{"gridimage_id": photo, "image_embedding": self.vectors["image"][4]} for photo in (250, 1000)]
        commit(workspace, RUN_3, encoder="other-encoder", number=2, embeddings=nearest)

    def _commit(
        self, run_id: str, number: int, ids: NDArray[np.int64], vectors: dict[str, NDArray[np.float16]]
    ) -> None:
        rows = [
            {
                "gridimage_id": photo,
                "image_embedding": None if photo in self.without_image else vectors["image"][photo - 1],
                "title_embedding": vectors["title"][photo - 1],
                "image_signature": None if photo in self.without_image else "1-1",
            }
            for photo in ids.tolist()
        ]
        commit(self.workspace, run_id, encoder=FAKE, number=number, embeddings=rows, weights=WEIGHTS)

    def plain(self, vector: NDArray[Any], limit: int, modality: str = "image", but: int = 0) -> list[tuple[int, float]]:
        """Return the plain answer over what counts."""
        has = np.array([modality == "title" or photo not in self.without_image for photo in self.ids.tolist()])
        has &= self.ids != but
        return plain(vector, self.ids[has], self.vectors[modality][has], limit)


@pytest.fixture
def stored(workspace: Workspace) -> Stored:
    return Stored(workspace)


def in_use(stored: Stored) -> Config:
    """Return a configuration whose head was trained on the fake encoder."""
    return replace(CONFIG, head=HeadConfig(write_head(stored.workspace, encoder=FAKE)))


def pairs(answer: Answer) -> list[tuple[int, float]]:
    return [(match.gridimage_id, match.similarity) for match in answer.matches]


@pytest.mark.parametrize("modality", ["image", "title"])
def test_a_photo_like_another_is_found_as_in_a_plain_answer_among_newest_embeddings_alone(
    stored: Stored, modality: str
) -> None:
    answer = search(stored.workspace, in_use(stored), Wish(like=5, modality=modality, limit=100))
    expected = stored.plain(stored.vectors[modality][4], 100, modality, but=5)
    assert pairs(answer) == expected
    assert [photo for photo, similarity in expected if similarity == 1.0] == list(range(41, 61))
    assert answer.compared == (290 if modality == "image" else 300)
    assert answer.encoder_id == FAKE


def test_a_text_is_encoded_as_a_title_is(stored: Stored) -> None:
    text = "Stone bridge over a river"
    answer = search(stored.workspace, CONFIG, Wish(text=text, limit=30))
    assert pairs(answer) == stored.plain(FakeEncoder().encode_titles([text])[0], 30)
    assert not answer.cut
    assert search(stored.workspace, CONFIG, Wish(text="bridge " * 80)).cut


def test_only_photos_near_a_place_are_compared_and_their_distance_is_said(stored: Stored) -> None:
    near = parse_place("TQ3180", 5)
    answer = search(stored.workspace, in_use(stored), Wish(like=5, near=near, limit=100))
    everything = stored.plain(stored.vectors["image"][4], COUNT, but=5)
    assert pairs(answer) == [pair for pair in everything if pair[0] <= 20]
    assert answer.compared == 20
    assert {round(match.km or 0, 1) for match in answer.matches} == {1.0}
    nowhere = Wish(like=5, near=parse_place("NN1671", 5))
    assert search(stored.workspace, in_use(stored), nowhere).matches == []


def test_only_photos_with_a_tag_are_compared_if_one_is_asked_for(stored: Stored) -> None:
    config = in_use(stored)
    rows = [prediction(photo, {"Paths": 0.9} if photo % 2 else {"Moorland": 0.9}) for photo in range(1, 31)]
    commit(stored.workspace, RUN_3, head=str(config.head.current), number=9, predictions=rows)
    answer = search(stored.workspace, config, Wish(like=5, tag="Paths", limit=100))
    assert {match.gridimage_id for match in answer.matches} == set(range(1, 31, 2)) - {5}
    both = Wish(like=5, tag="Paths", near=parse_place("TQ3080", 5), limit=100)
    assert {match.gridimage_id for match in search(stored.workspace, config, both).matches} == set(range(1, 21, 2)) - {
        5
    }


def test_the_macro_gives_the_same_photos_with_the_same_similarity(stored: Stored) -> None:
    config = in_use(stored)
    rebuild_views(stored.workspace, config)
    for macro, modality in (("similar_to", "image"), ("similar_to_title", "title")):
        answer = search(stored.workspace, config, Wish(like=5, modality=modality, limit=50))
        attached = f"ATTACH '{stored.workspace.database}' AS archive (READ_ONLY); USE archive;"
        rows = query(f"{attached} SELECT gridimage_id, similarity, title FROM {macro}(5, first_rows := 50)")
        assert [row[:2] for row in rows] == pairs(answer)
        assert [row[2] for row in rows] == [match.title for match in answer.matches]
    assert query(f"{attached} FROM similar_to(205)") == []
    assert query(f"{attached} FROM similar_to(71)") == []


def test_a_photo_that_left_the_catalogue_is_shown_without_a_title(stored: Stored) -> None:
    answer = search(stored.workspace, in_use(stored), Wish(like=5, limit=COUNT))
    titles = {match.gridimage_id: match.title for match in answer.matches}
    assert titles[300] is None
    assert titles[6] == "Photo 6"


@pytest.mark.parametrize(
    ("wish", "kind", "message"),
    [
        (Wish(), UsageError, "either a text or --like"),
        (Wish(text="a", like=5), UsageError, "either a text or --like"),
        (Wish(text=" \t"), UsageError, "the text is empty"),
        (Wish(like=5, tag="Dragons"), UsageError, "Dragons is none of the 49 tags"),
        (Wish(like=999), InputError, "photo 999 is not in the catalogue"),
        (Wish(like=205), InputError, "photo 205 has no image embedding by fake-"),
        (Wish(like=71), InputError, "photo 71 is all zeros"),
    ],
    ids=str,
)
def test_a_wish_that_cannot_be_met_is_one_message_with_a_hint(
    stored: Stored, wish: Wish, kind: type[GeotagError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        search(stored.workspace, in_use(stored), wish)
    assert caught.value.hint


def test_a_photo_that_is_not_embedded_yet_is_told_from_one_that_nobody_knows(stored: Stored) -> None:
    write_catalogue(stored.workspace, [{"gridimage_id": 400}], "more")
    with pytest.raises(InputError, match="photo 400 has no image embedding"):
        search(stored.workspace, in_use(stored), Wish(like=400))


def test_vectors_of_two_encoders_are_never_mixed(stored: Stored) -> None:
    with pytest.raises(InputError, match="embeddings of 2 encoders are stored") as caught:
        search(stored.workspace, CONFIG, Wish(like=5))
    assert "heads use" in str(caught.value.hint)
    other = replace(CONFIG, head=HeadConfig(write_head(stored.workspace, "elsewhere", encoder="third")))
    with pytest.raises(InputError, match="no embeddings of encoder third are stored"):
        search(stored.workspace, other, Wish(like=5))


def test_where_nothing_is_embedded_no_encoder_is_loaded(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="nothing is embedded") as caught:
        search(workspace, Config(), Wish(text="a bridge"))  # CLIP's weights are not on this machine
    assert "geotag embed" in str(caught.value.hint)


def test_a_text_for_an_encoder_that_has_embedded_nothing_names_both(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}])
    with pytest.raises(InputError, match=f"no embeddings of encoder {FAKE} are stored, only of encoder-1"):
        search(workspace, CONFIG, Wish(text="a bridge"))


def test_a_text_is_not_compared_with_what_other_weights_under_the_same_name_made(workspace: Workspace) -> None:
    commit(workspace, RUN_1, encoder=FAKE, embeddings=[{"gridimage_id": 1}], weights="1" * 64)
    with pytest.raises(EncoderError, match="are not those that made its stored embeddings"):
        search(workspace, CONFIG, Wish(text="a bridge"))


def test_a_damaged_file_is_named(stored: Stored) -> None:
    path = sorted(stored.workspace.dataset_files("embeddings"))[2]
    data = bytearray(path.read_bytes())
    data[2000:2400] = bytes(400)
    path.write_bytes(data)
    with pytest.raises(StorageError, match=path.name) as caught:
        search(stored.workspace, in_use(stored), Wish(like=1))
    assert "verify" in str(caught.value.hint)
