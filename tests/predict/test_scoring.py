import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.predict import scoring
from geotag_batch.predict.scoring import Layer, make_layers

Tensors = dict[str, NDArray[np.float32]]


def random_head(kind: str, width: int = 1026) -> Tensors:
    """Return a head with weights as large as the published ones'."""
    chance = np.random.default_rng(5)

    def layer(outputs: int, inputs: int) -> NDArray[np.float32]:
        return chance.normal(0, 0.15, (outputs, inputs)).astype(np.float32)

    if kind == "linear":
        return {"weight": layer(49, width), "bias": layer(1, 49)[0]}
    return {
        "0.weight": layer(256, width),
        "0.bias": layer(1, 256)[0],
        "3.weight": layer(49, 256),
        "3.bias": layer(1, 49)[0],
    }


def random_features(count: int, width: int = 1026) -> NDArray[np.float32]:
    """Return features like CLIP's: mostly small, one far from the others."""
    features = np.random.default_rng(6).normal(0, 0.4, (count, width)).astype(np.float32)
    features[:, 92] -= 6
    return features


def reference(tensors: Tensors, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the scores in plain float64, by torch's own layers."""
    import torch  # noqa: PLC0415

    names = [""] if "weight" in tensors else ["0.", "3."]
    values = torch.from_numpy(features.astype(np.float64))
    for place, name in enumerate(names):
        weight, bias = (torch.from_numpy(tensors[name + part].astype(np.float64)) for part in ("weight", "bias"))
        values = torch.nn.functional.linear(values.relu() if place else values, weight, bias)
    scores: NDArray[np.float64] = values.sigmoid().numpy()
    return scores


KINDS = pytest.mark.parametrize("kind", ["linear", "mlp"])


def score(layers: Sequence[Layer], features: NDArray[np.float32], tags: int) -> NDArray[np.float32]:
    """Score features that are in one piece."""
    return scoring.score(layers, [features], tags)


@KINDS
def test_scores_are_the_sigmoid_of_the_layers_with_relu_between(kind: str) -> None:
    tensors, features = random_head(kind), random_features(300)
    scores = score(make_layers(tensors), features, 49)
    assert scores.dtype == np.float32
    assert np.abs(scores - reference(tensors, features)).max() < 5e-6


@KINDS
def test_a_row_has_the_same_bits_whatever_batch_it_comes_in(kind: str) -> None:
    layers, features = make_layers(random_head(kind)), random_features(1200)
    expected = score(layers, features, 49)
    for size in (1, 2, 3, 5, 7, 8, 13, 31, 64, 100, 255, 256, 257, 511, 1000):
        assert np.array_equal(score(layers, features[:size], 49), expected[:size]), size
    for start in (1, 2, 3, 7, 50, 129, 255, 256, 257, 700):
        assert np.array_equal(score(layers, features[start:], 49), expected[start:]), start
    shuffled = np.random.default_rng(1).permutation(1200)
    assert np.array_equal(score(layers, features[shuffled], 49), expected[shuffled])


@KINDS
@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_number_of_threads_changes_no_bit(kind: str, threads: str) -> None:
    code = (
        "import hashlib; from tests.predict.test_scoring import *;"
        f"s = score(make_layers(random_head({kind!r})), random_features(500), 49);"
        "print(hashlib.sha256(s.tobytes()).hexdigest())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    here = score(make_layers(random_head(kind)), random_features(500), 49)
    assert done.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e4, 1e30])
def test_features_of_any_size_are_scored_as_exactly(scale: float) -> None:
    tensors = random_head("linear")
    features = (random_features(20) * np.float32(scale)).astype(np.float32)
    tensors["weight"] = (tensors["weight"] / np.float32(scale)).astype(np.float32)
    assert np.abs(score(make_layers(tensors), features, 49) - reference(tensors, features)).max() < 5e-6


def test_features_and_weights_of_zero_give_the_bias() -> None:
    tensors = {"weight": np.zeros((49, 4), np.float32), "bias": np.zeros(49, np.float32)}
    assert (score(make_layers(tensors), np.zeros((2, 4), np.float32), 49) == 0.5).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_no_scores_and_spoils_no_other(value: float) -> None:
    layers, features = make_layers(random_head("linear")), random_features(5)
    expected = score(layers, features, 49)
    features[2, 7] = value
    found = score(layers, features, 49)
    assert np.isnan(found[2]).all()
    assert np.array_equal(np.delete(found, 2, axis=0), np.delete(expected, 2, axis=0))


def test_logits_far_from_zero_give_0_and_1_without_a_warning() -> None:
    tensors = {"weight": np.array([[1e4], [-1e4]], np.float32), "bias": np.zeros(2, np.float32)}
    assert score(make_layers(tensors), np.ones((1, 1), np.float32), 2).tolist() == [[1.0, 0.0]]


def test_no_rows_give_no_scores() -> None:
    assert score(make_layers(random_head("mlp")), random_features(0), 49).shape == (0, 49)


@KINDS
def test_features_in_parts_are_scored_as_in_one_piece_to_the_bit(kind: str) -> None:
    layers, features = make_layers(random_head(kind)), random_features(700)
    features[:, :512] = features[:, :512].astype(np.float16)
    features[3, 600] = np.nan
    features[300, 5] = np.inf
    parts: list[NDArray[Any]] = [features[:, :512].astype(np.float16), features[:, 512:1024], features[:, 1024:]]
    found = scoring.score(layers, parts, 49)
    np.testing.assert_array_equal(found, score(layers, features, 49))
    assert np.flatnonzero(np.isnan(found).all(axis=1)).tolist() == [3, 300]
