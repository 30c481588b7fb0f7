"""Training on made-up photos: what it learns, that it repeats itself, and that it is the published recipe."""

import itertools
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from geotag_batch.predict.policy import Policy
from geotag_batch.train.examples import Examples, Shuffled
from geotag_batch.train.learner import Learner, Trained
from geotag_batch.train.nets import new_net
from geotag_batch.train.recipe import HIDDEN, Recipe
from geotag_batch.train.trainer import Watch, train
from tests.train.labelled import make_examples

_KINDS: tuple[Literal["linear"], Literal["mlp"]] = ("linear", "mlp")


def _learner(examples: Examples, recipe: Recipe) -> Learner:
    return Learner(recipe, examples.widths(recipe.modalities), 49)


def _train(examples: Examples, *recipes: Recipe) -> list[Trained]:
    learners = [_learner(examples, recipe) for recipe in recipes]
    assert train(learners, examples, Policy(), Watch())
    return [learner.result() for learner in learners]


def _same(one: Trained, other: Trained) -> bool:
    tensors = all(np.array_equal(one.tensors[name], other.tensors[name]) for name in one.tensors)
    return tensors and one.history == other.history


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_head_learns_what_can_be_learned(head: Any) -> None:  # noqa: ANN401
    examples = make_examples(3000, 500)
    (trained,) = _train(examples, Recipe.published(head, epochs=30))
    assert trained.best.subset_accuracy > 0.15  # the most frequent set is right for less than a tenth
    assert trained.best.macro_f1 > 0.4
    assert trained.history[-1].loss < trained.history[0].loss / 2
    assert all(tensor.dtype == np.float32 for tensor in trained.tensors.values())


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    examples = make_examples(200, 50)
    recipes = [Recipe.published("mlp", mixup=True, epochs=3, seed=seed) for seed in (4, 4, 5)]
    (first,), (second,), (other,) = (_train(examples, recipe) for recipe in recipes)
    assert _same(first, second)
    assert not _same(first, other)


def test_heads_trained_together_become_what_each_becomes_alone() -> None:
    examples = make_examples(300, 80)
    recipes = [
        Recipe.published(head, modalities=modalities, mixup=mixup, epochs=6, patience=2)
        for head in _KINDS
        for modalities, mixup in itertools.product((("image",), ("image", "title", "location")), (False, True))
    ]
    together = _train(examples, *recipes)
    assert len({len(trained.history) for trained in together}) > 1  # some end before the others
    for recipe, trained in zip(recipes, together, strict=True):
        assert _same(trained, _train(examples, recipe)[0])


def test_the_best_epoch_is_kept_and_training_stops_when_patience_ends() -> None:
    examples = make_examples(200, 50)
    recipe = Recipe.published("linear", patience=3)
    (trained,) = _train(examples, recipe)
    assert trained.best.subset_accuracy == max(epoch.subset_accuracy for epoch in trained.history)
    assert len(trained.history) == trained.best.number + 3
    (shorter,) = _train(examples, Recipe.published("linear", patience=3, epochs=trained.best.number))
    assert all(np.array_equal(shorter.tensors[name], trained.tensors[name]) for name in trained.tensors)


def test_the_learning_rate_follows_torchs_cosine_annealing() -> None:
    recipe = Recipe.published("linear", patience=200, epochs=120, batch_size=8)
    examples = make_examples(4, 2)
    learner, rates = _learner(examples, recipe), []
    optimizer = learner._optimizer  # nothing public shows it
    train([learner], examples, Policy(), Watch(epoch=lambda _, __: rates.append(optimizer.param_groups[0]["lr"])))
    other = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(other, T_max=50)
    expected = []
    for _ in range(120):
        expected.append(other.param_groups[0]["lr"])
        other.step()
        schedule.step()
    np.testing.assert_allclose(rates, expected, atol=1e-12)


def test_training_that_is_told_to_stop_says_so() -> None:
    examples = make_examples(200, 50)
    asked = iter([False] * 20)
    learner = _learner(examples, Recipe.published())
    assert not train([learner], examples, Policy(), Watch(stopping=lambda: next(asked, True)))
    assert len(learner.history) == 1  # 17 batches an epoch


def _plain_loop(examples: Examples, recipe: Recipe) -> NDArray[np.float32]:
    """Train by the published recipe as a plain PyTorch loop; return the best epoch's scores of the validation part.

    Modules, autograd, torch's own optimizer and schedule, features fused beforehand; only the dice are shared.
    """
    features = torch.from_numpy(
        np.concatenate([examples.parts[name].astype(np.float32) for name in recipe.modalities], axis=1)
    )
    labels, held_out = torch.from_numpy(examples.labels.astype(np.float32)), examples.validation
    model = _model(recipe, features.shape[1])
    rate, decay = (3e-3, 1e-4) if recipe.head == "mlp" else (5e-3, 1e-5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    best, kept = -1.0, np.zeros(0, np.float32)
    for epoch in range(recipe.epochs):
        dice = Shuffled.of(examples.training, recipe.seed, epoch)
        for rows in torch.split(torch.from_numpy(dice.rows), recipe.batch_size_for(len(dice.rows))):
            x, y = features[rows], labels[rows]
            if recipe.mixup:
                share = torch.from_numpy(dice.mixing.beta(0.2, 0.2, len(rows)).astype(np.float32))[:, None]
                share = torch.maximum(share, 1 - share)
                other = rows[torch.from_numpy(dice.mixing.permutation(len(rows)))]
                x, y = share * x + (1 - share) * features[other], share * y + (1 - share) * labels[other]
            if recipe.head == "mlp":
                hidden = torch.relu(model[0](x)) * dice.kept(len(rows), HIDDEN) / 0.5
                logits = model[3](hidden)
            else:
                logits = model(x)
            optimizer.zero_grad()
            torch.nn.BCEWithLogitsLoss()(logits, y).backward()
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            scores = torch.sigmoid(model.eval()(features[held_out])).numpy()
        accuracy = accuracy_score(examples.labels[held_out], scores > 0.5)
        if accuracy > best:
            best, kept = accuracy, scores
    return kept


def _model(recipe: Recipe, width: int) -> Any:  # noqa: ANN401
    linear: torch.nn.Module = torch.nn.Linear(width, 49)
    mlp = torch.nn.Sequential(
        torch.nn.Linear(width, HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(HIDDEN, 49)
    )
    model = mlp if recipe.head == "mlp" else linear
    net = new_net(recipe, {"all": width}, 49)
    model.load_state_dict({name: tensor.clone() for name, tensor in net.parameters.items()})
    return model


@pytest.mark.parametrize("gradients", ["float32", "bfloat16"])
@pytest.mark.parametrize("mixup", [False, True])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_scores_are_those_of_a_plain_pytorch_loop_with_the_published_recipe(
    head: Any,  # noqa: ANN401
    mixup: bool,
    gradients: Any,  # noqa: ANN401
) -> None:
    examples = make_examples(3000, 1500)
    recipe = Recipe.published(head, mixup=mixup, gradients=gradients, epochs=25, patience=25)
    learner = _learner(examples, recipe)
    train([learner], examples, Policy(at_least_one=False), Watch())
    trained = learner.result()
    expected = _plain_loop(examples, recipe)
    with torch.inference_mode():
        features = examples.features(examples.validation, recipe.modalities)
        model = _model(recipe, features.shape[1]).eval()
        model.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in trained.tensors.items()})
        scores = torch.sigmoid(model(torch.from_numpy(features))).numpy()
    truth, chosen, right = examples.labels[examples.validation], scores > 0.5, expected > 0.5
    assert np.abs(scores - expected).mean() < 0.005
    if gradients == "float32":
        assert np.abs(scores - expected).max() < 0.005
    assert trained.best.subset_accuracy == accuracy_score(truth, chosen)
    assert accuracy_score(truth, chosen) == pytest.approx(accuracy_score(truth, right), abs=0.005)
    assert trained.best.macro_f1 == pytest.approx(f1_score(truth, right, average="macro"), abs=0.005)
