"""The paired bootstrap."""

import numpy as np
import pytest
import sklearn.metrics

from geotag_batch.train.compare import Interval, resample

_CHANCE = np.random.default_rng(4)
_TRUTH = _CHANCE.random((400, 6)) < 0.3


def _flipped(share: float, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return _TRUTH ^ (np.random.default_rng(seed).random(_TRUTH.shape) < share)


def test_values_and_resamples_are_scikit_learns_on_the_photos_drawn() -> None:
    chosen = [_flipped(0.05, 1), _flipped(0.2, 2)]
    found = resample(_TRUTH, chosen, 3, seed=9)
    dice = np.random.default_rng(9)
    draws = [np.arange(400), *(dice.integers(0, 400, 400) for _ in range(3))]
    for place, each in enumerate(chosen):
        accuracies = [sklearn.metrics.accuracy_score(_TRUTH[rows], each[rows]) for rows in draws]
        f1s = [sklearn.metrics.f1_score(_TRUTH[rows], each[rows], average="macro") for rows in draws]
        measures = found["subset_accuracy"], found["macro_f1"]
        for measure, expected in zip(measures, (accuracies, f1s), strict=True):
            assert measure.value[place] == pytest.approx(expected[0], abs=1e-6)
            np.testing.assert_allclose(measure.values[:, place], expected[1:], atol=1e-6)


def test_a_clearly_better_head_is_called_better_and_the_other_worse() -> None:
    found = resample(_TRUTH, [_flipped(0.15, 1), _flipped(0.05, 2)], 500, seed=0)
    for measure in found.values():
        assert measure.difference(1, 0).answer == "better"
        assert measure.difference(0, 1).answer == "worse"
        interval = measure.interval(1)
        assert interval.low < interval.value < interval.high


def test_heads_that_are_equally_good_are_not_told_apart() -> None:
    found = resample(_TRUTH, [_flipped(0.1, 1), _flipped(0.1, 2)], 500, seed=0)
    assert found["subset_accuracy"].difference(1, 0).answer == "no difference that these photos can tell"
    same = resample(_TRUTH, [_TRUTH, _TRUTH], 100, seed=0)["macro_f1"].difference(1, 0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert Interval(0.1, 0.0, 0.2).answer == "no difference that these photos can tell"


def test_an_interval_covers_the_truth_about_19_times_in_20() -> None:
    chance, covered = np.random.default_rng(0), 0
    for seed in range(60):
        right = chance.random(300) < 0.3
        truth = np.ones((300, 1), np.bool_)
        interval = resample(truth, [right[:, None]], 200, seed)["subset_accuracy"].interval(0)
        covered += interval.low <= 0.3 <= interval.high
    assert 51 <= covered <= 60


def test_a_tag_that_nobody_gave_nor_chose_does_not_count() -> None:
    truth = np.zeros((50, 3), np.bool_)
    truth[:, 0] = True
    found = resample(truth, [truth], 20, seed=0)["macro_f1"]
    assert found.value[0] == 1
    assert (found.values == 1).all()
