"""Figures of an evaluation: F1 by tag, calibration, and which tags are chosen where which are given."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.draw.figure import ACCENT, MUTED, SECOND, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_calibration", "draw_co_occurrence", "draw_f1"]

_COLOURS = (ACCENT, SECOND, "#3d8f5f", "#8a4fa3", "#b8a13a", "#5b6770", "#c2577b", "#2f2f2f")


def draw_f1(
    tags: Sequence[str], support: Sequence[int], heads: Sequence[str], f1: Sequence[Sequence[float]]
) -> "Figure":
    """Return bars of F1 by tag, the most frequent tag first; a tag that no photo has is left out."""
    rows = [row for row in np.argsort([-count for count in support], kind="stable") if support[row]]
    figure = new_figure(8, 1.4 + max(2, len(rows)) * 0.24)
    axes = figure.subplots()
    thickness = 0.8 / len(heads)
    for place, (head, values) in enumerate(zip(heads, f1, strict=True)):
        at = np.arange(len(rows)) + (place - (len(heads) - 1) / 2) * thickness
        axes.barh(at, [values[row] for row in rows], height=thickness, color=_COLOURS[place], label=head)
    axes.set_yticks(range(len(rows)), [f"{tags[row]} ({support[row]:,})" for row in rows])
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set(xlim=(0, 1), xlabel="F1", title="F1 by tag (photos that carry it)")
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", frameon=False, ncols=1)
    return figure


def draw_calibration(heads: Sequence[str], curves: Sequence[Sequence[tuple[float, float, int]]]) -> "Figure":
    """Return, for each head, the share of decisions that are right (above) and their number (below) by score."""
    figure = new_figure(6, 6.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color=MUTED, linestyle=":", linewidth=1)
    for colour, head, curve in zip(_COLOURS, heads, curves, strict=False):
        scores, shares, counts = zip(*curve, strict=True) if curve else ((), (), ())
        top.plot(scores, shares, "o-", color=colour, markersize=4, label=head)
        bottom.plot(scores, counts, "o-", color=colour, markersize=3)
    top.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right", title="Is a score of 0.8 right eight times in ten?")
    bottom.set(yscale="log", xlabel="mean score", ylabel="decisions")
    top.legend(frameon=False, loc="upper left")
    for axes in (top, bottom):
        axes.grid()
    return figure


def draw_co_occurrence(tags: Sequence[str], together: NDArray[np.int64], head: str) -> "Figure":
    """Return the share of the photos with a given tag (rows) for which each tag was chosen (columns).

    `together` int64 (t, t) counts photos by tag given and tag chosen; only tags that occur are drawn.
    """
    used = np.flatnonzero(together.any(axis=0) | together.any(axis=1))
    figure = new_figure(2.6 + 0.2 * max(4, len(used)), 2.4 + 0.2 * max(4, len(used)))
    axes = figure.subplots()
    counts = together[np.ix_(used, used)].astype(np.float64)
    shares = counts / np.maximum(counts.max(axis=1, keepdims=True), 1)
    picture: Any = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [tags[row] for row in used.tolist()]
    axes.set_xticks(range(len(used)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(used)), names, fontsize=7)
    axes.set(xlabel=f"chosen by {head}", ylabel="given by contributors", title="Which tag is chosen for which")
    axes.spines[:].set_visible(False)
    figure.colorbar(picture, ax=axes, shrink=0.5, label="relative to the row's greatest")
    return figure
