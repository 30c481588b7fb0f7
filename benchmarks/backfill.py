"""Photos per second of the whole job on this machine: `make bench`.

ViT-B/32 at full size with random weights (they cost the time that real ones do), a random head, photos drawn as for the
demo. A first run reads, decodes and encodes; a second one, with another head, scores what is stored.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from geotag_batch.atomic import publish
from geotag_batch.config import load_config, set_key
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.predict.features import DEFAULT_RULE, MODALITIES
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.demo.archive import draw_images, invent_photos, write_catalogue
from geotag_batch.run.heads import use_head
from geotag_batch.run.init import init_workspace
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace

MODEL = "ViT-B-32-quickgelu"


def main() -> None:
    """Run the benchmark and print a line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=512)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = init_workspace(Path(folder) / "archive")
        photos = invent_photos(arguments.photos, seed=1)
        draw_images(photos, workspace.root / "images")
        write_catalogue(photos, workspace)
        _random_weights(workspace, arguments.precision)
        encoder_id = load_encoder(load_config(workspace).encoder, workspace.root).encoder_id
        for number, what in enumerate(("read, decode, encode, score", "score what is stored")):
            use_head(workspace, _random_head(workspace, encoder_id, number))
            record = run_backfill(workspace, load_config(workspace), Job("backfill", Selection(select="all")))
            stages = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in record.timings.items())
            print(f"{what}: {record.photos / record.seconds:,.1f} photos/s ({record.photos} photos; {stages})")


def _random_weights(workspace: Workspace, precision: str) -> None:
    torch.manual_seed(1)
    open_clip = import_open_clip()
    model = open_clip.CLIP(**open_clip.get_model_config(MODEL))
    weights = Path("encoder", "random.safetensors")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    publish(partial(save_file, tensors), workspace.root / weights, workspace.staging)
    set_key(workspace, "encoder.model", MODEL)
    set_key(workspace, "encoder.weights", str(weights))
    set_key(workspace, "encoder.activation", "quickgelu")
    set_key(workspace, "encoder.precision", precision)


def _random_head(workspace: Workspace, encoder_id: str, seed: int) -> str:
    chance = np.random.default_rng(seed)
    tensors = {"weight": chance.normal(size=(49, 1026)), "bias": chance.normal(size=49)}
    draft = HeadDraft(f"random-{seed}", MODALITIES, 512, DEFAULT_RULE, encoder_id, "given")
    return save_head(workspace, draft, {name: tensor.astype(np.float32) for name, tensor in tensors.items()}).head_id


if __name__ == "__main__":
    main()
