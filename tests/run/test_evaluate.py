"""Heads judged on an archive's labelled photos; what is written is read back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

from geotag_batch.config import set_key
from geotag_batch.errors import InputError, UsageError
from geotag_batch.predict.head import load_head, read_head_info, save_policy
from geotag_batch.predict.policy import Policy
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.evaluate import Evaluation, Question, evaluate
from geotag_batch.run.evaluate_text import summary
from geotag_batch.run.fit import Aim, calibrate_head, fit_head
from geotag_batch.run.heads import use_head
from geotag_batch.run.plan import Selection
from geotag_batch.run.train import Lesson, train_head
from geotag_batch.taxonomy import tag_names
from geotag_batch.train.recipe import Recipe
from tests.builders import write_catalogue
from tests.run.conftest import Archive

_SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def labelled(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 80 tagged and embedded photos; the title tells one of the tags, not always the right one."""
    made = archive(80)
    for photo in made.photos:
        number = photo["gridimage_id"]
        tag = ("Coastal", "Uplands", "Railways")[number % 3]
        photo["title"] = f"{tag} {number % 5}"
        photo["tags"] = ["Islands"] if number % 7 == 0 else [tag, "top hat"]
    made.photos[0]["title"] = _SCRIPT
    made.write()
    run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    return made


def _train(labelled: Archive, **recipe: Any) -> str:  # noqa: ANN401
    head = train_head(labelled.workspace, labelled.config, Lesson(Recipe.published(**recipe))).head
    assert head is not None
    return head.head_id


def _evaluate(labelled: Archive, *heads: str, **question: Any) -> Evaluation:  # noqa: ANN401
    return evaluate(labelled.workspace, labelled.config, Question(heads, resamples=100, **question))


def test_numbers_are_those_of_production_predictions_by_scikit_learn(labelled: Archive, tmp_path: Path) -> None:
    head = _train(labelled, epochs=30)
    found = _evaluate(labelled, head, ids=tuple(range(1, 41)), out=tmp_path / "out").document["heads"][0]
    use_head(labelled.workspace, head)
    labelled.backfill(select="tagged")
    rows = labelled.rows("SELECT gridimage_id, tags, scores FROM predictions WHERE gridimage_id <= 40 ORDER BY 1")
    truth = np.array([[tag in labelled.photos[row[0] - 1]["tags"] for tag in tag_names()] for row in rows])
    chosen = np.array([[tag in row[1] for tag in tag_names()] for row in rows])
    assert len(rows) == 40
    assert found["subset_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, chosen))
    used = (truth | chosen).any(axis=0)
    f1 = sklearn.metrics.f1_score(truth[:, used], chosen[:, used], average="macro")
    assert found["macro_f1"] == pytest.approx(f1)
    place = tag_names().index("Islands")
    scores = np.array([row[2] for row in rows])
    (row,) = (row for row in found["tags"] if row["tag"] == "Islands")
    assert row["support"] == 5
    assert row["average_precision"] == pytest.approx(
        sklearn.metrics.average_precision_score(truth[:, place], scores[:, place])
    )
    plain = scores > 0.5
    assert found["plain_0.5"]["subset_accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, plain))


def test_the_validation_photos_of_the_heads_own_split_are_taken(labelled: Archive) -> None:
    head = _train(labelled, epochs=5, seed=3)
    info = read_head_info(labelled.workspace, head)
    document = _evaluate(labelled, head).document
    assert document["photos"] == info.provenance["photos_to_validate"]
    assert document["heads"][0]["subset_accuracy"] == info.metrics["validation_subset_accuracy"]
    assert document["heads"][0]["macro_f1"] == pytest.approx(info.metrics["validation_macro_f1"])
    assert document["warnings"] == []
    assert document["unknown_tags"] == {"top hat": 69}
    other = _evaluate(labelled, head, seed=4).document
    assert "was trained with another split" in other["warnings"][0]


def test_tables_figures_and_a_page_are_written(labelled: Archive) -> None:
    head = _train(labelled, epochs=5)
    labelled.image(7).write_bytes(b"not an image")
    found = _evaluate(labelled, head, ids=tuple(range(1, 81)))
    folder = labelled.workspace.reports / f"evaluate-{head}"
    names = ["calibration.png", "evaluate.json", "evaluate.md", "f1.png", "misclassified.html", "tags.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert sorted(found.files) == [folder / name for name in names]
    assert json.loads((folder / "evaluate.json").read_text())["photos"] == 80
    assert "| Islands | 11 |" in (folder / "evaluate.md").read_text()
    for name in names[0], names[3], names[5]:
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 300
    page = (folder / "misclassified.html").read_text()
    assert "no picture: not_an_image" in page  # photo 7 is an island that its title calls something else
    assert page.count("data:image/jpeg;base64,") >= 5
    assert _SCRIPT not in page
    assert "<script" not in page


def test_several_heads_are_compared_on_the_same_photos(labelled: Archive) -> None:
    good, bad = _train(labelled, epochs=40), _train(labelled, modalities=("location",), epochs=2)
    document = _evaluate(labelled, bad, good, ids=tuple(range(1, 81))).document
    (comparison,) = document["comparisons"]
    assert comparison["compared_with"] == bad
    assert comparison["subset_accuracy"]["answer"] == "better"
    text = summary(document)
    assert f"Is {good} better than {bad}?" in text
    assert "subset accuracy: better (+" in text


def test_mistakes_in_the_question_are_errors_that_say_what_to_do(labelled: Archive) -> None:
    head = _train(labelled, epochs=2)
    with pytest.raises(UsageError, match="each head once"):
        _evaluate(labelled, head, head)
    with pytest.raises(InputError, match=r"1 ids are not among the tagged and embedded photos.*: 999"):
        _evaluate(labelled, head, ids=(1, 999))
    write_catalogue(labelled.workspace, [{**photo, "tags": ["top hat"]} for photo in labelled.photos])
    with pytest.raises(InputError, match="there is no photo to judge by"):
        _evaluate(labelled, head)


def test_a_head_of_an_encoder_without_embeddings_is_refused_by_name(labelled: Archive) -> None:
    head = _train(labelled, epochs=2)
    folder = next(labelled.workspace.embeddings.iterdir())
    folder.rename(folder.with_name("encoder=another-00000000"))
    with pytest.raises(InputError, match=r"no embeddings of encoder fake.* are stored, only of another-00000000"):
        _evaluate(labelled, head)


def test_a_fitted_policy_is_what_backfill_then_decides_by(labelled: Archive) -> None:
    head = _train(labelled, epochs=10)
    before = read_head_info(labelled.workspace, head).policy
    report = fit_head(labelled.workspace, labelled.config, head, Aim("subset-accuracy"))
    assert report.after >= report.before
    info = read_head_info(labelled.workspace, head)
    assert info.policy == report.head.policy != before
    use_head(labelled.workspace, head)
    labelled.backfill(select="tagged")
    chosen = {tuple(row) for row in labelled.rows("SELECT DISTINCT policy_id FROM predictions")}
    assert chosen == {(info.policy.policy_id,)}
    held_out = _evaluate(labelled, head).document["heads"][0]
    assert held_out["subset_accuracy"] == pytest.approx(report.after)


def test_a_calibrated_head_is_another_one_with_the_same_tags_and_other_scores(labelled: Archive) -> None:
    for kind in ("linear", "mlp"):
        head = _train(labelled, head=kind, epochs=6)
        save_policy(labelled.workspace, head, Policy(tuple(np.linspace(0.02, 1, 49).tolist()), at_least_one=False))
        report = calibrate_head(labelled.workspace, labelled.config, head)
        assert report.head.head_id != head
        assert report.head.provenance["calibrated_from"] == head
        assert report.temperature != 1
        features = np.random.default_rng(1).normal(size=(50, report.head.width)).astype(np.float32)
        one, other = (load_head(labelled.workspace, each).scores(features) for each in (head, report.head.head_id))
        assert np.array_equal(one > 0.5, other > 0.5)
        before = read_head_info(labelled.workspace, head).policy
        assert np.array_equal(before.choose(one), report.head.policy.choose(other))
        logit = np.log(one.astype(np.float64) / (1 - one)) / report.temperature
        inside = (one > 0.001) & (one < 0.999)
        np.testing.assert_allclose(other[inside], (1 / (1 + np.exp(-logit)))[inside], atol=1e-4)


def test_a_photo_page_of_its_own_is_linked(labelled: Archive) -> None:
    head = _train(labelled, epochs=2)
    set_key(labelled.workspace, "review.photo_url", "https://archive.example/photo/{gridimage_id}")
    _evaluate(labelled, head, ids=tuple(range(1, 81)))
    page = (labelled.workspace.reports / f"evaluate-{head}" / "misclassified.html").read_text()
    assert 'href="https://archive.example/photo/14"' in page
