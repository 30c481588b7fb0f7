"""Training a linear head on made-up features."""

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.errors import InputError
from geotag_batch.predict.policy import Policy
from geotag_batch.train.trainer import Epoch, Examples, Recipe, train_linear


def _examples(n: int, seed: int) -> Examples:
    """Return photos whose first tags follow from the first features: learnable, but not from the means alone."""
    chance = np.random.default_rng(seed)
    features = chance.normal(size=(n, 12)).astype(np.float32)
    labels = np.zeros((n, 49), np.bool_)
    labels[:, :6] = features[:, :6] > 0.6
    labels[:, 6] = ~labels[:, :6].any(axis=1)
    return Examples(features, labels)


def _accuracy(weight: NDArray[np.float32], bias: NDArray[np.float32], examples: Examples) -> float:
    chosen = 1 / (1 + np.exp(-(examples.features @ weight.T + bias))) > 0.5
    return float((chosen[:, :6] == examples.labels[:, :6]).mean())


def test_a_linear_head_learns_what_can_be_learned() -> None:
    trained = train_linear(_examples(800, 1), _examples(200, 2), Recipe(), Policy())
    assert _accuracy(trained.weight, trained.bias, _examples(500, 3)) > 0.93  # never giving a tag is right in 73 %
    assert trained.weight.shape == (49, 12)
    assert trained.weight.dtype == trained.bias.dtype == np.float32


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    first, second, other = (
        train_linear(_examples(100, 1), _examples(50, 2), Recipe(epochs=5, seed=seed), Policy()) for seed in (4, 4, 5)
    )
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)
    assert not np.array_equal(first.weight, other.weight)


def test_the_best_epoch_is_kept_and_training_stops_when_patience_ends() -> None:
    seen: list[Epoch] = []
    trained = train_linear(_examples(100, 1), _examples(50, 2), Recipe(patience=3), Policy(), seen.append)
    assert trained.history == tuple(seen)
    assert trained.best.subset_accuracy == max(epoch.subset_accuracy for epoch in seen)
    assert len(seen) == trained.best.number + 3
    assert len(seen) < 200


def test_a_validation_part_without_photos_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(InputError, match="validation part has no photos") as caught:
        train_linear(_examples(10, 1), _examples(0, 2), Recipe(), Policy())
    assert "geotag embed" in str(caught.value.hint)


def test_a_feature_that_is_not_finite_is_an_error() -> None:
    broken = _examples(10, 1)
    broken.features[3, 2] = np.nan
    with pytest.raises(InputError, match="training part has features that are not finite"):
        train_linear(broken, _examples(10, 2), Recipe(), Policy())
