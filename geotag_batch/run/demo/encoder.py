"""The demo's encoder: a CLIP far too small to know anything, with seeded random weights, so that nothing is fetched.

What it makes of an image still depends on colours and layout, and of a title on its words: enough for a head to learn
to tell drawn scenes apart, and nothing to judge real photos by.
"""

import json
from functools import partial
from pathlib import Path

from geotag_batch.atomic import publish, write_bytes
from geotag_batch.config import set_key
from geotag_batch.workspace import Workspace

__all__ = ["make_random_encoder"]

_CONFIG = {
    "embed_dim": 512,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32, "head_width": 64},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
"""OpenAI's layout; the text length and vocabulary are those of its tokenizer."""


def make_random_encoder(workspace: Workspace, seed: int) -> None:
    """Write encoder/random-clip.json and .safetensors into the workspace and name them in geotag.toml."""
    import torch  # noqa: PLC0415  takes seconds, and `geotag demo` has something to say first
    from safetensors.torch import save_file  # noqa: PLC0415

    from geotag_batch.encode.torchvision_shim import import_open_clip  # noqa: PLC0415

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = import_open_clip().CLIP(**_CONFIG)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    config, weights = Path("encoder", "random-clip.json"), Path("encoder", "random-clip.safetensors")
    write_bytes(json.dumps(_CONFIG, indent=1).encode(), workspace.root / config, workspace.staging)
    publish(partial(save_file, tensors), workspace.root / weights, workspace.staging)
    set_key(workspace, "encoder.model", str(config))
    set_key(workspace, "encoder.weights", str(weights))
