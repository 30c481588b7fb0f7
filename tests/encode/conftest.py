"""Models for the encoder's tests: a very small one made here, the golden one, and one of full size."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from geotag_batch.config import EncoderConfig
from geotag_batch.encode import int8
from geotag_batch.encode.encoder import Encoder
from geotag_batch.encode.models import load_model
from geotag_batch.encode.quantise import save_quantised
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.encode.towers import ClipEncoder

SMALL: dict[str, Any] = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@dataclass(frozen=True)
class Model:
    """A model config file and its weights file."""

    config: Path
    weights: Path

    def encoder(self, **changes: Any) -> EncoderConfig:  # noqa: ANN401
        """Return the [encoder] section that names them."""
        return EncoderConfig(**{"model": str(self.config), "weights": str(self.weights), **changes})

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the weights."""
        return load_file(self.weights)


def random_model(folder: Path, name: str, config: dict[str, Any], seed: int = 0) -> Model:
    """Write a config and seeded random weights for it."""
    clip: Any = import_open_clip()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = (clip.CustomTextCLIP if config.get("custom_text") else clip.CLIP)(
            **{key: value for key, value in config.items() if key != "custom_text"}
        )
    model = Model(folder / f"{name}.json", folder / f"{name}.safetensors")
    model.config.write_text(json.dumps(config), encoding="utf-8")
    save_file({key: tensor.contiguous() for key, tensor in module.state_dict().items()}, model.weights)
    return model


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a model of two layers with random weights."""
    return random_model(tmp_path_factory.mktemp("small"), "small-clip", SMALL)


@pytest.fixture(scope="session")
def golden(shared: Path) -> Model:
    """Return the model of which we know what the original CLIP implementation makes of it."""
    return Model(shared / "golden" / "tiny-openai-clip.json", shared / "golden" / "tiny-openai-clip.safetensors")


@pytest.fixture(scope="session")
def golden_int8(golden: Model, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Encoder]:
    """Return a function that loads the golden model with its image encoder in int8, calibrated on random pixels."""
    if not int8.is_installed():
        pytest.skip("needs the extra geotag-batch[int8]")
    loaded = load_model(golden.encoder(), Path("/"))
    size = loaded.preprocess.size
    pixels = np.random.default_rng(5).integers(0, 256, (16, size, size, 3), np.uint8)
    path = save_quantised(tmp_path_factory.mktemp("int8"), loaded, pixels)
    device = torch.device("cpu")
    return lambda: int8.Int8Encoder(
        ClipEncoder(load_model(golden.encoder(), Path("/")), device, "float32"), path, "float32"
    )


@pytest.fixture(scope="session")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncoderConfig]:
    """Return ViT-B-32-quickgelu with seeded random weights in a file of 605 MB."""
    clip: Any = import_open_clip()
    config = clip.get_model_config("ViT-B-32-quickgelu")
    model = random_model(tmp_path_factory.mktemp("full"), "full", config)
    yield EncoderConfig(weights=str(model.weights))
    model.weights.unlink()
