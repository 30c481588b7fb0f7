"""Packed transformers against open_clip's own, whose arithmetic they must follow."""

from typing import Any

import pytest
import torch

from geotag_batch.encode.packed import PackedTransformer, pack
from geotag_batch.encode.torchvision_shim import import_open_clip


class Owner(torch.nn.Module):
    """Something that has a transformer, as CLIP and its visual tower do."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        """Make one of two blocks with seeded random weights."""
        super().__init__()
        torch.manual_seed(3)
        self.transformer = import_open_clip().transformer.Transformer(width=64, layers=2, heads=4, **options).eval()
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        self.requires_grad_(False)


def causal(length: int) -> torch.Tensor:
    return torch.full((length, length), float("-inf")).triu(1)


@pytest.mark.parametrize("activation", ["QuickGELU", "GELU"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_a_packed_transformer_gives_what_it_gave_before(activation: str, masked: bool, length: int) -> None:
    layer = import_open_clip().transformer.QuickGELU if activation == "QuickGELU" else torch.nn.GELU
    owner = Owner(act_layer=layer)
    x, mask = torch.randn(5, length, 64), causal(length) if masked else None
    with torch.inference_mode():
        before = owner.transformer(x, attn_mask=mask)
        packed = pack(owner)
        assert packed is owner.transformer
        assert isinstance(packed, PackedTransformer)
        torch.testing.assert_close(packed(x, attn_mask=mask), before, atol=2e-6, rtol=1e-5)
        packed.cast(torch.bfloat16)
        assert packed.get_cast_dtype() == torch.bfloat16
        rounded = packed(x.to(torch.bfloat16), attn_mask=mask).float()
        assert torch.nn.functional.cosine_similarity(rounded, before, dim=2).min() > 0.999
        packed.cast(torch.float32)  # the weights stay rounded
        torch.testing.assert_close(packed(x, attn_mask=mask), before, atol=0.2, rtol=0.1)


def test_where_the_fused_operators_are_missing_plain_ones_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fused, plain, x = Owner(), Owner(), torch.randn(3, 7, 64)
    with torch.inference_mode():
        pack(fused)
        monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
        packed = pack(plain)
        assert packed is not None
        torch.testing.assert_close(plain.transformer(x), fused.transformer(x), atol=2e-6, rtol=1e-5)
        packed.cast(torch.bfloat16)
        assert plain.transformer(x.to(torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "options",
    [{"batch_first": False}, {"ls_init_value": 0.1}, {"qk_norm": True}, {"act_layer": torch.nn.ReLU}],
    ids=lambda options: next(iter(options)),
)
def test_other_transformers_are_left_alone(options: dict[str, Any]) -> None:
    owner = Owner(**options)
    transformer = owner.transformer
    assert pack(owner) is None
    assert owner.transformer is transformer


def test_an_owner_without_a_transformer_is_left_alone() -> None:
    assert pack(None) is None
    assert pack(torch.nn.Linear(2, 2)) is None
