"""How a head is trained; the defaults are the paper's (CLIP the Landscape, arXiv 2506.12214, and its notebooks)."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from geotag_batch.predict.features import MODALITIES

__all__ = ["HIDDEN", "Recipe"]

HIDDEN = 256
"""Units of the MLP's hidden layer."""

_SHORT = {"image": "img", "title": "txt", "location": "loc"}
_LEAST_STEPS, _LEAST_BATCH = 16, 8
"""200 photos in one batch are one step an epoch, and ten epochs' patience ends before anything is learned."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a head learns from and how. `published` fills in the paper's numbers for a kind of head.

    `batch_size` is the most: a small archive still gets 16 steps an epoch. The learning rate falls as a cosine over
    `cosine_epochs` epochs (T_max), rises for as many, and so on. `max_tags`: photos with more are left out.
    `rejected_weight`: how much a tag that people rejected counts in the loss, where each other tag counts 1: one
    that contributors did not give may be right all the same, a rejected one is not.
    `gradients`: what the products that make the first layer's gradient are rounded to, their sums being float32;
    everything else is float32. Where a CPU multiplies bfloat16 natively, an MLP's epoch takes a fifth less time.
    """

    head: Literal["linear", "mlp"] = "linear"
    modalities: tuple[str, ...] = MODALITIES
    mixup: bool = False
    learning_rate: float = 5e-3
    weight_decay: float = 1e-5
    batch_size: int = 4096
    epochs: int = 200
    cosine_epochs: int = 50
    patience: int = 10
    seed: int = 0
    max_tags: int = 5
    rejected_weight: float = 2.0
    gradients: Literal["float32", "bfloat16"] = "float32"

    @classmethod
    def published(cls, head: Literal["linear", "mlp"] = "linear", **changes: Any) -> "Recipe":  # noqa: ANN401
        """Return the paper's recipe for a linear head or an MLP, with `changes`."""
        rates: dict[str, Any] = {"learning_rate": 3e-3, "weight_decay": 1e-4} if head == "mlp" else {}
        return cls(head=head, **(rates | changes))

    @property
    def name(self) -> str:
        """Return the head's name as the paper's authors would write it: linear-img-txt-loc-mixup."""
        parts = [self.head, *(_SHORT[modality] for modality in self.modalities), *(["mixup"] if self.mixup else [])]
        return "-".join(parts)

    def batch_size_for(self, photos: int) -> int:
        """Return the batch size for so many photos to train on."""
        return min(self.batch_size, max(_LEAST_BATCH, photos // _LEAST_STEPS))

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as it stands in head.json and in a checkpoint."""
        return asdict(self) | {"modalities": list(self.modalities)}

    @classmethod
    def from_json(cls, recipe: dict[str, Any]) -> "Recipe":
        """Return the recipe that `to_json` wrote. Raises TypeError or KeyError if it is none."""
        known = {field.name: recipe[field.name] for field in fields(cls)}
        return cls(**(known | {"modalities": tuple(recipe["modalities"])}))
