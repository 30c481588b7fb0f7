"""Which model is meant: open_clip's by name or from a config file; its activation and its preprocessing.

open_clip only warns, or is silent, where activation or preprocessing do not belong to the weights. Embeddings made so
look fine and are wrong, so here it is an error.
"""

import difflib
import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from geotag_batch.encode.files import model_file
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import OPENAI_PREPROCESS, Preprocess

__all__ = [
    "Architecture",
    "choose_activation",
    "find_architecture",
    "make_preprocess",
    "nearest",
    "preprocess_of_file",
]

_PREPROCESS_KEYS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model without its weights. `preprocess` is what a config file says, None for a model of open_clip's."""

    name: str
    registered: str
    config: Mapping[str, Any]
    preprocess: Mapping[str, Any] | None

    @property
    def from_file(self) -> bool:
        """Return whether a config file describes the model."""
        return self.preprocess is not None

    @property
    def quick_gelu(self) -> bool | None:
        """Return whether the config says QuickGELU, None where it says nothing (open_clip then takes GELU)."""
        return self.config.get("quick_gelu")


def find_architecture(open_clip: ModuleType, model: str, root: Path) -> Architecture:
    """Return the model that `encoder.model` means; a config file may be relative to `root`.

    Raises EncoderError if open_clip does not know the name, or the file is no model config.
    """
    if model.endswith(".json"):
        return _read_architecture(open_clip, model_file(root, model))
    known = open_clip.list_models()
    if model not in known:
        raise EncoderError(
            f"encoder.model = {model!r} is no model of open_clip {open_clip.__version__}{nearest(model, known)}",
            hint="name one of open_clip.list_models(), or a model config file (.json)",
        )
    return Architecture(model, model, open_clip.get_model_config(model), None)


def _read_architecture(open_clip: ModuleType, path: Path) -> Architecture:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EncoderError(f"encoder.model: {path} cannot be read: {error}", hint="name a model config file") from error
    # Hugging Face's open_clip_config.json wraps the config and adds the preprocessing.
    config = document.get("model_cfg", document) if isinstance(document, dict) else {}
    missing = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in config]
    if missing:
        raise EncoderError(
            f"encoder.model: {path} is no model config: it has no {', '.join(missing)}",
            hint="give a file like those of open_clip/model_configs, or Hugging Face's open_clip_config.json",
        )
    return Architecture(path.stem, _register(open_clip, path.stem, config), config, document.get("preprocess_cfg", {}))


def _register(open_clip: ModuleType, stem: str, config: Mapping[str, Any]) -> str:
    """Make a config known to open_clip, which takes a file's name for the model's: ours hides no built-in model."""
    text = json.dumps(config, sort_keys=True)
    name = f"geotag-{stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if name not in open_clip.list_models():
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / f"{name}.json"
            copy.write_text(text, encoding="utf-8")
            open_clip.add_model_config(copy)
    return name


def choose_activation(architecture: Architecture, configured: str | None, weights: str, trained: bool | None) -> str:
    """Return "quickgelu" or "gelu", on which model, configuration and weights must agree.

    `trained` says whether the weights were trained with QuickGELU; None for a file, which does not tell, so that
    the model's config or `encoder.activation` must. Raises EncoderError if nobody says it or two contradict.
    """
    own = architecture.quick_gelu if trained is None else bool(architecture.quick_gelu)
    stated = {
        f"the model {architecture.name}": None if own is None else _activation(own),
        "encoder.activation": configured,
        f"weights {weights}": None if trained is None else _activation(trained),
    }
    said = {who: activation for who, activation in stated.items() if activation is not None}
    if not said:
        raise EncoderError(
            f"nothing says with which activation {weights} was trained",
            hint='set encoder.activation to "quickgelu" (OpenAI\'s weights) or "gelu" (most others)',
        )
    if len(set(said.values())) > 1:
        quick = trained and f"{architecture.name}-quickgelu"
        raise EncoderError(
            "the activations do not match: " + ", ".join(f"{who} has {activation}" for who, activation in said.items()),
            hint=f"set encoder.model to {quick}" if quick else "keep the one that the weights were trained with",
        )
    return next(iter(said.values()))


def _activation(quick_gelu: bool) -> str:
    return "quickgelu" if quick_gelu else "gelu"


def preprocess_of_file(architecture: Architecture, tags: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the preprocessing facts for a weights file: stated ones, or those on which the model's `tags` agree.

    Raises EncoderError if the tags disagree: then a file could need either.
    """
    if architecture.preprocess is not None:
        return architecture.preprocess
    found = {json.dumps([tag.get(key) for key in _PREPROCESS_KEYS]): tag for tag in tags}
    if len(found) > 1:
        raise EncoderError(
            f"weights of {architecture.name} differ in preprocessing, and a weights file does not tell its own",
            hint='set encoder.model to a config file {"model_cfg": ..., "preprocess_cfg": ...} that states it',
        )
    return next(iter(found.values()), {})


def make_preprocess(facts: Mapping[str, Any], image_size: int | tuple[int, int], name: str) -> Preprocess:
    """Return the preprocessing of model `name` from open_clip's facts; what they leave out is OpenAI's.

    Raises EncoderError if images would have to be prepared in a way that is not offered.
    """
    sides = {image_size} if isinstance(image_size, int) else set(image_size)
    default = OPENAI_PREPROCESS.to_json()
    mean, std, interpolation, resize_mode = (facts.get(key) or default[key] for key in _PREPROCESS_KEYS)
    if len(sides) > 1 or interpolation not in ("bicubic", "bilinear") or resize_mode not in ("shortest", "squash"):
        raise EncoderError(
            f"{name} wants images of {image_size} pixels, {interpolation}, {resize_mode}, which is not offered",
            hint="choose a model for square images, bicubic or bilinear, shortest or squash",
        )
    return Preprocess(sides.pop(), _triple(mean, name), _triple(std, name), interpolation, resize_mode)


def _triple(values: Any, name: str) -> tuple[float, float, float]:  # noqa: ANN401  whatever stood in a JSON file
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise EncoderError(f"{name}: mean and std should be three numbers each, not {values!r}") from error
    return red, green, blue


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?" for the known name nearest to `name`, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""
