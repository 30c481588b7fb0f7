"""From a float32 image encoder and photos to an int8 model on disk; once for an archive, a machine and a version.

Weights are rounded to int8 by channel, activations by the range that they had on the photos. Only the products of the
blocks are quantised, which are 97 % of the work in ViT-B/32: the first layer sees pixels, and the last one's rounding
would go into the embedding as it is.
"""

import contextlib
import hashlib
import importlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch import atomic
from geotag_batch.encode.int8 import import_engine
from geotag_batch.encode.models import LoadedModel
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import Preprocess

__all__ = ["find_quantised", "save_quantised"]

_RECIPE = 1  # raised whenever what `_quantise` does changes
_MODEL = "model.xml"


def find_quantised(cache: Path, encoder_id: str, weights_sha256: str) -> Path | None:
    """Return the int8 model that was made of these weights by the installed versions; None if there is none.

    `cache` is the folder of such models. Raises EncoderError if the engines are not installed.
    """
    prefix = _prefix(encoder_id, weights_sha256)
    return next((path for path in sorted(cache.glob(f"*/{_MODEL}")) if path.parent.name.startswith(prefix)), None)


def save_quantised(cache: Path, loaded: LoadedModel, pixels: NDArray[np.uint8]) -> Path:
    """Quantise the image encoder of `loaded` by photos uint8 (n, size, size, 3); return the model's file in `cache`.

    Raises EncoderError if the engines are not installed or cannot make int8 of this model, StorageError.
    """
    calibration = hashlib.sha256(pixels.tobytes()).hexdigest()
    for tower in ("transformer", "token_embedding", "text"):  # the title encoder, which only takes memory here
        if hasattr(loaded.module, tower):
            setattr(loaded.module, tower, torch.nn.Identity())
    folder = cache / f"{_prefix(loaded.encoder_id, loaded.weights_sha256)}{calibration[:12]}"
    staging = cache / "staging"
    openvino: Any = import_engine("openvino")
    with _quiet():
        try:
            model = _quantise(_converted(loaded), pixels)
        except Exception as error:  # torch's tracer, OpenVINO and NNCF each have their own
            raise EncoderError(
                f"{loaded.encoder_id} cannot be made int8: {type(error).__name__}: {error}",
                hint="set encoder.precision to auto or float32",
            ) from error
    atomic.make_folder(staging)
    with tempfile.TemporaryDirectory(dir=staging) as made:
        openvino.save_model(model, Path(made, _MODEL), compress_to_fp16=False)
        weights = Path(_MODEL).with_suffix(".bin").name
        for name in (weights, _MODEL):  # the one that is looked for comes last
            atomic.publish(partial(os.replace, Path(made, name)), folder / name, staging, replace=True)
    return folder / _MODEL


def _prefix(encoder_id: str, weights_sha256: str) -> str:
    import_engine("openvino")  # an error that says what to install, rather than "no such package"
    versions = f"openvino-{version('openvino')}--nncf-{version('nncf')}"
    return f"{encoder_id}--{weights_sha256[:12]}--{versions}--recipe-{_RECIPE}--"


class _Images(torch.nn.Module):
    """The image encoder alone: float32 (n, 3, size, size) to (n, dim)."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401  whatever class open_clip chose
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.model.encode_image(images, normalize=False)
        return features


def _converted(loaded: LoadedModel) -> Any:  # noqa: ANN401
    """Return the image encoder as OpenVINO's model, from uint8 (n, size, size, 3): scaling the pixels is part of it."""
    openvino: Any = import_engine("openvino")
    size = loaded.preprocess.size
    with torch.no_grad():
        model = openvino.convert_model(
            _Images(loaded.module).eval(), example_input=torch.zeros(2, 3, size, size), input=[-1, 3, size, size]
        )
    return _with_pixels(openvino, model, loaded.preprocess)


def _with_pixels(openvino: Any, model: Any, preprocess: Preprocess) -> Any:  # noqa: ANN401
    layout = openvino.Layout
    prepared = openvino.preprocess.PrePostProcessor(model)
    prepared.input().tensor().set_element_type(openvino.Type.u8).set_layout(layout("NHWC"))
    prepared.input().model().set_layout(layout("NCHW"))
    steps = prepared.input().preprocess().convert_element_type(openvino.Type.f32)
    steps.mean([255 * value for value in preprocess.mean]).scale([255 * value for value in preprocess.std])
    return prepared.build()


def _quantise(model: Any, pixels: NDArray[np.uint8]) -> Any:  # noqa: ANN401
    nncf: Any = import_engine("nncf")
    products = [step for step in model.get_ordered_ops() if step.get_type_name() == "MatMul"]
    ranges: Any = importlib.import_module("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    return nncf.quantize(
        model,
        nncf.Dataset([pixels[row : row + 1] for row in range(len(pixels))]),
        subset_size=len(pixels),
        # Residuals and attention stay float; large activations are moved into the weights (SmoothQuant).
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(types=["Convolution"], names=[products[-1].get_friendly_name()]),
        # NNCF's own choice, the mean of each photo's extremes, cuts off what a tenth of the photos have.
        advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges.MINMAX),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the engines' progress bars, warnings and log lines to themselves."""
    nncf: Any = import_engine("nncf")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        nncf.set_log_level(logging.ERROR)
        yield
