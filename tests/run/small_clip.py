"""An archive whose encoder is a real CLIP, very small and of random weights, with a head that belongs to it."""

from pathlib import Path

import numpy as np

from geotag_batch.config import set_key
from geotag_batch.encode.clip import load_encoder
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.predict.head import HeadDraft, save_head
from tests.encode.conftest import SMALL, random_model
from tests.run.conftest import Archive


def use_small_clip(made: Archive, folder: Path) -> None:
    """Give `made` the encoder, whose files go to `folder`, a head, and photos that differ more."""
    for photo in made.photos:
        made.draw(int(photo["gridimage_id"]), shade=17 * int(photo["gridimage_id"]))
    model = random_model(folder, "small", SMALL)
    set_key(made.workspace, "encoder.model", str(model.config))
    set_key(made.workspace, "encoder.weights", str(model.weights))
    encoder = load_encoder(made.config.encoder, made.workspace.root)
    chance = np.random.default_rng(3)
    tensors = {
        "weight": chance.normal(0, 2, (49, 50)).astype(np.float32),
        "bias": chance.normal(-1, 0.3, 49).astype(np.float32),
    }
    draft = HeadDraft("test", ("image", "title", "location"), 24, DEFAULT_RULE, encoder.encoder_id, "given")
    made.use(save_head(made.workspace, draft, tensors).head_id)


def precisions(made: Archive) -> list[str]:
    """Return the number formats that made the archive's embeddings."""
    files = f"'{made.workspace.embeddings}/*/*.parquet'"
    return [row[0] for row in made.rows(f"SELECT DISTINCT precision FROM read_parquet({files})")]
