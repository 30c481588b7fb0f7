"""Weights files: read without running code in them, put into a model whole or not at all, fingerprint."""

import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file

from geotag_batch.errors import EncoderError
from geotag_batch.fingerprint import tensors_digest

__all__ = ["WEIGHTS_SUFFIXES", "put_weights", "read_weights", "weights_digest"]

WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")

_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")
"""Numbers that OpenAI's own archives carry among their tensors."""

_TORCHSCRIPT_HINT = (
    "convert it once, on a machine that may run it, to .safetensors "
    '(torch.jit.load(FILE, "cpu").state_dict(), then safetensors.torch.save_file)'
)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file, mapped from the disk where the format allows it.

    A training checkpoint's "state_dict" is unwrapped and the prefix "module." of parallel training is dropped.
    Raises EncoderError if the file is missing, broken, of another kind, or holds anything but tensors.
    """
    if not path.is_file():
        raise EncoderError(
            f"there is no weights file {path}", hint="set encoder.weights to a file or to a pretrained tag of the model"
        )
    if path.suffix not in WEIGHTS_SUFFIXES:
        raise EncoderError(f"{path} is not a weights file", hint=f"give one of {', '.join(WEIGHTS_SUFFIXES)}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        raise EncoderError(f"{path} holds no state dict but {type(content).__name__}", hint="give a model's state dict")
    weights = {}
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise EncoderError(f"{path}: {name!r} is {type(tensor).__name__}, not a tensor")
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
            raise EncoderError(f"{path}: {name!r} is no plain tensor of numbers")
        if name not in _NOT_WEIGHTS:
            weights[name] = tensor
    if all(name.startswith("module.") for name in weights):
        weights = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    return weights


def _read_safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise EncoderError(f"{path} cannot be read: {error}", hint="fetch the file again") from error


def _read_pickle(path: Path) -> object:
    zipped = zipfile.is_zipfile(path)
    if zipped and _is_torchscript(path):
        raise EncoderError(f"{path} is a TorchScript archive: a program, not plain weights", hint=_TORCHSCRIPT_HINT)
    try:
        # weights_only: nothing in the file is run. mmap: only what the model takes is read into memory.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch muses about pickles that it is about to refuse
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except OSError as error:
        raise EncoderError(f"{path} cannot be read: {error}", hint="fetch it again, or check the disk") from error
    except Exception as error:  # pickle, zip and torch each have their own; torch's text advises to run the code
        raise EncoderError(
            f"{path} cannot be read as plain weights: it is damaged, of another kind, or needs code to be run",
            hint="fetch the file again; a pickle that needs code is never loaded, convert it to .safetensors",
        ) from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def put_weights(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Copy `weights` into `module`, widening to its number format.

    Raises EncoderError, naming `where`, unless names and shapes are exactly the module's and every value is finite.
    """
    own = module.state_dict()
    problems = [
        *_listed("without", sorted(own.keys() - weights.keys())),
        *_listed("with unknown", sorted(weights.keys() - own.keys())),
        *_listed(
            "of another shape", [name for name in sorted(own.keys() & weights.keys()) if not _fits(own, weights, name)]
        ),
    ]
    if problems:
        raise EncoderError(
            f"{where} does not fit the model: {'; '.join(problems)}",
            hint="set encoder.model to the model that these weights belong to",
        )
    module.load_state_dict(weights, strict=True)
    for name, tensor in module.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise EncoderError(f"{where}: {name} holds values that are not finite", hint="fetch the file again")


def _fits(own: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], name: str) -> bool:
    mine, other = own[name], weights[name]
    return mine.shape == other.shape and mine.is_floating_point() == other.is_floating_point()


def _listed(what: str, names: list[str]) -> Iterator[str]:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield f"{what} {', '.join(names[:3])}{more}"


def weights_digest(module: torch.nn.Module) -> str:
    """Return fingerprint.tensors_digest of a float32 module's weights, looked at where they lie, not copied."""
    return tensors_digest({name: tensor.numpy() for name, tensor in module.state_dict().items()})
