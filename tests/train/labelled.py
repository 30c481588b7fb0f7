"""Made-up labelled photos that a head can learn from."""

import numpy as np

from geotag_batch.train.examples import Examples

__all__ = ["make_examples"]


def make_examples(training: int, validation: int, seed: int = 1, dim: int = 24) -> Examples:
    """Return photos whose tags follow, with some noise, from image, title and location together."""
    n = training + validation
    chance = np.random.default_rng(seed)
    image, title = chance.normal(size=(2, n, dim)).astype(np.float16)
    location = chance.random((n, 2)).astype(np.float32)
    features = np.concatenate([image, title, location], axis=1).astype(np.float64)
    world = np.random.default_rng(99).normal(size=(features.shape[1], 49))
    evidence = features @ (world / np.linalg.norm(world, axis=0)) + 0.2 * chance.normal(size=(n, 49))
    labels = evidence > np.linspace(1.1, 1.9, 49)  # from frequent tags to rare ones
    labels[~labels.any(axis=1), 5] = True
    rows = np.arange(n)
    parts = {"image": image, "title": title, "location": location}
    return Examples(1000 + rows, labels, parts, rows[:training], rows[training:])
