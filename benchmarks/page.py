"""docs/performance.md, from what was measured."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["page"]

Row = dict[str, Any]
_JOB = "geotag backfill, "
_ONE, _BATCHES = "one by one, float32 (a)", "batches of 250, float32 (b)"
_IMAGES = "image encoder alone, "
_DECODING = "decoding alone, 2 processes"


def page(found: Row) -> str:
    """Return the page, Markdown."""
    machine, limits = found["machine"], found["limits"]
    lines = [
        "# Performance",
        "",
        "Written by `make bench`, which made every figure in one run on one machine; the same in "
        "[performance.json](performance.json). Compare ratios, not seconds: machines differ, and this one is shared. "
        "The ways took turns in three rounds; rates are medians, ratios medians of each round's own ratio; least and "
        "most in brackets. Models are ViT-B/32 of full size with seeded random weights, photos made-up JPEGs with "
        "titles of 28 characters.",
        "",
        f"Machine: {machine['cpu']}, {machine['logical CPUs']} logical CPUs, {', '.join(machine['of interest'])}. "
        + ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
        + ".",
        "",
        "## What the machine can do at most",
        "",
        *_table(("limit", "measured"), [*_products(found), *((name, f"{value:,}") for name, value in limits.items())]),
        "",
        f"An image takes {found['image_flops'] / 1e9:.2f} GFLOP in the image encoder (counted by torch); a product's "
        "limit is the images/s that its speed would make of them, measured beside the ways in each round.",
        "",
        "## From JPEG files to committed Parquet",
        "",
        "(a) is the loop over image and title that the paper's notebooks use, (b) what a production worker does: "
        "batches of 250, prepared one by one, titles padded to 77 tokens; both in float32 through open_clip itself. "
        "Loading the model is left out everywhere. *Together* is the rate that image encoder, title encoder and "
        "decoding, each timed alone in the same round, allow on the same cores: 1 / (1/image + 1/title + 1/decoding).",
        "",
    ]
    for size, rates in found["ways"].items():
        rows = [_way(name, rates) for name in rates]
        lines += [
            f"### Photos of {size}",
            "",
            *_table(("way", "photos/s", "times (a)", "times (b)", "share"), rows),
            "",
            _int8(rates),
            "",
        ]
    lines += ["## Where a photo's time goes", "", "bfloat16, ms a photo.", ""]
    steps = list(next(iter(found["time"].values())))
    lines += _table(
        ("step", *found["time"]), [(step, *(f"{each[step]:.2f}" for each in found["time"].values())) for step in steps]
    )
    lines += ["", *_limits(found), *_growth(found), *_rescoring(found), *_large(found)]
    return "\n".join(lines[:-1]) + "\n"


def _products(found: Row) -> list[tuple[str, str]]:
    rates = next(iter(found["ways"].values()))
    names = [name for name in rates if name.startswith("limit of ")]
    gflops = {name: [rate * found["image_flops"] / 1e9 for rate in rates[name]] for name in names}
    return [(f"{name.removeprefix('limit of the ')}, GFLOP/s", _spread(gflops[name], "{:,.0f}")) for name in names]


def _way(name: str, rates: dict[str, list[float]]) -> tuple[str, ...]:
    """Return a way's row: its rate, that as a multiple of (a) and (b), and its share of what limits it."""
    times = ("", "")
    if " alone" not in name and not name.startswith("limit"):
        times = (_spread(_ratios(rates[name], rates[_ONE])), _spread(_ratios(rates[name], rates[_BATCHES])))
    return name, _spread(rates[name]), *times, _share(name, rates)


def _share(name: str, rates: dict[str, list[float]]) -> str:
    precision = name.rsplit(" ", 1)[1]
    if name == _JOB + precision and f"image encoder alone, {precision}" in rates:
        together = _together(rates, precision)
        return f"{_spread(_ratios(rates[name], together), '{:.0%}')} of together"
    limit = rates.get(f"limit of the {precision} product")
    if name.startswith("image encoder") and limit is not None:
        return f"{_spread(_ratios(rates[name], limit), '{:.0%}')} of the product's limit"
    return ""


def _together(rates: dict[str, list[float]], precision: str) -> list[float]:
    parts = [rates[f"{part} encoder alone, {precision}"] for part in ("image", "title")]
    return [1 / sum(1 / rate for rate in each) for each in zip(*parts, rates[_DECODING], strict=True)]


def _int8(rates: dict[str, list[float]]) -> str:
    if f"{_JOB}int8" not in rates:
        return "int8 is left out: the extra `geotag-batch[int8]` is not installed."
    whole, alone = (_spread(_ratios(rates[f"{way}int8"], rates[f"{way}bfloat16"]), "{:.2f}") for way in (_JOB, _IMAGES))
    return f"int8 is {whole} times bfloat16 end to end, {alone} times in the image encoder alone."


def _ratios(rates: Sequence[float], others: Sequence[float]) -> list[float]:
    return [rate / other for rate, other in zip(rates, others, strict=True)]


def _spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    middle, least, most = (form.format(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


def _limits(found: Row) -> list[str]:
    """Say in words what limits the job now, from the figures of the larger photos."""
    size, rates = next(iter(found["ways"].items()))
    parts = {
        "image encoder": rates["image encoder alone, bfloat16"],
        "title encoder": rates["title encoder alone, bfloat16"],
    }
    parts["decoding"] = rates[_DECODING]
    milliseconds = {name: 1000 / statistics.median(each) for name, each in parts.items()}
    total = sum(milliseconds.values())
    shares = ", ".join(f"{name} {value / total:.0%}" for name, value in milliseconds.items())
    product = statistics.median(_ratios(rates["image encoder alone, bfloat16"], rates["limit of the bfloat16 product"]))
    formats = statistics.median(_ratios(rates["limit of the bfloat16 product"], rates["limit of the float32 product"]))
    return [
        "## What limits it now",
        "",
        f"Of the work on a photo of {size} in bfloat16, timed part by part: {shares}. The image encoder runs at "
        f"{product:.0%} of what this machine's bfloat16 product allows; layer norms, attention's softmax and the "
        f"activations are the rest. As bfloat16 multiplies {formats:.1f} times as fast as float32 here, no way of "
        "computing the same model in bfloat16 can leave a float32 way behind by much more than that times what the "
        "float32 way wastes.",
        "",
    ]


def _growth(found: Row) -> list[str]:
    if "growth" not in found:
        return []
    rows = [
        (
            f"{row['photos']:,}",
            f"{row['seconds']:.1f}",
            f"{row['per_s']:.1f}",
            f"{row['peak_mib'] / 1024:.2f}",
            f"{row['together_mib'] / 1024:.2f}",
        )
        for row in found["growth"]
    ]
    return [
        "## As the archive grows",
        "",
        "Photos of 224x224, bfloat16, chunks of 128. Peak memory of the job's main process, and of all its processes "
        "together (looked at twice a second, shared pages counted once).",
        "",
        *_table(("photos", "seconds", "photos/s", "peak GiB", "together GiB"), rows),
        "",
    ]


def _rescoring(found: Row) -> list[str]:
    if "rescoring" not in found:
        return []
    row = found["rescoring"]
    return [
        "## Scoring again with another head",
        "",
        f"{row['photos']:,} photos with stored embeddings, linear head, reading and committing included: "
        f"{row['photos_per_s']:,.0f} photos/s ({row['least']:,.0f} to {row['most']:,.0f}), peak "
        f"{row['peak_mib'] / 1024:.2f} GiB.",
        "",
    ]


def _large(found: Row) -> list[str]:
    if "large" not in found:
        return []
    rows = [
        (
            row["what"],
            f"{row['seconds']:.1f} ({row['least']:.1f} to {row['most']:.1f})",
            f"{row['peak_mib'] / 1024:.2f}",
        )
        for row in found["large"]
    ]
    return [
        f"## Over {found['large_photos']:,} photos, all predicted, one in a hundred twice",
        "",
        "Whole commands, Python's start included. Vectors are zero here: no statement reads them. The newest "
        "prediction of a photo is that of the greatest run_id: photos with more than one are found by blocks of 64 ids "
        "with more rows than distinct ids (a bit each), and only those are grouped.",
        "",
        *_table(("command", "seconds", "peak GiB"), rows),
        "",
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
