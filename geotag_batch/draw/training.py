"""Figures of training: the curves of one head, and the heads of an experiment side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from geotag_batch.draw.figure import ACCENT, MUTED, SECOND, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curves", "draw_curves", "draw_experiment"]

Curves = Sequence[tuple[float, float, float]]
"""Loss, subset accuracy and macro F1 of each epoch."""


def draw_curves(curves: Curves, best: int, title: str) -> "Figure":
    """Return loss (left) and validation scores (right) by epoch; epoch `best`, counted from 1, is marked."""
    figure = new_figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    epochs = range(1, len(curves) + 1)
    left.plot(epochs, [loss for loss, _, _ in curves], color=ACCENT)
    left.set(xlabel="epoch", ylabel="mean training loss", title=title)
    right.plot(epochs, [accuracy for _, accuracy, _ in curves], color=ACCENT, label="subset accuracy")
    right.plot(epochs, [f1 for _, _, f1 in curves], color=SECOND, label="macro F1")
    right.set(xlabel="epoch", ylabel="on validation photos", ylim=(0, None))
    for axes in (left, right):
        axes.axvline(best, color=MUTED, linestyle=":", linewidth=1)
        axes.grid(axis="y")
    right.annotate(f"kept: epoch {best}", (best, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0),
                   textcoords="offset points", color=MUTED)  # fmt: skip
    right.legend(frameon=False, loc="best")
    return figure


Scores = tuple[float, float]
"""Macro F1 and subset accuracy."""


def draw_experiment(rows: Sequence[tuple[str, Scores, Scores]]) -> "Figure":
    """Return two panels of dots, macro F1 and subset accuracy: each recipe's here (filled) and in the paper (ring)."""
    figure = new_figure(10, 1.2 + 0.24 * len(rows))
    panels = figure.subplots(1, 2, sharey=True)
    places = range(len(rows), 0, -1)
    for panel, (axes, title) in enumerate(zip(panels, ("macro F1", "subset accuracy"), strict=True)):
        here, paper = [row[1][panel] for row in rows], [row[2][panel] for row in rows]
        axes.hlines(places, here, paper, color=MUTED, linewidth=1)
        axes.plot(here, places, "o", color=ACCENT, label="this archive")
        axes.plot(paper, places, "o", color=SECOND, markerfacecolor="white", label="the paper")
        axes.set(title=title, xlim=(-0.02, None))
        axes.grid(axis="x")
    panels[0].set_yticks(list(places), [row[0] for row in rows])
    panels[1].legend(frameon=False, loc="lower right")
    return figure
