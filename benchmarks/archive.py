"""A synthetic archive at full model size, for measuring: JPEG photos, titles, seeded random weights, a head."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from PIL import Image

from geotag_batch.config import load_config, set_key
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.run.init import init_workspace
from geotag_batch.workspace import Workspace

__all__ = ["make_archive", "make_head", "make_weights"]

MODEL = "ViT-B-32-quickgelu"
_PLACES = ("Church", "Bridge", "Lane", "Farm", "Quarry", "Canal", "Beach", "Moor")


def make_weights(path: Path) -> None:
    """Save seeded random weights of the full-size model."""
    torch.manual_seed(1)
    model = import_open_clip().create_model(MODEL)
    safetensors.torch.save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)


def make_archive(folder: Path, weights: Path, photos: int, size: tuple[int, int]) -> Workspace:
    """Make a workspace of `photos` JPEG photos of `size`, titles of 28 characters on average, and a head."""
    workspace = init_workspace(folder)
    chance = np.random.default_rng(1)
    for number in range(1, photos + 1):
        path = workspace.root / "images" / f"{number // 10000:05d}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = chance.integers(0, 256, (12, 16, 3), np.uint8)
        scene = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC), np.int16)
        grain = chance.integers(-12, 13, scene.shape, np.int16)
        Image.fromarray(np.clip(scene + grain, 0, 255).astype(np.uint8)).save(path, quality=85)
    places = [_PLACES[number % len(_PLACES)] for number in range(photos)]
    titles = [f"{place} no {number} near the village" for number, place in enumerate(places)]
    table = pa.table({"gridimage_id": range(1, photos + 1), "title": titles, "grid_reference": ["TQ3080"] * photos})
    pq.write_table(table, workspace.root / "photos" / "photos.parquet")
    set_key(workspace, "encoder.weights", str(weights))
    set_key(workspace, "head.current", make_head(workspace, seed=1))
    return workspace


def make_head(workspace: Workspace, seed: int) -> str:
    """Save a linear head with random weights for the workspace's encoder; return its head_id."""
    chance = np.random.default_rng(seed)
    tensors = {
        "weight": chance.normal(0, 0.05, (49, 1026)).astype(np.float32),
        "bias": chance.normal(-2, 0.3, 49).astype(np.float32),
    }
    encoder = load_encoder(load_config(workspace).encoder, workspace.root)
    draft = HeadDraft("bench", ("image", "title", "location"), encoder.dim, DEFAULT_RULE, encoder.encoder_id, "given")
    return save_head(workspace, draft, tensors).head_id
