"""Heads made by hand, for tests."""

import numpy as np

from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.workspace import Workspace


def make_head(workspace: Workspace, encoder_id: str, seed: int) -> str:
    """Save a linear head on image, title and location with random weights; return its head_id."""
    chance = np.random.default_rng(seed)
    tensors = {
        "weight": chance.normal(0, 0.3, (49, 1026)).astype(np.float32),
        "bias": chance.normal(-1, 0.3, 49).astype(np.float32),
    }
    draft = HeadDraft("test", ("image", "title", "location"), 512, DEFAULT_RULE, encoder_id, "given")
    return save_head(workspace, draft, tensors).head_id
