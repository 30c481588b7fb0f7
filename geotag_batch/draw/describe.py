"""Figures of a catalogue: histograms, bars, the map, tags that go together, and a photo of each tag."""

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotag_batch.draw.figure import ACCENT, MUTED, drawable, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Example", "draw_bars", "draw_examples", "draw_histogram", "draw_map", "draw_together"]

_PER_ROW = 7
_KM_PER_DEGREE = 111.2


@dataclass(frozen=True, slots=True)
class Example:
    """A photo that stands for a tag: `jpeg`, or the `problem` that there is none."""

    tag: str
    contributor: str
    gridimage_id: int
    jpeg: bytes | None
    problem: str | None


def draw_histogram(counts: Sequence[tuple[int, int]], title: str, unit: str) -> "Figure":
    """Return bars of how many photos (second) have so many of something (first)."""
    figure = new_figure(7, 3.6)
    axes = figure.subplots()
    bars = axes.bar([value for value, _ in counts], [count for _, count in counts], color=ACCENT, width=0.9)
    if len(counts) <= 12:
        axes.bar_label(bars, [f"{count:,}" for _, count in counts], fontsize=7, color=MUTED)
        axes.set_xticks([value for value, _ in counts])
    axes.set(title=title, xlabel=unit, ylabel="photos")
    axes.grid(axis="y")
    return figure


def draw_bars(counts: Sequence[tuple[str, int]], title: str) -> "Figure":
    """Return a bar for each name, in the order given, with its number of photos."""
    figure = new_figure(7.5, 1 + 0.22 * len(counts))
    axes = figure.subplots()
    bars = axes.barh(range(len(counts)), [count for _, count in counts], color=ACCENT, height=0.75)
    axes.bar_label(bars, [f"{count:,}" for _, count in counts], fontsize=7, color=MUTED, padding=2)
    axes.set_yticks(range(len(counts)), [drawable(name) for name, _ in counts])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.set(title=title, xlabel="photos")
    axes.grid(axis="x")
    return figure


def draw_map(places: NDArray[np.float64], photos: Sequence[int]) -> "Figure":
    """Return squares of 10 km at latitude, longitude `places` (n, 2), the darker the more photos lie in them."""
    from matplotlib.collections import PatchCollection  # noqa: PLC0415
    from matplotlib.colors import LogNorm  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    figure = new_figure(6.5, 8)
    axes = figure.subplots()
    axes.set(title="Where photos were taken, by square of 10 km", xlabel="longitude", ylabel="latitude")
    if not len(places):
        axes.text(0.5, 0.5, "no photo has a location", ha="center", color=MUTED, transform=axes.transAxes)
        return figure
    height = 10 / _KM_PER_DEGREE
    patches = []
    for latitude, longitude in places:
        width = height / max(0.05, math.cos(math.radians(latitude)))
        patches.append(Rectangle((longitude - width / 2, latitude - height / 2), width, height))
    squares: Any = PatchCollection(patches, cmap="viridis_r", norm=LogNorm(1, max(2, *photos)), linewidth=0)
    squares.set_array(np.asarray(photos, np.float64))
    axes.add_collection(squares)
    low, high = (places.min(axis=0) - 0.3).tolist(), (places.max(axis=0) + 0.3).tolist()
    axes.set(xlim=(low[1], high[1]), ylim=(low[0], high[0]))
    axes.set_aspect(1 / max(0.05, math.cos(math.radians((low[0] + high[0]) / 2))))
    axes.grid()
    figure.colorbar(squares, ax=axes, shrink=0.5, label="photos")
    return figure


def draw_together(tags: Sequence[str], together: Mapping[tuple[str, str], int]) -> "Figure":
    """Return the share of the photos of a tag (rows) that carry each other tag too (columns)."""
    shares = np.array([[together.get((tag, other), 0) / together[tag, tag] for other in tags] for tag in tags])
    np.fill_diagonal(shares, np.nan)
    figure = new_figure(3.2 + 0.2 * max(4, len(tags)), 2.8 + 0.2 * max(4, len(tags)))
    axes = figure.subplots()
    most = np.nanmax(shares) if np.isfinite(shares).any() else 0.0
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=max(0.01, float(most)))
    axes.set_xticks(range(len(tags)), tags, rotation=90, fontsize=7)
    axes.set_yticks(range(len(tags)), tags, fontsize=7)
    axes.set(title="Of the photos with a tag (row), how many have another (column)")
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axes, shrink=0.5, label="share")
    return figure


def draw_examples(examples: Sequence[Example]) -> "Figure":
    """Return a sheet of one photo for each tag, with its contributor, whom the licence wants named."""
    rows = -(-len(examples) // _PER_ROW)
    figure = new_figure(1.75 * min(_PER_ROW, max(3, len(examples))), 2.35 * rows)
    grid = figure.subplots(rows, min(_PER_ROW, max(3, len(examples))), squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, example in zip(grid.flat, examples, strict=False):
        if example.jpeg is not None:
            axes.imshow(np.asarray(Image.open(io.BytesIO(example.jpeg))))
        else:
            axes.text(0.5, 0.5, f"no picture:\n{example.problem}", ha="center", va="center", color=MUTED, fontsize=7)
        axes.set_title("\n".join(textwrap.wrap(example.tag, 24)), fontsize=7, loc="left")
        credit = f"{example.gridimage_id}, {drawable(example.contributor) or 'unknown'}"
        axes.text(0, -0.03, textwrap.shorten(credit, 32, placeholder="..."), fontsize=6, va="top", color=MUTED,
                  transform=axes.transAxes)  # fmt: skip
    return figure
