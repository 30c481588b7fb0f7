"""From the [encoder] section of geotag.toml to an encoder that is ready to run.

torch is imported only when a real model is loaded: it takes seconds, and the fake encoder needs none.
"""

from pathlib import Path

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.encoder import Encoder
from geotag_batch.encode.fake import FAKE_MODEL, FakeEncoder

__all__ = ["load_encoder"]


def load_encoder(encoder: EncoderConfig, workspace_root: Path) -> Encoder:
    """Load the configured model; paths in the configuration are relative to `workspace_root`.

    int8 is loaded as float32: what it is made of, together with photos (run/formats.py).

    Raises EncoderError if the model, its weights, the device or the precision cannot be used as configured.
    """
    if encoder.model == FAKE_MODEL:
        return FakeEncoder(encoder)
    from geotag_batch.encode.models import load_model  # noqa: PLC0415  imports torch
    from geotag_batch.encode.towers import ClipEncoder, choose_device, choose_precision  # noqa: PLC0415

    device = choose_device(encoder.device)
    precision = choose_precision(encoder.precision, device)
    if precision == "int8":
        precision = "float32"
    return ClipEncoder(load_model(encoder, workspace_root), device, precision)
