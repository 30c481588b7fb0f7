"""Gradients worked out by hand against torch's autograd on torch's own modules."""

from typing import Any

import numpy as np
import pytest
import torch

from geotag_batch.train.examples import Batch
from geotag_batch.train.nets import Net, new_net
from geotag_batch.train.recipe import HIDDEN, Recipe

_WIDTHS = {"image": 7, "title": 5, "location": 2}


def _batch(modalities: tuple[str, ...], weighted: bool = False) -> Batch:
    chance = torch.Generator().manual_seed(3)
    parts = {name: torch.randn(11, _WIDTHS[name], generator=chance) for name in modalities}
    labels = torch.rand(11, 49, generator=chance)
    return Batch(parts, labels, 5 * torch.rand(11, 49, generator=chance) if weighted else None)


def _module(net: Net, head: str) -> Any:  # noqa: ANN401
    width = sum(_WIDTHS[name] for name in net.modalities)
    linear = torch.nn.Linear(width, 49)
    mlp = torch.nn.Sequential(
        torch.nn.Linear(width, HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(HIDDEN, 49)
    )
    module = mlp if head == "mlp" else linear
    module.load_state_dict(net.parameters)
    return module


@pytest.mark.parametrize("head", ["linear", "mlp"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("modalities", [("image",), ("title", "location"), ("image", "title", "location")])
def test_logits_loss_and_gradients_are_those_of_torchs_own_modules(
    head: Any,  # noqa: ANN401
    modalities: tuple[str, ...],
    weighted: bool,
) -> None:
    net = new_net(Recipe.published(head, modalities=modalities), {name: _WIDTHS[name] for name in modalities}, 49)
    batch, module = _batch(modalities, weighted), _module(net, head).eval()
    features = torch.cat([batch.parts[name] for name in modalities], dim=1)
    logits = module(features)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels, weight=batch.weights)
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        torch.testing.assert_close(net.logits(batch), logits.detach())
        torch.testing.assert_close(net.compute_gradients(batch, None), loss.detach())
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(net.parameters[name].grad, parameter.grad, rtol=1e-4, atol=1e-7)


def test_dropout_takes_away_what_it_does_not_keep_and_doubles_the_rest() -> None:
    net = new_net(Recipe.published("mlp"), _WIDTHS, 49)
    batch = _batch(("image", "title", "location"))
    kept = torch.from_numpy(np.random.default_rng(1).integers(0, 2, (11, HIDDEN), np.uint8))
    module = _module(net, "mlp")
    features = torch.cat(list(batch.parts.values()), dim=1)
    hidden = torch.relu(module[0](features)) * kept * 2
    loss = torch.nn.functional.binary_cross_entropy_with_logits(module[3](hidden), batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        torch.testing.assert_close(net.compute_gradients(batch, kept), loss.detach())
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(net.parameters[name].grad, parameter.grad, rtol=1e-4, atol=1e-7)


def test_weights_begin_where_torchs_layers_begin() -> None:
    net = new_net(Recipe.published("mlp", seed=4), {"image": 400}, 49)
    for name, fan_in in (("0.weight", 400), ("0.bias", 400), ("3.weight", HIDDEN), ("3.bias", HIDDEN)):
        values = net.parameters[name]
        assert float(values.abs().max()) <= fan_in**-0.5
        assert float(values.abs().max()) > 0.9 * fan_in**-0.5
    assert not torch.equal(
        net.parameters["0.weight"],
        new_net(Recipe.published("mlp", seed=5), {"image": 400}, 49).parameters["0.weight"],
    )


def test_gradients_of_rounded_products_are_close_to_the_exact_ones() -> None:
    wide = {"image": 40, "location": 2}
    parts = {name: torch.randn(64, width, generator=torch.Generator().manual_seed(1)) for name, width in wide.items()}
    exact, rounded = (
        new_net(Recipe.published("mlp", modalities=("image", "location"), gradients=gradients), wide, 49)
        for gradients in ("float32", "bfloat16")
    )
    for net in (exact, rounded):
        net.compute_gradients(Batch(parts, torch.zeros(64, 49)), None)
    one, other = exact.parameters["0.weight"].grad, rounded.parameters["0.weight"].grad
    assert one is not None
    assert other is not None
    assert torch.equal(one[:, 40:], other[:, 40:])
    assert not torch.equal(one, other)
    torch.testing.assert_close(one, other, rtol=0.02, atol=float(one.abs().max()) * 0.01)
