"""Batches, MixUp and the chance of an epoch."""

from typing import Any

import numpy as np
import pytest
import torch

from geotag_batch.errors import InputError
from geotag_batch.train.examples import Batches, Examples, Shuffled
from tests.train.labelled import make_examples

_ALL = {"image", "title", "location"}


def _replace(examples: Examples, **changes: Any) -> Examples:  # noqa: ANN401
    fields = {name: getattr(examples, name) for name in ("ids", "labels", "parts", "training", "validation")}
    return Examples(**(fields | changes))


def test_a_batch_holds_the_rows_asked_for_in_their_order() -> None:
    examples = make_examples(20, 5)
    rows = np.array([7, 2, 11])
    batch = Batches(examples, {"title", "location"}, 8).plain(rows)
    assert set(batch.parts) == {"title", "location"}
    assert batch.parts["title"].dtype == torch.float32
    assert np.array_equal(batch.parts["title"].numpy(), examples.parts["title"][rows].astype(np.float32))
    assert np.array_equal(batch.labels.numpy(), examples.labels[rows])


def test_mixup_lays_a_smaller_share_of_another_photo_over_each() -> None:
    examples = make_examples(400, 1)
    batches = Batches(examples, _ALL, 400)
    plain = batches.plain(examples.training)
    before = {name: part.clone() for name, part in plain.parts.items()}
    mixed = batches.mixed(plain, np.random.default_rng(5))
    assert all(torch.equal(plain.parts[name], part) for name, part in before.items())
    shares = []
    for row in range(400):
        # Which other photo, and how much of it, must be told by the image; the other arrays must agree.
        others = before["image"] - before["image"][row]
        moved = mixed.parts["image"][row] - before["image"][row]
        share = (others @ moved) / (others * others).sum(dim=1).clamp_min(1e-9)
        partner = int((moved - share[:, None] * others).norm(dim=1).argmin())
        part = float(share[partner])
        shares.append(part)
        for whole, part_mixed in ((before["title"], mixed.parts["title"]), (plain.labels, mixed.labels)):
            torch.testing.assert_close(part_mixed[row], (1 - part) * whole[row] + part * whole[partner], atol=1e-4,
                                       rtol=1e-3)  # fmt: skip
    assert max(shares) <= 0.5 + 1e-5
    # Beta(0.2, 0.2) folded to its upper half: the smaller share has the mean 0.5 - E|x - 0.5| = 0.0976 (by quadrature).
    assert np.mean(shares) == pytest.approx(0.0976, abs=0.02)


def _decided(rejected: tuple[int, int]) -> Examples:
    """Return photos of which the first one has rejected tags alone, and the second a rejected and an accepted one."""
    examples = make_examples(12, 3)
    labels, decided = examples.labels.copy(), np.zeros_like(examples.labels)
    labels[0], labels[1], labels[1, 4] = False, False, True
    decided[0, rejected[0]] = decided[1, rejected[1]] = decided[1, 4] = True
    return _replace(examples, labels=labels, decided=decided)


def test_a_rejected_tag_counts_more_and_beside_rejected_tags_alone_nothing_is_known() -> None:
    batch = Batches(_decided((7, 9)), {"image"}, 8, 3.0).plain(np.array([2, 0, 1]))
    expected = np.ones((3, 49))
    expected[1], expected[1, 7], expected[2, 9] = 0, 3, 3
    assert batch.weights is not None
    assert np.array_equal(batch.weights.numpy(), expected)
    assert Batches(_decided((7, 9)), {"image"}, 8, 3.0).plain(np.array([2, 3])).weights is None
    assert Batches(_decided((7, 9)), {"image"}, 8).plain(np.array([0, 1])).weights is None


def test_mixed_labels_weigh_what_each_weighs_alone() -> None:
    batches = Batches(_decided((7, 9)), {"image"}, 12, 5.0)
    plain = batches.plain(np.arange(12))
    mixed = batches.mixed(plain, np.random.default_rng(2))
    chance = np.random.default_rng(2)  # the same chance: share, then partner
    share = chance.beta(0.2, 0.2, 12)
    own = torch.from_numpy(np.maximum(share, 1 - share)).to(torch.float32).unsqueeze(1)
    partner = torch.from_numpy(chance.permutation(12))
    assert plain.weights is not None
    assert mixed.weights is not None
    logits = torch.linspace(-3, 3, 12 * 49).reshape(12, 49)

    def loss(labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, weight=weights, reduction="none")

    alone = own * loss(plain.labels, plain.weights) + (1 - own) * loss(plain.labels[partner], plain.weights[partner])
    torch.testing.assert_close(loss(mixed.labels, mixed.weights), alone, rtol=1e-4, atol=1e-5)


def test_an_epochs_chance_depends_on_seed_and_epoch_alone() -> None:
    rows = np.arange(100, 200)
    first, again = Shuffled.of(rows, 3, 7), Shuffled.of(rows, 3, 7)
    assert np.array_equal(first.rows, again.rows)
    assert sorted(first.rows) == rows.tolist()
    assert torch.equal(first.kept(5, 256), again.kept(5, 256))
    for other in (Shuffled.of(rows, 3, 8), Shuffled.of(rows, 4, 7)):
        assert not np.array_equal(first.rows, other.rows)


def test_dropout_keeps_about_half() -> None:
    kept = Shuffled.of(np.arange(3), 0, 0).kept(401, 256)
    assert kept.shape == (401, 256)
    assert set(np.unique(kept.numpy())) == {0, 1}
    assert float(kept.to(torch.float32).mean()) == pytest.approx(0.5, abs=0.01)


def test_the_digest_changes_with_every_thing_that_is_learned_from() -> None:
    examples = make_examples(30, 10)
    digest = examples.digest()
    assert digest == make_examples(30, 10).digest()
    labels = examples.labels.copy()
    labels[35, 0] ^= True
    image = examples.parts["image"].copy()
    image[3, 0] += 1
    changed = [
        _replace(examples, labels=labels),
        _replace(examples, parts={**examples.parts, "image": image}),
        _replace(examples, ids=examples.ids + 1),
        _replace(examples, training=examples.training[1:], validation=np.append(examples.validation, 0)),
        _replace(examples, decided=examples.labels),
        _replace(examples, decided=examples.labels, only_rejected=np.array([3])),
    ]
    assert len({digest, *(other.digest() for other in changed)}) == 1 + len(changed)


def test_an_empty_part_is_an_error_that_says_what_to_do() -> None:
    for part in ("training", "validation"):
        with pytest.raises(InputError, match=f"the {part} part has no photos") as caught:
            _replace(make_examples(10, 5), **{part: np.array([], np.int64)}).check()
        assert "geotag embed" in str(caught.value.hint)


def test_a_vector_that_is_not_finite_is_an_error_that_names_its_photo() -> None:
    examples = make_examples(10, 5)
    examples.parts["title"][12, 3] = np.inf
    with pytest.raises(InputError, match="1 photos have title values that are not finite, the first one 1012"):
        examples.check()
    _replace(examples, validation=np.array([11])).check()  # a row that is not used does not matter
