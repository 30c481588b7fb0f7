"""People decide, a head is trained again, and the evaluation shows what it learned from them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import InputError
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.evaluate import Question, evaluate
from geotag_batch.run.evaluate_text import summary
from geotag_batch.run.fit import Aim, fit_head
from geotag_batch.run.plan import Selection
from geotag_batch.run.train import Lesson, read_photos, train_head
from geotag_batch.train.checkpoint import Checkpoints
from geotag_batch.train.recipe import Recipe
from geotag_batch.write.decisions import Decision, append_decisions
from tests.heads import make_head
from tests.run.conftest import Archive

_TRUTH = {"shore": "Coastal", "hill": "Uplands", "rail": "Railways", "mill": "Industry"}
_SAID = _TRUTH | {"rail": "Roads, Road transport"}  # contributors took railways for roads
_WORDS = tuple(_TRUTH)
_RECIPE = Recipe.published(modalities=("title",), epochs=60)


def _word(photo: int) -> str:
    return _WORDS[photo % 4]


@pytest.fixture
def mistaken(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 260 photos, all embedded, the first 80 tagged by contributors who mistook railways."""
    made = archive(260)
    for photo in made.photos:
        number = photo["gridimage_id"]
        photo["title"] = f"{_word(number)} {number % 5}"
        photo["tags"] = [_SAID[_word(number)]] if number <= 80 else []
    made.write()
    run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    return made


def _train(made: Archive, name: str, **lesson: Any) -> Any:  # noqa: ANN401
    report = train_head(made.workspace, made.config, Lesson(_RECIPE, name, **lesson))
    assert report.head is not None
    return report


def _review(made: Archive, count: int) -> None:
    """Decide as one who looks: accept what is true, else reject it and add the true tag; `count` decisions in all."""
    decisions: list[Decision] = []
    queue = made.rows("SELECT gridimage_id, tags, run_id FROM review_queue")
    for photo, tags, run_id in queue:
        for tag in tags:
            true = tag == _TRUTH[_word(photo)]
            decisions.append(Decision(photo, tag, "accept" if true else "reject", "Ann", "review", run_id=run_id))
        if _TRUTH[_word(photo)] not in tags:
            decisions.append(Decision(photo, _TRUTH[_word(photo)], "add", "Ann", "review"))
    assert len(decisions) >= count
    append_decisions(made.workspace, decisions[:count])


def _right(made: Archive) -> float:
    """Return the share of the photos that nobody has decided on whose predicted tags are the truth."""
    rows = made.rows("SELECT gridimage_id, tags FROM predictions ANTI JOIN decisions_by_photo USING (gridimage_id)")
    return float(np.mean([tags == [_TRUTH[_word(photo)]] for photo, tags in rows]))


def test_after_200_decisions_a_head_learns_from_them_and_the_evaluation_shows_it(mistaken: Archive) -> None:
    made = mistaken
    before = _train(made, "before").head.head_id
    made.use(before)
    made.backfill()
    _review(made, 200)
    report = _train(made, "after")
    used = report.photos.decisions
    assert used.given + used.rejected == 200
    assert report.head.provenance["decisions"]["photos"] == used.photos > 140
    assert report.head.provenance["recipe"]["rejected_weight"] == 2.0
    assert "people's decisions on" in (made.workspace.head_dir(report.head.head_id) / "README.md").read_text()

    document = evaluate(made.workspace, made.config, Question((before, report.head.head_id), resamples=100)).document
    held_out = document["decisions"]
    assert 20 <= held_out["given"] + held_out["rejected"] < 200
    old, new = (head["on_decisions"] for head in document["heads"])
    assert old["rejected_given_again"] == held_out["rejected"] > 0
    assert new["rejected_given_again"] == 0
    assert old["agreement"] < 0.8
    assert new["agreement"] > 0.95
    text = summary(document)
    assert f"people decided on {held_out['photos']} photos held out" in text
    assert f"and 0 of the {held_out['rejected']} rejected" in text

    wrong_before = 1 - _right(made)
    made.use(report.head.head_id)
    made.backfill()
    assert wrong_before > 0.2
    assert 1 - _right(made) < wrong_before / 2


def test_another_head_predicts_reviewed_photos_too_but_asks_only_what_is_not_decided(
    archive: Callable[[int], Archive],
) -> None:
    made = archive(12)
    made.backfill()
    queue = "SELECT gridimage_id, undecided FROM review_queue ORDER BY 1"
    first = dict(made.rows(queue))
    append_decisions(
        made.workspace,
        [Decision(photo, tag, "reject", "Ann", "review") for photo, tags in first.items() for tag in tags],
    )
    made.backfill(redo_before=datetime.max)
    assert made.rows(queue) == []
    made.use(make_head(made.workspace, FakeEncoder.encoder_id, seed=9))
    assert made.backfill().predicted == 12
    again = dict(made.rows(queue))
    assert again
    assert all(not set(tags) & set(first[photo]) for photo, tags in again.items())
    assert made.rows("SELECT tags FROM effective_tags") == [([],)] * 12


def test_a_training_does_not_go_on_with_other_decisions_and_names_them(
    mistaken: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = mistaken

    def interrupted(self: Checkpoints, name: str, *rest: Any) -> None:  # noqa: ANN401
        save(self, name, *rest)
        raise KeyboardInterrupt

    save = Checkpoints.save
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _train(made, "slow")
    append_decisions(made.workspace, [Decision(3, "Railways", "add", "Ann", "review")])
    with pytest.raises(InputError, match=r"decided photos was 0, is 1; sha256 of decisions was null, is [0-9a-f]{12}"):
        _train(made, "slow")
    assert _train(made, "slow", decisions=False).photos.decisions is None


def test_evaluation_and_fitting_can_judge_by_rejections_alone_and_without_any(mistaken: Archive) -> None:
    made = mistaken
    head = _train(made, "before").head.head_id
    held_out = read_photos(made.workspace, made.config, Lesson(_RECIPE), ("title",))[1].examples
    photo = int(held_out.ids[held_out.validation][0])
    append_decisions(made.workspace, [Decision(photo, _SAID[_word(photo)], "reject", "Ann", "review")])
    question = Question((head,), resamples=100)
    document = evaluate(made.workspace, made.config, question).document
    assert document["photos"] == len(held_out.validation) - 1
    assert document["decisions"] == {"photos": 1, "given": 0, "rejected": 1}
    assert document["heads"][0]["on_decisions"]["agreement"] == 0
    assert document["left_out"]["held out with rejected tags alone"] == 1
    document = evaluate(made.workspace, made.config, replace(question, decisions=False)).document
    assert (document["photos"], document["decisions"]) == (len(held_out.validation), None)
    assert "people decided" not in summary(document)
    assert fit_head(made.workspace, made.config, head, Aim("macro-f1")).photos == len(held_out.validation) - 1
