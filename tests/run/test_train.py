"""Training from a workspace, with the fake encoder, and what production then makes of the head."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from geotag_batch.errors import InputError
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import load_head
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.heads import use_head
from geotag_batch.run.plan import Selection
from geotag_batch.run.train import Lesson, train_head
from geotag_batch.train.dataset import choose_encoder, read_training_set
from geotag_batch.train.trainer import Recipe
from tests.run.conftest import Archive

_TAGS = ("Coastal", "Uplands", "Railways")


@pytest.fixture
def learning(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 90 photos, the first 60 tagged, whose titles tell the tag; the tagged are embedded."""
    made = archive(90)
    for photo in made.photos:
        tag = _TAGS[photo["gridimage_id"] % 3]
        photo["title"] = f"{tag} {photo['gridimage_id'] % 5}"
        photo["tags"] = [tag] if photo["gridimage_id"] <= 60 else []
    made.write()
    run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    return made


def test_a_trained_head_tags_photos_that_it_did_not_see(learning: Archive) -> None:
    report = train_head(learning.workspace, learning.config, Lesson())
    assert report.training + report.validation == 60
    assert report.head.name == "linear-img-txt-loc"
    assert report.head.encoder_declared == "trained"
    use_head(learning.workspace, report.head.head_id)
    assert learning.backfill().predicted == 30
    right = [
        tags == [_TAGS[number % 3]] for number, tags in learning.rows("SELECT gridimage_id, tags FROM predictions")
    ]
    assert len(right) == 30
    assert np.mean(right) > 0.8


def test_production_scores_are_those_of_the_features_that_were_trained_on(learning: Archive) -> None:
    report = train_head(learning.workspace, learning.config, Lesson())
    use_head(learning.workspace, report.head.head_id)
    learning.backfill(select="tagged")
    encoder = choose_encoder(learning.workspace, None)
    photos = read_training_set(learning.workspace, learning.config, encoder, report.head.modalities, DEFAULT_RULE)
    scores = load_head(learning.workspace, report.head.head_id).scores(
        photos.features(report.head.modalities, DEFAULT_RULE)
    )
    assert np.array_equal(learning.scores(report.head.head_id), scores)


def test_the_same_lesson_gives_the_same_head_and_says_what_it_learned_from(learning: Archive) -> None:
    lesson = Lesson(("title",), Recipe(epochs=8, seed=2), "words")
    first, again = (train_head(learning.workspace, learning.config, lesson) for _ in range(2))
    assert first.head.head_id == again.head.head_id
    assert first.head.head_id.startswith("words-")
    assert first.head.modalities == ("title",)
    assert first.head.location is None
    assert first.head.provenance["recipe"]["seed"] == 2
    assert first.head.provenance["photos_to_train"] == first.training
    assert set(first.head.metrics) == {
        "validation_subset_accuracy",
        "validation_macro_f1",
        "validation_micro_f1",
    }
    other = train_head(learning.workspace, learning.config, replace(lesson, recipe=Recipe(epochs=8, seed=3)))
    assert other.head.head_id != first.head.head_id


def test_training_without_embeddings_is_an_error_that_says_what_to_do(archive: Callable[[int], Archive]) -> None:
    made = archive(3)
    with pytest.raises(InputError, match="nothing is embedded"):
        train_head(made.workspace, made.config, Lesson())
