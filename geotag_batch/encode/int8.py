"""Int8Encoder: images in int8 through OpenVINO, titles as ClipEncoder makes them. On a CPU only.

OpenVINO is an optional extra and is imported when first needed. The model that it runs is made by `quantise.py`.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch.encode.encoder import check_pixels
from geotag_batch.encode.memory import memory_errors
from geotag_batch.encode.towers import ClipEncoder
from geotag_batch.errors import EncoderError

__all__ = ["Int8Encoder", "import_engine", "is_installed"]

_ENGINES = ("openvino", "nncf")


def is_installed() -> bool:
    """Return whether the extra is there; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in _ENGINES)


def import_engine(name: str) -> ModuleType:
    """Return the module openvino or nncf. Raises EncoderError if it is not installed.

    Both report their use over the network as soon as they are imported, and do without where the package that sends
    it cannot be imported, which is seen to here.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise EncoderError(
            f'encoder.precision = "int8" needs {name}, which cannot be imported: {error}',
            hint="pip install 'geotag-batch[int8]', or set encoder.precision to auto",
        ) from error


class Int8Encoder:
    """Frozen CLIP whose image encoder is quantised; follows the Encoder protocol."""

    precision = "int8"

    def __init__(self, clip: ClipEncoder, model: Path, titles: str) -> None:
        """Run `model` (OpenVINO's .xml) for images and `clip`, which is taken over, for titles, in format `titles`.

        Raises EncoderError if OpenVINO is not installed or cannot read the model.
        """
        self.encoder_id = clip.encoder_id
        self.weights_sha256 = clip.weights_sha256
        self.dim = clip.dim
        self.preprocess = clip.preprocess
        self.device = clip.device
        self._request = _compile(model)
        clip.drop_images()
        clip.cast(titles)
        self._clip = clip

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of images uint8 (n, size, size, 3). Raises EncoderMemoryError, ValueError."""
        check_pixels(pixels, self.preprocess)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with memory_errors():
            found = self._request.infer([np.ascontiguousarray(pixels)], share_inputs=True)
        return np.array(found[0], np.float32)  # a copy: the engine's own array is that of the next batch too

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of titles, as ClipEncoder makes them. Raises EncoderMemoryError."""
        return self._clip.encode_titles(titles)

    def cuts_title(self, title: str) -> bool:
        """Return whether a title is too long to be seen whole."""
        return self._clip.cuts_title(title)


def _compile(model: Path) -> Any:  # noqa: ANN401
    openvino: Any = import_engine("openvino")
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # a thread that may not move waits for a decoding process that took its core
        "INFERENCE_PRECISION_HINT": "f32",  # of what is not int8: bfloat16 was no faster here, and coarser
    }
    try:
        return openvino.Core().compile_model(str(model), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise EncoderError(
            f"the int8 model {model.parent} cannot be used: {error}", hint="remove that folder: it is made again"
        ) from error
