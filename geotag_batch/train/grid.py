"""The paper's grid: every set of modalities, linear and MLP, with and without MixUp; and what the paper reports."""

from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, Literal

from geotag_batch.predict.features import MODALITIES
from geotag_batch.train.recipe import Recipe

__all__ = ["PAPER", "PaperResult", "paper_grid"]


@dataclass(frozen=True, slots=True)
class PaperResult:
    """Validation macro F1 and subset accuracy, and the Kaggle score (None where the paper has none)."""

    macro_f1: float
    subset_accuracy: float
    kaggle: float | None


def paper_grid(**changes: Any) -> list[Recipe]:  # noqa: ANN401
    """Return the 28 recipes of the paper's Table 2, its row order first; `changes` are those of Recipe.published."""
    heads: tuple[Literal["linear"], Literal["mlp"]] = ("linear", "mlp")
    sets = chain.from_iterable(combinations(MODALITIES, size) for size in (1, 2, 3))
    return [
        Recipe.published(head, modalities=modalities, mixup=mixup, **changes)
        for modalities in sets
        for head in heads
        for mixup in (False, True)
    ]


def _row(name: str, *results: str) -> dict[str, PaperResult]:
    """Return the results of one row: linear, linear with MixUp, MLP, MLP with MixUp."""
    names = (f"linear-{name}", f"linear-{name}-mixup", f"mlp-{name}", f"mlp-{name}-mixup")
    numbers = ([None if part == "-" else float(part) for part in result.split("/")] for result in results)
    return {
        each: PaperResult(f1 or 0.0, accuracy or 0.0, kaggle)
        for each, (f1, accuracy, kaggle) in zip(names, numbers, strict=True)
    }


PAPER = {
    **_row("img", ".413/.223/.267", ".432/.227/.264", ".377/.219/.277", ".376/.217/.273"),
    **_row("txt", ".506/.278/.309", ".518/.279/.307", ".495/.287/.327", ".484/.279/.322"),
    **_row("loc", "0/0/-", "0/0/-", "0/0/-", "0/0/-"),
    **_row("img-txt", ".585/.327/.353", ".595/.327/.351", ".540/.324/.359", ".526/.315/.355"),
    **_row("img-loc", ".411/.223/.267", ".430/.227/.263", ".375/.218/.276", ".362/.210/.272"),
    **_row("txt-loc", ".504/.276/.307", ".518/.279/.307", ".494/.287/.326", ".491/.284/.325"),
    **_row("img-txt-loc", ".585/.327/.354", ".597/.328/.350", ".543/.325/.360", ".527/.314/.354"),
}
"""Table 2 of CLIP the Landscape (arXiv 2506.12214), by the name of the recipe."""
