"""What an encoder_id is made of. Without torch, so that an encoder can be named where its weights are not."""

from collections.abc import Mapping
from typing import Any

from geotag_batch.fingerprint import named_id
from geotag_batch.preprocess import OPENAI_PREPROCESS, Preprocess

__all__ = ["OPENAI_ENCODER_ID", "OPENAI_MODEL", "OPENAI_TAG", "declares_openai", "make_encoder_id"]

OPENAI_MODEL = "ViT-B-32-quickgelu"
OPENAI_TAG = "openai"


def make_encoder_id(
    model: str, weights: str, preprocess: Preprocess, activation: str, architecture: Mapping[str, Any] | None = None
) -> str:
    """Return the encoder_id of a model.

    `weights` is the digest of the tensors. `architecture` is the content of a model config file: it holds what
    the tensors do not show (the number of attention heads, for one), and what a model's name says otherwise.
    """
    facts: dict[str, Any] = {
        "weights": weights,
        "preprocess": preprocess.to_json(),
        "activation": activation,
        "normalisation": "none",
    }
    return named_id(model, facts if architecture is None else {**facts, "architecture": architecture})


OPENAI_ENCODER_ID = make_encoder_id(OPENAI_MODEL, f"open_clip:{OPENAI_TAG}", OPENAI_PREPROCESS, "quickgelu")
"""The encoder of the published heads. Named by its pretrained tag instead of a digest, hence known offline; the digest
of the weights that the tag brought stands beside the embeddings as weights_sha256."""


def declares_openai(model: str, weights: str) -> bool:
    """Return whether a model name and pretrained tag mean the encoder with OPENAI_ENCODER_ID."""
    return model == OPENAI_MODEL and weights.lower() == OPENAI_TAG
