"""One encoder in one number format after another; the int8 model is made here when there is none yet."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from geotag_batch.config import Config
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder
from geotag_batch.run.sample import read_calibration
from geotag_batch.workspace import Workspace

__all__ = ["Formats", "faster_formats"]

logger = logging.getLogger("geotag")

_CALIBRATION = 300  # photos; the ranges of their activations are what int8 is scaled by


def faster_formats() -> list[str]:
    """Return the formats that may be faster than float32 on this CPU, and can be used here."""
    from geotag_batch.encode import int8, speed  # noqa: PLC0415  imports torch

    measured = speed.fastest_precision()
    return [*([] if measured == "float32" else [measured]), *(["int8"] if int8.is_installed() else [])]


class Formats:
    """The configured `encoder`, as it was loaded, and what else can be made of it."""

    def __init__(self, workspace: Workspace, config: Config, encoder: Encoder) -> None:
        """Take over `encoder`, which is in float32 if another format will be asked for."""
        self.workspace, self.config, self.encoder = workspace, config, encoder
        self._unrounded = True
        self._model: Path | None = None

    def take(self, precision: str) -> Encoder:
        """Return the encoder in `precision`, loaded again if it was taken before. Raises EncoderError and others."""
        if not self._unrounded:
            self.encoder = load_encoder(replace(self.config.encoder, precision="float32"), self.workspace.root)
        self._unrounded = False
        return self.switch(self.encoder, precision)

    def switch(self, encoder: Encoder, precision: str) -> Encoder:
        """Return float32 `encoder` gone on in `precision`; it is taken over. Raises EncoderError and others."""
        if precision == "float32":
            return encoder
        clip: Any = encoder  # with a `cast`, as the caller knows
        if precision == "int8":
            from geotag_batch.encode import int8, speed  # noqa: PLC0415  imports torch

            return int8.Int8Encoder(clip, self.quantised(), speed.fastest_precision())
        clip.cast(precision)
        return encoder

    def quantised(self) -> Path:
        """Return the int8 model in cache/int8, made of the archive's photos if it is not there.

        Raises EncoderError if OpenVINO is not installed or cannot make it; InputError, CatalogueError, StorageError.
        """
        if self._model is None:
            from geotag_batch.encode.models import load_model  # noqa: PLC0415  imports torch
            from geotag_batch.encode.quantise import find_quantised, save_quantised  # noqa: PLC0415

            cache, encoder = self.workspace.cache / "int8", self.encoder
            self._model = find_quantised(cache, encoder.encoder_id, encoder.weights_sha256)
            if self._model is None:
                logger.info("making an int8 image encoder by up to %d photos, once", _CALIBRATION)
                pixels = read_calibration(self.workspace, self.config, encoder.preprocess, _CALIBRATION)
                self._model = save_quantised(cache, load_model(self.config.encoder, self.workspace.root), pixels)
        return self._model
