"""Thresholds fitted to a goal, and temperatures."""

import numpy as np
import pytest
import torch

from geotag_batch.predict.policy import Policy
from geotag_batch.train.calibrate import fit_temperature
from geotag_batch.train.fit_policy import GOALS, Goal, fit_policy, reached
from geotag_batch.train.metrics import calibration


def _photos(
    seed: int = 1,
) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.bool_]], np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Return labels and scores of 400 photos: each tag's scores are shifted by an amount of its own."""
    chance = np.random.default_rng(seed)
    truth = chance.random((400, 49)) < 0.06
    truth[:, 7] = False  # a tag without positives
    evidence = 2.5 * truth - 1.5 + chance.normal(size=truth.shape) + np.linspace(-1.5, 1.5, 49)
    return truth, (1 / (1 + np.exp(-evidence))).astype(np.float32)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("by_tag", [False, True])
@pytest.mark.parametrize("at_least_one", [False, True])
def test_a_fitted_policy_is_never_worse_than_plain_one_half(goal: Goal, by_tag: bool, at_least_one: bool) -> None:
    truth, scores = _photos()
    policy = fit_policy(truth, scores, goal, by_tag=by_tag, at_least_one=at_least_one, precision=0.6)
    assert isinstance(policy.threshold, tuple) == by_tag
    assert policy.at_least_one == at_least_one
    plain = reached(Policy(0.5, at_least_one), truth, scores, goal)
    assert reached(policy, truth, scores, goal) >= plain
    if by_tag and goal != "precision":
        one = fit_policy(truth, scores, goal, by_tag=False, at_least_one=at_least_one)
        assert reached(policy, truth, scores, goal) > reached(one, truth, scores, goal) > plain
    assert policy == fit_policy(truth, scores, goal, by_tag=by_tag, at_least_one=at_least_one, precision=0.6)


def test_each_tags_threshold_is_the_smallest_with_the_precision_asked_for() -> None:
    truth = np.zeros((6, 49), np.bool_)
    scores = np.full((6, 49), 0.05, np.float32)
    scores[:, 0] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    truth[:, 0] = [True, True, False, True, False, False]
    scores[:, 1] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]  # nobody gave this one
    policy = fit_policy(truth, scores, "precision", by_tag=True, at_least_one=False, precision=0.75)
    assert isinstance(policy.threshold, tuple)
    assert 0.5 <= policy.threshold[0] < 0.6  # three of the four above are right
    assert policy.threshold[1] == 1
    chosen = policy.choose(scores)
    assert chosen[:, 0].tolist() == [True] * 4 + [False] * 2
    assert not chosen[:, 1:].any()
    strict = fit_policy(truth, scores, "precision", by_tag=True, at_least_one=False, precision=0.9)
    assert strict.choose(scores)[:, 0].tolist() == [True, True, False, False, False, False]


def test_one_threshold_stands_for_all_tags_together() -> None:
    truth, scores = _photos()
    policy = fit_policy(truth, scores, "precision", by_tag=False, at_least_one=False, precision=0.7)
    chosen = policy.choose(scores)
    assert (truth & chosen).sum() / chosen.sum() >= 0.7
    assert isinstance(policy.threshold, float)
    lower = scores > np.float32(policy.threshold - 0.05)
    assert (truth & lower).sum() / lower.sum() < 0.7


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 2.5])
def test_the_temperature_is_the_one_that_minimises_the_loss(true_temperature: float) -> None:
    chance = np.random.default_rng(3)
    z = chance.normal(-1, 2, size=(4000, 5))
    labels = chance.random(z.shape) < 1 / (1 + np.exp(-z))
    logits = z * true_temperature
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(true_temperature, rel=0.05)

    inverse = torch.ones((), dtype=torch.float64, requires_grad=True)  # torch's own minimiser
    optimizer = torch.optim.LBFGS([inverse], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            torch.from_numpy(logits) * inverse, torch.from_numpy(labels).to(torch.float64)
        )
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    assert found == pytest.approx(1 / float(inverse.detach()), rel=1e-4)

    scores = 1 / (1 + np.exp(-logits / found))
    after = calibration(labels, scores.astype(np.float32))
    near = int(0.8 * len(after.count))
    assert after.share[near] == pytest.approx(after.score[near], abs=0.05)  # about eight times in ten
    assert after.error < 0.02


def test_labels_that_no_temperature_fits_leave_the_scores_as_they_are() -> None:
    logits = np.array([[3.0, -2.0], [1.0, -4.0]])
    assert fit_temperature(logits, logits > 0) == 1.0
    assert fit_temperature(logits, logits < 0) == 1.0
    assert fit_temperature(np.zeros((2, 2)), logits > 0) == 1.0
