"""Head files from elsewhere, such as the published .pth: what their names state, and their tensors."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from geotag_batch.errors import HeadError

__all__ = ["HeadFile", "read_head_file", "stated_by_name"]

_MODALITY = {"img": "image", "txt": "title", "loc": "location"}
_PUBLISHED_NAME = re.compile(r"(linear|mlp)((?:-img)?(?:-txt)?(?:-loc)?)(?:-mixup)?")
"""linear-img-txt-loc-mixup and the like, as the paper's authors name their files."""


@dataclass(frozen=True, slots=True)
class HeadFile:
    """The tensors of a head file, float32, and the SHA-256 of the file they came from."""

    tensors: dict[str, NDArray[np.float32]]
    sha256: str


def stated_by_name(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return type and modalities that a published name (without suffix) states, None for any other name."""
    match = _PUBLISHED_NAME.fullmatch(name)
    if match is None or not match.group(2):
        return None
    return match.group(1), tuple(_MODALITY[part] for part in match.group(2).removeprefix("-").split("-"))


def read_head_file(path: Path) -> HeadFile:
    """Read a .safetensors file or a torch file that holds nothing but tensors; no code in it is ever run.

    Raises HeadError if the file is missing, broken, or holds anything else.
    """
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for
            raise OSError("it is no plain file")
        data = path.read_bytes()
    except OSError as error:
        raise HeadError(f"{path} cannot be read: {error.strerror or error}", hint="name a head file (.pth)") from error
    tensors = _read_safetensors(data, path) if path.suffix == ".safetensors" else _read_torch(data, path)
    return HeadFile(tensors, hashlib.sha256(data).hexdigest())


def _read_safetensors(data: bytes, path: Path) -> dict[str, NDArray[np.float32]]:
    try:
        tensors = safetensors.numpy.load(data)
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # the imaginary parts would be dropped
            return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    except Exception as error:  # safetensors has its own error, NumPy others for number formats it does not know
        raise HeadError(f"{path} is no valid .safetensors file: {error}", hint="fetch the file again") from error


def _read_torch(data: bytes, path: Path) -> dict[str, NDArray[np.float32]]:
    import torch  # noqa: PLC0415  takes seconds, and only this format needs it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about pickles that it is about to refuse
            content: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch each have their own; torch's text advises to run the code
        raise HeadError(
            f"{path} is no plain state dict: it is damaged, of another kind, or needs code to be run",
            hint="fetch the file again, or save the head's state_dict() where it was trained",
        ) from error
    if not isinstance(content, Mapping):
        raise HeadError(f"{path} holds no state dict but {type(content).__name__}", hint="save the head's state_dict()")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise HeadError(
                f"{path}: {name!r} is {type(tensor).__name__}, no tensor", hint="save the head's state_dict()"
            )
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_complex() or tensor.is_quantized:
            raise HeadError(
                f"{path}: {name!r} is no plain tensor of numbers", hint="save the head's state_dict() as float32"
            )
    return {name: tensor.detach().to(torch.float32).numpy() for name, tensor in content.items()}
