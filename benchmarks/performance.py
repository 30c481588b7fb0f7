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
from geotag_batch.config import set_key
from geotag_batch.run.heads import use_head
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import read_run_records

Row = dict[str, Any]
_DOCS = Path(__file__).parent.parent / "docs"
_COMMANDS = {
    "backfill with nothing to do": ("backfill",),
    "status": ("status",),
    **{
        f"{view}, first 100 rows": ("query", f"SELECT * FROM {view} LIMIT 100")
        for view in ("predictions", "predicted_tags", "review_queue", "disagreements", "head_diff", "failures")
    },
    **{f"{view}, whole": ("query", f"SELECT * FROM {view}") for view in ("tag_counts", "coverage")},
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
        found["ways"], found["time"] = [], {}
        for size in ((640, 480), (224, 224)):
            rows, where = measure_backfill(folder / f"photos-{size[0]}", weights, size)
            found["ways"] += rows
            found["time"]["x".join(map(str, size))] = where
        if arguments.growth:
            found["growth"] = list(_growth(folder, weights, arguments.growth))
        if arguments.rescored:
            found["rescoring"] = _rescoring(folder / "rescored", arguments.rescored)
        if arguments.large:
            found["large"] = list(_large(folder / "large", arguments.large))
            found["large_photos"] = arguments.large
    arguments.output.mkdir(exist_ok=True)
    (arguments.output / "performance.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (arguments.output / "performance.md").write_text(_page(found), encoding="utf-8")
    print(_page(found))


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
            name: version(name) for name in ("torch", "open_clip_torch", "duckdb", "pyarrow", "pillow", "numpy")
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


def _page(found: Row) -> str:
    """Return the page, Markdown."""
    machine, limits = found["machine"], found["limits"]
    lines = [
        "# Performance",
        "",
        "Written by `make bench`, which made every figure in one run on one machine; the same in "
        "[performance.json](performance.json). Compare ratios, not seconds: machines differ, and this one is shared. "
        "Medians of three rounds in which the ways took turns; least and most in brackets. Models are ViT-B/32 of full "
        "size with seeded random weights, photos made-up JPEGs with titles of 28 characters.",
        "",
        f"Machine: {machine['cpu']}, {machine['logical CPUs']} logical CPUs, {', '.join(machine['of interest'])}. "
        + ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
        + ".",
        "",
        "## What the machine can do at most",
        "",
        *_table(("limit", "measured"), [(name, f"{value:,}") for name, value in limits.items()]),
        "",
        f"An image takes {found['image_flops'] / 1e9:.2f} GFLOP in the image encoder (counted by torch), which at the "
        "speed of a large product makes "
        + " and ".join(
            f"{_limit(found, precision):.1f} images/s in {precision}" for precision in ("float32", "bfloat16")
        )
        + ".",
        "",
        "## From JPEG files to committed Parquet",
        "",
        "(a) is the loop over image and title that the paper's notebooks use, (b) what a production worker "
        "does: batches "
        "of 250, prepared one by one, titles padded to 77 tokens; both in float32 through open_clip itself. "
        "Loading the "
        "model is left out everywhere. *Together* is the rate that image encoder, title encoder and "
        "decoding, each timed "
        "alone in the same run, allow on the same cores: 1 / (1/image + 1/title + 1/decoding).",
        "",
    ]
    for size in found["time"]:
        lines += _ways(found, size)
    lines += ["## Where a photo's time goes", "", "bfloat16, ms a photo.", ""]
    steps = list(next(iter(found["time"].values())))
    lines += _table(
        ("step", *found["time"]), [(step, *(f"{each[step]:.2f}" for each in found["time"].values())) for step in steps]
    )
    lines += ["", *_rest(found)]
    return "\n".join(lines) + "\n"


def _limit(found: Row, precision: str) -> float:
    return float(found["limits"][f"{precision} product, GFLOP/s"]) * 1e9 / float(found["image_flops"])


def _ways(found: Row, size: str) -> list[str]:
    rates = {row["way"]: row for row in found["ways"] if row["size"] == size}
    one, batches = (rates[name]["photos_per_s"] for name in rates if name.endswith((" (a)", " (b)")))
    decoding = rates["decoding alone, 2 processes"]["photos_per_s"]
    rows = []
    for name, row in rates.items():
        rate = row["photos_per_s"]
        share = ""
        if name in ("geotag backfill, float32", "geotag backfill, bfloat16"):
            precision = name.rsplit(" ", 1)[1]
            alone = [rates[f"{part} encoder alone, {precision}"]["photos_per_s"] for part in ("image", "title")]
            share = f"{rate * sum(1 / each for each in (*alone, decoding)):.0%} of together"
        elif name.startswith("image encoder"):
            share = f"{rate / _limit(found, name.rsplit(' ', 1)[1]):.0%} of the product's limit"
        spread = f"{rate:.1f} ({row['least']:.1f} to {row['most']:.1f})"
        times = ("", "") if " alone" in name else (f"{rate / one:.1f}", f"{rate / batches:.1f}")
        rows.append((name, spread, *times, share))
    return [f"### Photos of {size}", "", *_table(("way", "photos/s", "times (a)", "times (b)", "share"), rows), ""]


def _rest(found: Row) -> list[str]:
    lines: list[str] = []
    if "growth" in found:
        rows = [
            (f"{row['photos']:,}", f"{row['seconds']:.1f}", f"{row['per_s']:.1f}", f"{row['peak_mib'] / 1024:.2f}")
            for row in found["growth"]
        ]
        lines += [
            "## As the archive grows",
            "",
            "Photos of 224x224, bfloat16, chunks of 128; peak memory of the job's",
            "main process, without the two decoding processes.",
            "",
        ]
        lines += [*_table(("photos", "seconds", "photos/s", "peak GiB"), rows), ""]
    if "rescoring" in found:
        row = found["rescoring"]
        lines += [
            "## Scoring again with another head",
            "",
            f"{row['photos']:,} photos with stored embeddings, linear head, reading and committing included: "
            f"{row['photos_per_s']:,.0f} photos/s ({row['least']:,.0f} to {row['most']:,.0f}), peak "
            f"{row['peak_mib'] / 1024:.2f} GiB.",
            "",
        ]
    if "large" in found:
        commands = [
            (
                row["what"],
                f"{row['seconds']:.1f} ({row['least']:.1f} to {row['most']:.1f})",
                f"{row['peak_mib'] / 1024:.2f}",
            )
            for row in found["large"]
        ]
        lines += [
            f"## Over {found['large_photos']:,} photos, all predicted, one in a hundred twice",
            "",
            "Whole commands, Python's start included. Vectors are zero here: no statement reads them. The newest "
            "prediction "
            "of a photo is that of the greatest run_id: photos with more than one are found by blocks of 16 ids "
            "with more "
            "rows than distinct ids (a bit each), and only those are grouped.",
            "",
            *_table(("command", "seconds", "peak GiB"), commands),
            "",
        ]
    return lines[:-1]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]


if __name__ == "__main__":
    main()
