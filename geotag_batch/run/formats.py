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
    """The configured encoder and what else can be made of it; one is in memory at a time."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        """Load the encoder as configured. Raises EncoderError."""
        self.workspace, self.config = workspace, config
        encoder = load_encoder(config.encoder, workspace.root)
        self.encoder_id, self.device, self.castable = encoder.encoder_id, encoder.device, hasattr(encoder, "cast")
        self._weights_sha256, self._preprocess = encoder.weights_sha256, encoder.preprocess
        self._loaded: Encoder | None = encoder
        self._model: Path | None = None

    def as_configured(self) -> Encoder:
        """Return the encoder as it was loaded; nothing else may be asked for before or after."""
        assert self._loaded is not None
        return self._loaded

    def require(self, precision: str) -> None:
        """Raise EncoderError if the device does not offer `precision`."""
        from geotag_batch.encode.towers import choose_device, choose_precision  # noqa: PLC0415  imports torch

        choose_precision(precision, choose_device(self.device))

    def take(self, precision: str) -> Encoder:
        """Return the encoder in `precision`, loaded again if it was taken before. Raises EncoderError and others."""
        if precision == "int8":
            self.quantised()  # may have to let go of what is loaded
        encoder, self._loaded = self._loaded, None
        if encoder is None:
            encoder = load_encoder(replace(self.config.encoder, precision="float32"), self.workspace.root)
        return self.switch(encoder, precision)

    def switch(self, encoder: Encoder, precision: str) -> Encoder:
        """Return float32 `encoder` gone on in `precision`; it is taken over. Raises EncoderError and others."""
        if precision == "float32":
            return encoder
        clip: Any = encoder  # with a `cast`, as `castable` says
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
            from geotag_batch.encode.quantise import find_quantised  # noqa: PLC0415  imports torch

            cache = self.workspace.cache / "int8"
            self._model = find_quantised(cache, self.encoder_id, self._weights_sha256) or self._quantise(cache)
        return self._model

    def _quantise(self, cache: Path) -> Path:
        from geotag_batch.encode.models import load_model  # noqa: PLC0415  imports torch
        from geotag_batch.encode.quantise import save_quantised  # noqa: PLC0415

        logger.info("making an int8 image encoder by up to %d photos, once", _CALIBRATION)
        self._loaded = None  # its weights are laid out for the CPU; to be traced they are needed as they were
        pixels = read_calibration(self.workspace, self.config, self._preprocess, _CALIBRATION)
        return save_quantised(cache, load_model(self.config.encoder, self.workspace.root), pixels)
