"""Builds the configured CLIP through open_clip and puts its weights in."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.architecture import (
    Architecture,
    choose_activation,
    find_architecture,
    make_preprocess,
    nearest,
    preprocess_of_file,
)
from geotag_batch.encode.files import model_file
from geotag_batch.encode.identity import OPENAI_ENCODER_ID, declares_openai, make_encoder_id
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.encode.weights import WEIGHTS_SUFFIXES, put_weights, read_weights, weights_digest
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import Preprocess

__all__ = ["LoadedModel", "find_weights", "load_model"]

Tokenizer = Callable[..., torch.Tensor]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in float32 on the CPU, and what belongs to it. `tokenizer` gives int64 (n, context_length) of n texts."""

    encoder_id: str
    weights_sha256: str
    dim: int
    preprocess: Preprocess
    module: Any  # a torch.nn.Module of the class that open_clip chose
    tokenizer: Tokenizer


@dataclass(frozen=True, slots=True)
class _Source:
    """Where weights come from; `fetch` returns the file, `trained` and `preprocess` are what is known of them."""

    name: str
    fetch: Callable[[], Path]
    trained: bool | None
    preprocess: Mapping[str, Any]


def load_model(encoder: EncoderConfig, workspace_root: Path) -> LoadedModel:
    """Build the configured model and load its weights; relative paths are below `workspace_root`.

    Raises EncoderError if model, weights, activation or preprocessing do not belong together or cannot be read.
    """
    open_clip = import_open_clip()
    architecture = find_architecture(open_clip, encoder.model, workspace_root)
    source = _find_source(open_clip, architecture, encoder.weights, workspace_root)
    activation = choose_activation(architecture, encoder.activation, source.name, source.trained)
    with _building(architecture):
        module = open_clip.create_model(
            architecture.registered, force_quick_gelu=activation == "quickgelu", pretrained_text=False
        )
        module.requires_grad_(False).eval()
    preprocess = make_preprocess(source.preprocess, module.visual.image_size, architecture.name)
    put_weights(module, _renamed(open_clip, module, read_weights(source.fetch())), source.name)
    with _building(architecture):
        tokenizer = open_clip.get_tokenizer(architecture.registered)
    digest = weights_digest(module)
    if declares_openai(encoder.model, encoder.weights):
        encoder_id = OPENAI_ENCODER_ID
    else:
        content = architecture.config if architecture.from_file else None
        encoder_id = make_encoder_id(architecture.name, digest, preprocess, activation, content)
    return LoadedModel(encoder_id, digest, int(architecture.config["embed_dim"]), preprocess, module, tokenizer)


def find_weights(encoder: EncoderConfig, workspace_root: Path) -> Path:
    """Return the file that `load_model` would read, fetched if it is not there. Raises EncoderError."""
    open_clip = import_open_clip()
    architecture = find_architecture(open_clip, encoder.model, workspace_root)
    path = _find_source(open_clip, architecture, encoder.weights, workspace_root).fetch()
    if not path.is_file():
        read_weights(path)  # says why not
    return path


def _find_source(open_clip: ModuleType, architecture: Architecture, weights: str, root: Path) -> _Source:
    names = () if architecture.from_file else open_clip.list_pretrained_tags_by_model(architecture.name)
    tags = {name: open_clip.get_pretrained_cfg(architecture.name, name) for name in names}
    tag = weights.lower().replace("-", "_")  # as open_clip reads it
    if tag in tags:
        facts = tags[tag]
        return _Source(repr(tag), lambda: _download(open_clip, facts, tag), facts.get("quick_gelu", False), facts)
    path = model_file(root, weights)
    if path.suffix not in WEIGHTS_SUFFIXES and not path.exists():
        plain = architecture.name.removesuffix("-quickgelu")
        elsewhere = f"; {plain} has it" if open_clip.is_pretrained_cfg(plain, tag) else nearest(weights, tags)
        raise EncoderError(
            f"encoder.weights = {weights!r} is no file and no pretrained tag of {architecture.name}{elsewhere}",
            hint=f"give a weights file{', or one of ' if tags else ''}{', '.join(tags)}",
        )
    return _Source(str(path), lambda: path, None, preprocess_of_file(architecture, tags.values()))


def _download(open_clip: ModuleType, facts: Mapping[str, Any], tag: str) -> Path:
    try:
        return Path(open_clip.download_pretrained(facts))
    except Exception as error:  # urllib, huggingface_hub and open_clip each have their own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        origin = facts["hf_hub"] or facts["url"]
        raise EncoderError(
            f"weights {tag!r} are not on this machine and cannot be fetched from {origin}: {reason}",
            hint="connect to the network once, or fetch the file elsewhere and set encoder.weights to its path",
        ) from error


def _renamed(open_clip: ModuleType, module: Any, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Return `weights` under the names that open_clip gives them today, as its own load_checkpoint does."""
    weights = open_clip.convert.convert_state_dict(module, weights)
    if "positional_embedding" in weights and not hasattr(module, "positional_embedding"):
        weights = open_clip.model.convert_to_custom_text_state_dict(weights)
    scale = weights.get("logit_scale")
    if scale is not None and scale.numel() == 1:  # () or (1,), depending on who saved it
        weights["logit_scale"] = scale.reshape(module.logit_scale.shape)
    return weights


@contextmanager
def _building(architecture: Architecture) -> Iterator[None]:
    """Let open_clip build a part of the model, quietly; whatever it cannot do is an EncoderError.

    It writes to the root logger, which would also get a handler if it has none, and warns that weights are missing.
    """
    handler, before = logging.NullHandler(), logging.root.manager.disable
    logging.root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # a config can be wrong in every way that open_clip, timm and torch know
        raise EncoderError(
            f"open_clip cannot build {architecture.name}: {type(error).__name__}: {error}",
            hint="check the model config, and whether the model needs a package that is not installed",
        ) from error
    finally:
        logging.disable(before)
        logging.root.removeHandler(handler)
