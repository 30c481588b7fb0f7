"""Heads made by hand, for tests."""

import numpy as np

from geotag_batch.predict.features import DEFAULT_RULE, MODALITIES, feature_width
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.workspace import Workspace


def make_head(workspace: Workspace, encoder_id: str, seed: int, modalities: tuple[str, ...] = MODALITIES) -> str:
    """Save a linear head on image, title and location, or some of them, with random weights; return its head_id."""
    chance = np.random.default_rng(seed)
    tensors = {
        "weight": chance.normal(0, 0.3, (49, feature_width(modalities, 512))).astype(np.float32),
        "bias": chance.normal(-1, 0.3, 49).astype(np.float32),
    }
    location = DEFAULT_RULE if "location" in modalities else None
    draft = HeadDraft("test", modalities, 512, location, encoder_id, "given")
    return save_head(workspace, draft, tensors).head_id
