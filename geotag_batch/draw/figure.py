"""The one way in which figures begin and end, so that all have the same look."""

import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "MUTED", "SECOND", "drawable", "figure_png", "new_figure"]

ACCENT, SECOND, MUTED = "#1b6ca8", "#d1682a", "#8a8f98"
"""Blue, orange and grey that stay apart for colour-blind readers and in print."""

_STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#e3e5e8",
}


def new_figure(width: float = 8, height: float = 5) -> "Figure":
    """Return an empty figure of so many inches; it belongs to no window and to no global state."""
    import matplotlib as mpl  # noqa: PLC0415  takes a second, and only figures need it
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams.update(_STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def drawable(text: str) -> str:
    """Return `text` on one line, for a figure: no formulas in it, and a box for each character without a glyph."""
    shown = "".join(char if char in _glyphs() else "\u25a1" for char in " ".join(text.split()))
    return shown.replace("$", r"\$")


@cache
def _glyphs() -> frozenset[str]:
    from matplotlib.font_manager import findfont  # noqa: PLC0415  takes a second, and only figures need it
    from matplotlib.ft2font import FT2Font  # noqa: PLC0415

    return frozenset(map(chr, FT2Font(findfont("DejaVu Sans")).get_charmap()))


def figure_png(figure: "Figure") -> bytes:
    """Return `figure` as a PNG file; the same figure gives the same bytes."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=130, metadata={"Software": None})
    return data.getvalue()
