"""Metrics against scikit-learn 1.9.1 (accuracy_score, f1_score), which is not installed here: its values are quoted."""

import numpy as np
import pytest

from geotag_batch.train.metrics import f1_by_tag, macro_f1, micro_f1, subset_accuracy

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
