"""What a model wants its images to look like; shared by the decoder (Pillow) and the encoder (torch)."""

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["OPENAI_PREPROCESS", "Preprocess"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """An encoder's preprocessing: resize and centre crop to `size` x `size`, then (x / 255 - mean) / std.

    Pictures for people are made with "inside", which no encoder has: the whole image, neither side above `size`.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize_mode: Literal["shortest", "squash", "inside"] = "shortest"

    def to_json(self) -> dict[str, object]:
        """Return the facts that go into encoder_id."""
        return asdict(self)


OPENAI_PREPROCESS = Preprocess(
    size=224, mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711)
)
"""That of OpenAI's CLIP ViT-B/32 (openai/CLIP, clip/clip.py)."""
