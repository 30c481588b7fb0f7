"""Photos per second on this machine: the usual ways to embed, the job, and the job's parts, in one run: `make bench`.

Full-size ViT-B/32 with random weights, which cost the time that real ones do. Usual ways: a loop over photos, and
batches out of torch's DataLoader; both with open_clip's own transform and titles of 77 tokens.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.archive import MODEL, make_archive, make_head, make_weights
from geotag_batch.config import Config, load_config
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.read.loader import ImageLoader, ImageRequest
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.heads import use_head
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace

BATCH = 32


class Photos(torch.utils.data.Dataset[Any]):
    """Images through open_clip's transform, the usual way."""

    def __init__(self, paths: list[Path], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        """Keep where the images are."""
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return one image, float32 (3, 224, 224)."""
        with Image.open(self.paths[index]) as image:
            return self.transform(image)


def main() -> None:
    """Run everything and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=512)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), metavar=("WIDTH", "HEIGHT"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.safetensors"
        make_weights(weights)
        workspace = make_archive(Path(folder) / "archive", weights, arguments.photos, tuple(arguments.size))
        titles = [f"Church no {number} near the village" for number in range(arguments.photos)]
        with torch.inference_mode():
            _usual_ways(workspace, weights, titles)
        _parts(workspace, load_config(workspace), titles)
        _job(workspace, "the job: images, titles, scores, committed")
        use_head(workspace, make_head(workspace, seed=2))
        _job(workspace, "the job with another head: scores from stored embeddings")


def _usual_ways(workspace: Workspace, weights: Path, titles: list[str]) -> None:
    open_clip = import_open_clip()
    model, _, transform = open_clip.create_model_and_transforms(MODEL, pretrained=str(weights))
    model.eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    photos = Photos(sorted(workspace.root.glob("images/*/*.jpg")), transform)

    def one_by_one() -> None:
        for index, title in enumerate(titles):
            model.encode_image(photos[index].unsqueeze(0))
            model.encode_text(tokenizer([title]))

    def in_batches() -> None:
        for images in torch.utils.data.DataLoader(photos, BATCH, num_workers=2):
            model.encode_image(images)
        for start in range(0, len(titles), BATCH):
            model.encode_text(tokenizer(titles[start : start + BATCH]))

    _measure("the usual way: photo by photo", len(photos), one_by_one)
    _measure("the usual way: DataLoader and batches", len(photos), in_batches)


def _parts(workspace: Workspace, config: Config, titles: list[str]) -> None:
    encoder = load_encoder(config.encoder, workspace.root)
    requests = [ImageRequest(number, f"{number // 10000:05d}/{number}.jpg") for number in range(1, len(titles) + 1)]

    def decode() -> None:
        with ImageLoader(config.images, workspace.root, encoder.preprocess, config.run.workers) as loader:
            assert all(loaded.failure is None for loaded in loader.load(requests))

    _measure("part: decoding alone", len(titles), decode)
    _measure("part: encoding images alone", len(titles), partial(_encode_images, encoder, len(titles)))
    _measure("part: encoding titles alone", len(titles), partial(encoder.encode_titles, titles))


def _encode_images(encoder: Encoder, count: int) -> None:
    size = encoder.preprocess.size
    pixels = np.random.default_rng(1).integers(0, 256, (BATCH, size, size, 3), np.uint8)
    for start in range(0, count, BATCH):
        encoder.encode_images(pixels[: count - start])


def _job(workspace: Workspace, what: str) -> None:
    config = load_config(workspace)
    record = run_backfill(workspace, config, Job("backfill", Selection()))
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in record.timings.items())
    _print(what, record.photos, record.seconds)
    print(f"    {stages}")


def _measure(what: str, photos: int, work: Callable[[], object]) -> None:
    started = time.monotonic()
    work()
    _print(what, photos, time.monotonic() - started)


def _print(what: str, photos: int, seconds: float) -> None:
    print(f"{what:60} {photos / seconds:9,.1f} photos/s", flush=True)


if __name__ == "__main__":
    main()
