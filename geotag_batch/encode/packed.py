"""CLIP's transformer blocks on a CPU, with weights laid out once for its matrix units and cheap steps fused into them.

torch lays a linear layer's weights out anew in every call, and walks over its result again for the bias, the activation
and the sum with the residual. oneDNN, which torch brings, can keep the layout and do the rest while the result is in
registers; torch offers that only as the operators that its own compiler emits (torch.ops.mkldnn). They are used where
they are there, on blocks whose arithmetic is known; everything else stays as it is.
"""

from typing import Any

import torch
from torch.nn import functional

from geotag_batch.encode.torchvision_shim import import_open_clip

__all__ = ["PackedTransformer", "pack"]

_ROWS = 1600
"""Rows that the layout is made for: 32 images of 50 tokens. Others work as well."""

_QUICK = 1.702  # QuickGELU(x) = x sigmoid(1.702 x) = silu(1.702 x) / 1.702 (openai/CLIP, clip/model.py)


def pack(owner: Any) -> "PackedTransformer | None":  # noqa: ANN401  whatever class open_clip chose
    """Replace `owner.transformer`, of a model or its visual tower on the CPU; return None and leave it if that fails.

    Its weights are taken over. It must be called without a mask, or with the causal one.
    """
    transformer = getattr(owner, "transformer", None)
    if transformer is None or not _is_plain(transformer):
        return None
    owner.transformer = PackedTransformer(transformer)
    packed: PackedTransformer = owner.transformer
    return packed


class PackedTransformer(torch.nn.Module):
    """Called as open_clip's Transformer is: x (n, length, width), `attn_mask` None or causal."""

    def __init__(self, transformer: Any) -> None:  # noqa: ANN401
        """Take the weights of `transformer` over; its blocks are emptied one by one, so that memory holds one copy."""
        super().__init__()
        self.blocks = []
        for index, block in enumerate(transformer.resblocks):
            self.blocks.append(_Block(block))
            transformer.resblocks[index] = torch.nn.Identity()

    def get_cast_dtype(self) -> torch.dtype:
        """Return the number format, as open_clip asks for it."""
        return self.blocks[0].after.bias.dtype

    def cast(self, dtype: torch.dtype) -> None:
        """Go on in another number format."""
        for block in self.blocks:
            block.cast(dtype)

    def forward(self, x: torch.Tensor, attn_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Return what open_clip's Transformer returns; a mask is taken for the causal one."""
        for block in self.blocks:
            x = block(x, attn_mask is not None)
        return x


class _Linear:
    """A linear layer, its weights laid out where oneDNN takes their format; called with an activation to follow."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.bias = bias.detach()
        self.weight = self._lay_out(weight.detach().contiguous())

    def _lay_out(self, weight: torch.Tensor) -> torch.Tensor:
        self.laid_out = _is_offered(weight.dtype)
        return torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS) if self.laid_out else weight

    def cast(self, dtype: torch.dtype) -> None:
        weight = self.weight.to_dense() if self.laid_out else self.weight
        self.bias = self.bias.to(dtype)
        self.weight = self._lay_out(weight.to(dtype))

    def __call__(self, x: torch.Tensor, activation: str = "none") -> torch.Tensor:
        if not self.laid_out:
            return _follow(functional.linear(x, self.weight, self.bias), activation)
        how = "none" if activation == "gelu" else ""
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, activation, [], how)
        return result

    def plus(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        if not self.laid_out:
            return functional.linear(x, self.weight, self.bias) + other
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")
        return result


def _follow(x: torch.Tensor, activation: str) -> torch.Tensor:
    if activation == "swish":
        return functional.silu(x, inplace=True)
    return functional.gelu(x) if activation == "gelu" else x


class _Block:
    """One ResidualAttentionBlock: attention and MLP, each behind a layer norm and added to what it came from."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401
        self.heads = block.attn.num_heads
        self.norms = [_Norm(block.ln_1), _Norm(block.ln_2)]
        quick = isinstance(block.mlp.gelu, import_open_clip().transformer.QuickGELU)
        scale = _QUICK if quick else 1.0
        self.activation = "swish" if quick else "gelu"
        self.inward = _Linear(block.attn.in_proj_weight, block.attn.in_proj_bias)
        self.outward = _Linear(block.attn.out_proj.weight, block.attn.out_proj.bias)
        self.before = _Linear(block.mlp.c_fc.weight * scale, block.mlp.c_fc.bias * scale)
        self.after = _Linear(block.mlp.c_proj.weight / scale, block.mlp.c_proj.bias)

    def cast(self, dtype: torch.dtype) -> None:
        for norm in self.norms:
            norm.cast(dtype)
        for linear in (self.inward, self.outward, self.before, self.after):
            linear.cast(dtype)

    def __call__(self, x: torch.Tensor, causal: bool) -> torch.Tensor:
        count, length, width = x.shape
        parts = self.inward(self.norms[0](x)).view(count, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        x = self.outward.plus(attended.transpose(1, 2).reshape(count, length, width), x)
        return self.after.plus(self.before(self.norms[1](x), self.activation), x)


class _Norm:
    """A layer norm in the block's number format."""

    def __init__(self, norm: torch.nn.LayerNorm) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps

    def cast(self, dtype: torch.dtype) -> None:
        self.weight, self.bias = self.weight.to(dtype), self.bias.to(dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)


def _is_offered(dtype: torch.dtype) -> bool:
    operators = torch.ops.mkldnn
    if not torch.backends.mkldnn.is_available() or not hasattr(operators, "_linear_pointwise"):  # type: ignore[no-untyped-call]
        return False
    if dtype == torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32


def _is_plain(transformer: Any) -> bool:  # noqa: ANN401
    """Return whether every block's arithmetic is what `_Block` does."""
    known = import_open_clip().transformer
    if type(transformer) is not known.Transformer or not transformer.batch_first:
        return False
    return all(_is_plain_block(known, block) for block in transformer.resblocks)


def _is_plain_block(known: Any, block: Any) -> bool:  # noqa: ANN401
    if type(block) is not known.ResidualAttentionBlock or type(block.attn) is not torch.nn.MultiheadAttention:
        return False
    steps = dict(block.mlp.named_children())
    if list(steps) != ["c_fc", "gelu", "c_proj"]:
        return False
    exact = type(steps["gelu"]) is torch.nn.GELU and steps["gelu"].approximate == "none"
    attention = block.attn
    return (
        (exact or type(steps["gelu"]) is known.QuickGELU)
        and all(isinstance(scale, torch.nn.Identity) for scale in (block.ls_1, block.ls_2))
        and all(type(norm) in (torch.nn.LayerNorm, known.LayerNorm) for norm in (block.ln_1, block.ln_2))
        and not hasattr(block, "ln_1_kv")
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )
