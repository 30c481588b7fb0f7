"""Metrics against scikit-learn: its values quoted for a case that can be worked by hand, and computed for others."""

import numpy as np
import pytest
import sklearn.metrics
from numpy.typing import NDArray

from geotag_batch.train.metrics import calibration, f1_by_tag, macro_f1, micro_f1, score_tags, subset_accuracy
from geotag_batch.train.tally import Tally

# Eight photos, five tags; nobody gave the last tag and it was never chosen.
TRUTH = np.array(
    [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
    ],
    np.bool_,
)
CHOSEN = np.array(
    [
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0],
        [1, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0],
    ],
    np.bool_,
)


def test_subset_accuracy_counts_only_photos_whose_whole_set_is_right() -> None:
    assert subset_accuracy(TRUTH, CHOSEN) == 0.625


def test_f1_by_tag_is_that_of_scikit_learn_and_unknown_for_a_tag_that_nobody_gave_or_chose() -> None:
    np.testing.assert_allclose(f1_by_tag(TRUTH, CHOSEN), [0.85714286, 0.8, 0.85714286, 0.66666667, np.nan], atol=1e-8)


def test_macro_f1_is_the_mean_over_the_tags_that_occur() -> None:
    assert macro_f1(TRUTH, CHOSEN) == pytest.approx(0.7952380952380952, abs=1e-12)


def test_micro_f1_is_that_of_scikit_learn() -> None:
    assert micro_f1(TRUTH, CHOSEN) == pytest.approx(0.8181818181818182, abs=1e-12)


def test_metrics_are_those_of_scikit_learn_for_200_photos_and_49_tags() -> None:
    chance = np.random.default_rng(3)
    truth = chance.random((200, 49)) < 0.05
    chosen = truth ^ (chance.random((200, 49)) < 0.02)
    assert subset_accuracy(truth, chosen) == pytest.approx(0.365, abs=1e-12)
    assert macro_f1(truth, chosen) == pytest.approx(0.8447716168946957, abs=1e-12)
    assert micro_f1(truth, chosen) == pytest.approx(0.8491008600469117, abs=1e-12)


def test_metrics_of_no_photos_or_no_tags_are_zero() -> None:
    nothing = np.zeros((0, 49), np.bool_)
    untagged = np.zeros((3, 49), np.bool_)
    assert (subset_accuracy(nothing, nothing), macro_f1(nothing, nothing), micro_f1(nothing, nothing)) == (0, 0, 0)
    assert (subset_accuracy(untagged, untagged), macro_f1(untagged, untagged), micro_f1(untagged, untagged)) == (
        1,
        0,
        0,
    )


def _cases() -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float32]]]:
    chance = np.random.default_rng(8)
    truth, scores = chance.random((300, 7)) < 0.2, chance.random((300, 7)).astype(np.float32)
    half = truth.copy()
    half[:, 0], half[:, 1] = False, True
    return {
        "random": (truth, scores),
        "a tag that nobody gave and one that everybody gave": (half, scores),
        "ties": (truth, np.round(scores, 1)),
        "constant scores": (truth, np.full_like(scores, 0.5)),
        "perfect": (truth, truth.astype(np.float32)),
        "one photo": (np.array([[True, False, False]]), np.array([[0.2, 0.9, 0.4]], np.float32)),
    }


@pytest.mark.parametrize("case", _cases())
def test_tag_scores_are_scikit_learns(case: str) -> None:
    truth, scores = _cases()[case]
    chosen = scores > 0.5
    found = score_tags(truth, chosen, scores)
    precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
        truth, chosen, average=None, zero_division=np.nan
    )
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_array_equal(found.support, support)
    np.testing.assert_array_equal(found.chosen, chosen.sum(axis=0))
    given = truth.any(axis=0)
    np.testing.assert_allclose(found.f1[given | chosen.any(axis=0)], f1[given | chosen.any(axis=0)])
    assert np.isnan(found.average_precision[~given]).all()
    for tag in np.flatnonzero(given):
        expected = sklearn.metrics.average_precision_score(truth[:, tag], scores[:, tag])
        assert found.average_precision[tag] == pytest.approx(expected)


@pytest.mark.parametrize("case", _cases())
def test_the_numbers_of_whole_sets_are_scikit_learns(case: str) -> None:
    truth, scores = _cases()[case]
    chosen = scores > 0.5
    assert subset_accuracy(truth, chosen) == pytest.approx(sklearn.metrics.accuracy_score(truth, chosen))
    assert micro_f1(truth, chosen) == pytest.approx(
        sklearn.metrics.f1_score(truth, chosen, average="micro", zero_division=0)
    )
    occurring = (truth | chosen).any(axis=0)
    expected = sklearn.metrics.f1_score(truth[:, occurring], chosen[:, occurring], average="macro", zero_division=0)
    assert macro_f1(truth, chosen) == pytest.approx(expected)
    tally = Tally(truth.shape[1])
    for rows in np.array_split(np.arange(len(truth)), min(4, len(truth))):
        tally.add(truth[rows], chosen[rows])
    assert tally.subset_accuracy == pytest.approx(subset_accuracy(truth, chosen))
    assert tally.macro_f1 == pytest.approx(macro_f1(truth, chosen))
    assert tally.micro_f1 == pytest.approx(micro_f1(truth, chosen))


def test_the_calibration_error_is_the_mean_gap_between_score_and_share() -> None:
    truth = np.array([[True, False, True, False]]).T
    scores = np.array([[0.95, 0.96, 0.01, 0.02]], np.float32).T
    found = calibration(truth, scores, bins=10)
    assert found.count.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found.share[[0, 9]].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found.score[[0, 9]], [0.015, 0.955], rtol=1e-6)
    assert found.error == pytest.approx((0.485 * 2 + 0.455 * 2) / 4)
    assert np.isnan(found.score[1:9]).all()
    assert np.isnan(calibration(np.zeros((0, 4), np.bool_), np.zeros((0, 4), np.float32)).error)
    assert calibration(np.array([[True]]), np.array([[1.0]], np.float32)).error == 0


def test_scores_that_are_drawn_as_they_say_are_calibrated() -> None:
    chance = np.random.default_rng(2)
    scores = chance.random((20_000, 5)).astype(np.float32)
    assert calibration(chance.random(scores.shape) < scores, scores).error < 0.01
    assert calibration(chance.random(scores.shape) < scores**2, scores).error > 0.1
