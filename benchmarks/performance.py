"""Everything that is measured, in one run: `make bench`; writes docs/performance.json and docs/performance.md.

Takes about a quarter of an hour, and 5 GB of disk below TMPDIR.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.archive import make_archive, make_head, make_weights
from benchmarks.backfill import flops_per_image, job_in_a_process, measure_backfill, measure_machine
from benchmarks.large import make_large
from benchmarks.page import page
from geotag_batch.config import set_key
from geotag_batch.run.heads import use_head
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import read_run_records

__all__ = ["main"]

Row = dict[str, Any]
_DOCS = Path(__file__).parent.parent / "docs"
_COMMANDS = {
    "backfill with nothing to do": ("backfill",),
    "status": ("status",),
    **{
        f"{view}, first 100 rows": ("query", f"SELECT * FROM {view} LIMIT 100")
        for view in ("predictions", "predicted_tags", "review_queue", "disagreements", "head_diff", "failures")
    },
    **{
        f"{view}, whole": ("query", f"SELECT * FROM {view}")
        for view in (
            "tag_counts",
            "coverage",
            "queue_by_tag",
            "queue_by_hectad",
            "drift",
            "head_flips",
            "series",
            "series_outliers",
        )
    },
    **{
        call: ("query", f"FROM {call}")
        for call in ("queue()", "queue_for_tag('Paths')", "queue_in_hectad('SU31')", "photo(1)", "series_of(1)")
    },
    "explain 1": ("explain", "1"),
    "tag_counts_by_square, whole": ("query", "SELECT count(*), sum(photos) FROM tag_counts_by_square"),
}


def main() -> None:
    """Measure, write the JSON and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=8_000_000, help="photos of the large archive; 0 leaves it out")
    parser.add_argument("--rescored", type=int, default=262_144, help="photos to score again; 0 leaves it out")
    parser.add_argument("--growth", type=int, default=96, help="photos of the smallest archive; 0 leaves it out")
    parser.add_argument("--output", type=Path, default=_DOCS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.safetensors"
        make_weights(weights)
        found: Row = {"machine": _machine(), "limits": measure_machine(folder), "image_flops": flops_per_image()}
        found["ways"], found["time"] = {}, {}
        for size in ((640, 480), (224, 224)):
            rates, where = measure_backfill(folder / f"photos-{size[0]}", weights, size)
            found["ways"]["x".join(map(str, size))], found["time"]["x".join(map(str, size))] = rates, where
        if arguments.growth:
            found["growth"] = list(_growth(folder, weights, arguments.growth))
        if arguments.rescored:
            found["rescoring"] = _rescoring(folder / "rescored", arguments.rescored)
        if arguments.large:
            found["large"] = list(_large(folder / "large", arguments.large))
            found["large_photos"] = arguments.large
    arguments.output.mkdir(exist_ok=True)
    (arguments.output / "performance.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "performance.md").write_text(page(found), encoding="utf-8")
    print(page(found))


def _machine() -> Row:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = facts.get("flags", "").split()
    return {
        "cpu": facts.get("model name", platform.processor()),
        "logical CPUs": os.cpu_count(),
        "of interest": [
            flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags
        ],
        "versions": {
            name: version(name).partition("+")[0]
            for name in ("torch", "open_clip_torch", "duckdb", "pyarrow", "pillow", "numpy")
        },
    }


def _growth(folder: Path, weights: Path, least: int) -> Iterable[Row]:
    """Yield seconds and peak memory of a backfill over 1, 4 and 16 times `least` photos."""
    for times in (1, 4, 16):
        workspace = make_archive(folder / f"grown-{times}", weights, least * times, (224, 224))
        set_key(workspace, "run.chunk_size", 128)
        set_key(workspace, "encoder.precision", "bfloat16")
        process = job_in_a_process(workspace, "backfill")
        record = read_run_records(workspace)[-1]
        seconds = record.seconds - record.timings["load_encoder"]
        yield {
            "photos": record.photos,
            "seconds": seconds,
            "per_s": record.photos / seconds,
            "peak_mib": process["peak_mib"],
            "together_mib": process["together_mib"],
        }


def _rescoring(folder: Path, photos: int, rounds: int = 3) -> Row:
    """Return photos/s of scoring stored embeddings with another head, reading and committing included."""
    workspace, rates, peaks = make_large(folder, photos, random_vectors=True), [], []
    for seed in range(2, 2 + rounds):
        use_head(workspace, make_head(workspace, seed=seed))
        peaks.append(job_in_a_process(workspace, "backfill")["peak_mib"])
        record = read_run_records(workspace)[-1]
        rates.append(record.photos / record.seconds)
    return {
        "photos": photos,
        "photos_per_s": statistics.median(rates),
        "least": min(rates),
        "most": max(rates),
        "peak_mib": max(peaks),
    }


def _large(folder: Path, photos: int, rounds: int = 3) -> Iterable[Row]:
    """Yield seconds and peak memory of each command over a large archive."""
    workspace: Workspace = make_large(folder, photos)
    for name, command in _COMMANDS.items():
        runs = [job_in_a_process(workspace, *command) for _ in range(rounds)]
        seconds = [run["seconds"] for run in runs]
        yield {
            "what": name,
            "seconds": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
            "peak_mib": max(run["peak_mib"] for run in runs),
        }
