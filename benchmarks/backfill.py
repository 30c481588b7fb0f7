"""Photos per second from JPEG files to committed Parquet: the job, the ways it is done today, and the job's parts.

Full-size ViT-B/32 with random weights, which cost the time that real ones do. The ways take turns, so that a busy
moment of the machine hits all of them; every figure is a median with its spread.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.archive import MODEL, make_archive
from geotag_batch.config import load_config, set_key
from geotag_batch.encode import int8
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.read.images import ImageLimits, decode_image
from geotag_batch.read.loader import ImageLoader, ImageRequest
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.plan import Selection
from geotag_batch.run.settle import load_settled
from geotag_batch.workspace import Workspace

__all__ = ["flops_per_image", "job_in_a_process", "measure_backfill", "measure_machine", "product_rate"]

Row = dict[str, Any]
_WORKER_BATCH, _BATCH = 250, 32
_FAST = os.environ.get("GEOTAG_BENCH_FAST") == "1"  # a few photos, to try the benchmark itself


def measure_machine(folder: Path) -> Row:
    """Return what the machine can do at most: JPEGs decoded on a core, MB/s to disk."""
    found: Row = {}
    photo = folder / "photo.jpg"
    _photo((640, 480)).save(photo, quality=85)

    def decode() -> None:
        for _ in range(20):
            Image.open(photo).load()

    found["JPEG 640x480 decoded, 1/s on a core"] = round(20 / _least(decode, 5))
    data = os.urandom(64 << 20)

    def write() -> None:
        with (folder / "written").open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())

    found["written and synced, MB/s"] = round(len(data) / 1e6 / _least(write, 3))
    (folder / "written").unlink()
    return found


def _photo(size: tuple[int, int]) -> Image.Image:
    chance = np.random.default_rng(1)
    return Image.fromarray(chance.integers(0, 256, (12, 16, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)


@cache
def flops_per_image() -> float:
    """Return the floating-point operations of the image encoder for one image, counted by torch."""
    model = import_open_clip().create_model(MODEL).eval()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into it
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.encode_image(torch.zeros(1, 3, 224, 224))
    torch.backends.mha.set_fastpath_enabled(True)
    return float(counter.get_total_flops())


def product_rate(precision: str) -> float:
    """Return images/s that the image encoder would reach at the speed of a large matrix product on this machine."""
    matrix = torch.ones(2048, 2048, dtype=getattr(torch, precision))
    return 2 * 2048**3 / _least(partial(torch.mm, matrix, matrix), 9) / flops_per_image()


def measure_backfill(
    folder: Path, weights: Path, size: tuple[int, int], rounds: int = 3
) -> tuple[dict[str, list[float]], Row]:
    """Return photos/s of each way and part for photos of `size`, one a round, and where a photo's time goes, in ms."""
    photos = 64 if _FAST else 384  # the half second that a run takes to start should not count for much
    workspace = make_archive(folder, weights, photos, size)
    set_key(workspace, "run.chunk_size", 256)
    set_key(workspace, "encoder.min_agreement", 0.0)  # the head is random: how its tags agree says nothing
    images, titles = _images_and_titles(workspace)
    ways: dict[str, Callable[[], float]] = {
        "one by one, float32 (a)": _one_by_one(weights, images[: 8 if _FAST else 48], titles),
        "batches of 250, float32 (b)": _batches(weights, images[: 32 if _FAST else _WORKER_BATCH], titles),
    }
    for precision in _formats():
        ways[f"geotag backfill, {precision}"] = partial(_job_rate, workspace, precision, "full")
    ways["geotag backfill, bfloat16, images.decode = scaled"] = partial(_job_rate, workspace, "bfloat16", "scaled")
    for precision in _formats():
        if precision != "int8":
            ways[f"limit of the {precision} product"] = partial(product_rate, precision)
        ways.update(_parts(workspace, precision, titles))
    ways["decoding alone, 2 processes"] = _decoding(workspace, photos)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(way())
    return rates, _where_time_goes(workspace, images)


def _formats() -> list[str]:
    return ["float32", "bfloat16", *(["int8"] if int8.is_installed() else [])]


def _images_and_titles(workspace: Workspace) -> tuple[list[Path], list[str]]:
    images = sorted(workspace.root.glob("images/*/*.jpg"), key=lambda path: int(path.stem))
    return images, [f"Church no {number} near the village" for number in range(len(images))]


def _usual_model(weights: Path) -> tuple[Any, Any, Any]:
    open_clip = import_open_clip()
    model, _, transform = open_clip.create_model_and_transforms(MODEL, pretrained=str(weights))
    return model.eval(), transform, open_clip.get_tokenizer(MODEL)


def _one_by_one(weights: Path, images: list[Path], titles: list[str]) -> Callable[[], float]:
    """Return the loop of the paper's notebooks: image and title of one photo after the other."""
    model, transform, tokenizer = _usual_model(weights)

    def work() -> None:
        with torch.inference_mode():
            for path, title in zip(images, titles, strict=False):
                model.encode_image(transform(Image.open(path)).unsqueeze(0))
                model.encode_text(tokenizer([title]))

    return partial(_rate, work, len(images))


def _batches(weights: Path, images: list[Path], titles: list[str]) -> Callable[[], float]:
    """Return what a production worker does: 250 photos, prepared one by one, titles padded to 77 tokens."""
    model, transform, tokenizer = _usual_model(weights)

    def work() -> None:
        with torch.inference_mode():
            model.encode_image(torch.stack([transform(Image.open(path)) for path in images]))
            model.encode_text(tokenizer(titles[: len(images)]))

    return partial(_rate, work, len(images))


def _job_rate(workspace: Workspace, precision: str, decode: str) -> float:
    """Run the job over all photos anew, and return photos/s from the loaded model on, as for the other ways."""
    set_key(workspace, "encoder.precision", precision)
    set_key(workspace, "images.decode", decode)
    record = _run_anew(workspace)
    set_key(workspace, "images.decode", "full")
    return float(record.photos / (record.seconds - record.timings["load_encoder"]))


def _run_anew(workspace: Workspace) -> Any:  # noqa: ANN401
    for dataset in ("embeddings", "predictions"):
        for path in workspace.dataset_files(dataset):
            path.unlink()
    return run_backfill(workspace, load_config(workspace), Job("backfill", Selection()))


def _parts(workspace: Workspace, precision: str, titles: list[str]) -> dict[str, Callable[[], float]]:
    set_key(workspace, "encoder.precision", precision)
    encoder = load_settled(workspace, load_config(workspace), None)
    pixels = np.random.default_rng(1).integers(0, 256, (_BATCH, 224, 224, 3), np.uint8)
    count = 1 if _FAST else 2

    def images() -> None:
        for _ in range(count):
            encoder.encode_images(pixels)

    return {
        f"image encoder alone, {precision}": partial(_rate, images, _BATCH * count),
        f"title encoder alone, {precision}": partial(_rate, partial(encoder.encode_titles, titles), len(titles)),
    }


def _decoding(workspace: Workspace, photos: int) -> Callable[[], float]:
    config = load_config(workspace)
    encoder = load_encoder(config.encoder, workspace.root)
    requests = [ImageRequest(number, f"{number // 10000:05d}/{number}.jpg") for number in range(1, photos + 1)]

    def rate() -> float:
        with ImageLoader(config.images, workspace.root, encoder.preprocess, 2) as loader:
            assert all(loaded.failure is None for loaded in loader.load(requests[:16]))  # the processes have started
            return _rate(lambda: list(loader.load(requests)), len(requests))

    return rate


def _rate(work: Callable[[], object], photos: int) -> float:
    started = time.perf_counter()
    work()
    return photos / (time.perf_counter() - started)


def _least(work: Callable[[], object], times: int) -> float:
    return min(1 / _rate(work, 1) for _ in range(times))


def _where_time_goes(workspace: Workspace, images: list[Path]) -> Row:
    """Return ms of one photo for each step of the job in bfloat16; decoding steps on a core, the rest on all."""
    set_key(workspace, "encoder.precision", "bfloat16")
    record = _run_anew(workspace)
    encoder = load_encoder(load_config(workspace).encoder, workspace.root)
    files = images[:32]
    data = [path.read_bytes() for path in files]
    limits = ImageLimits(10**9, 10**9)
    fetch = _least(lambda: [path.read_bytes() for path in files], 3)
    decoded = _least(lambda: [Image.open(path).load() for path in files], 3)
    whole = _least(lambda: [decode_image(each, encoder.preprocess, limits) for each in data], 3)
    step = {name: 1000 * record.timings[name] / record.photos for name in record.timings}
    return {
        "fetch (local file, a core)": 1000 * fetch / len(files),
        "decode (a core)": 1000 * (decoded - fetch) / len(files),
        "check, resize and crop (a core)": 1000 * (whole - decoded + fetch) / len(files),
        "image encoder": step["encode_images"],
        "title encoder": step["encode_titles"],
        "waiting for images": step["wait_images"],
        "commit (beside the next chunk)": step["commit"],
        "all": 1000 * (record.seconds - record.timings["load_encoder"]) / record.photos,
    }


_LAUNCHER = """
import glob, json, os, sys, threading, time
started, session, together, over = time.perf_counter(), os.getsid(0), 0, threading.Event()
def proportional(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
def watch():
    global together
    while not over.wait(0.5):
        total = 0
        for name in glob.glob("/proc/[0-9]*"):
            pid = int(name[6:])
            try:
                if pid != os.getpid() and os.getsid(pid) == session:
                    total += proportional(pid)
            except OSError:
                pass
        together = max(together, total)
process = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
threading.Thread(target=watch, daemon=True).start()
_, status, usage = os.wait4(process, 0)
found = {"seconds": time.perf_counter() - started, "peak_mib": usage.ru_maxrss / 1024}
over.set()
with open(sys.argv[1], "w") as file:
    json.dump({**found, "together_mib": together / 1024, "status": os.waitstatus_to_exitcode(status)}, file)
"""
"""A process's peak memory counts from its parent's at the fork, so the parent is a small one. `together` is that of all
the job's processes, shared pages counted once, looked at twice a second."""


def job_in_a_process(workspace: Workspace, *arguments: str) -> Row:
    """Run `geotag` with `arguments` in the workspace; return its seconds and peak MiB, its own and all processes'."""
    geotag = str(Path(sys.executable).parent / "geotag")
    report = workspace.cache / "measured.json"
    report.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-S", "-c", _LAUNCHER, str(report), geotag, *arguments]
    done = subprocess.run(
        command, cwd=workspace.root, capture_output=True, text=True, check=True, start_new_session=True
    )
    found: Row = json.loads(report.read_text(encoding="utf-8"))
    if found["status"]:
        raise RuntimeError(f"geotag {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return found
