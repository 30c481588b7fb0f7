"""What a head is: the content of its head.json, and the tensors that make one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.errors import HeadError
from geotag_batch.fingerprint import named_id, tensors_digest
from geotag_batch.predict.features import MODALITIES, LocationRule, feature_width
from geotag_batch.predict.policy import Policy
from geotag_batch.taxonomy import tag_names, tags

__all__ = ["BUNDLE", "HeadInfo", "check_tensors", "make_head_id", "parse_head_info"]

SCHEMA_VERSION = 1
BUNDLE = "bundle"

_TENSORS = {
    "linear": {"weight", "bias"},
    "mlp": {"0.weight", "0.bias", "3.weight", "3.bias"},  # Linear, ReLU, Dropout, Linear: as torch numbers them
}
_PREFIXES = {"linear": ("",), "mlp": ("0.", "3.")}


@dataclass(frozen=True, slots=True)
class HeadInfo:
    """Everything about a head but its weights; the content of head.json.

    `dim` is the length of one embedding of the encoder it was trained on, `encoder_declared` how that is known
    ("trained" here, or as the import said: "openai", "current", "given"), `sha256` that of head.safetensors.
    A bundle (type "bundle") has no weights but `members`, head_ids; its `modalities` are all that some of them take.
    """

    head_id: str
    name: str
    type: str
    modalities: tuple[str, ...]
    dim: int
    tags: tuple[str, ...]
    location: LocationRule | None
    policy: Policy
    encoder_id: str
    encoder_declared: str
    metrics: Mapping[str, float]
    provenance: Mapping[str, Any]
    sha256: str
    members: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Return the number of features that the head takes."""
        return feature_width(self.modalities, self.dim)

    def to_json(self) -> dict[str, Any]:
        """Return the content of head.json."""
        return {
            "schema_version": SCHEMA_VERSION,
            "head_id": self.head_id,
            "name": self.name,
            "type": self.type,
            "modalities": list(self.modalities),
            "dim": self.dim,
            "tags": list(self.tags),
            "tag_ids": [tag.tag_id for tag in tags()],
            "location": self.location and self.location.to_json(),
            "policy": self.policy.to_json(),
            "encoder_id": self.encoder_id,
            "encoder_declared": self.encoder_declared,
            "metrics": dict(self.metrics),
            "provenance": dict(self.provenance),
            "sha256": self.sha256,
            **({"members": list(self.members)} if self.members else {}),
        }


def parse_head_info(data: bytes, path: Path) -> HeadInfo:
    """Return what the head.json at `path` says; it names the head as its folder does.

    Raises HeadError naming the file if it is broken, contradicts itself, or is about other tags.
    """
    try:
        document = json.loads(data)
        info = HeadInfo(
            head_id=str(document["head_id"]),
            name=str(document["name"]),
            type=str(document["type"]),
            modalities=tuple(document["modalities"]),
            dim=int(document["dim"]),
            tags=tuple(document["tags"]),
            location=document["location"] and LocationRule.from_json(document["location"]),
            policy=Policy.from_json(document["policy"]),
            encoder_id=str(document["encoder_id"]),
            encoder_declared=str(document["encoder_declared"]),
            metrics=dict(document["metrics"]),
            provenance=dict(document["provenance"]),
            sha256=str(document["sha256"]),
            members=tuple(map(str, document.get("members", ()))),
        )
        version, tag_ids = document["schema_version"], document["tag_ids"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HeadError(f"{path} is broken: {type(error).__name__}: {error}", hint=_AGAIN) from error
    if version != SCHEMA_VERSION:
        raise HeadError(f"{path} is of version {version}, this geotag-batch reads {SCHEMA_VERSION}", hint=_AGAIN)
    if info.tags != tag_names() or tag_ids != [tag.tag_id for tag in tags()]:
        raise HeadError(f"{path} is about other tags than schemas/tags.csv{_first_difference(info.tags)}", hint=_AGAIN)
    if info.head_id != path.parent.name:
        raise HeadError(f"{path} is about head {info.head_id}, not about its folder's", hint=_AGAIN)
    if (
        info.type not in {*_TENSORS, BUNDLE}
        or (info.type == BUNDLE) != bool(info.members)
        or not _are_modalities(info.modalities)
        or (info.location is None) == ("location" in info.modalities)
    ):
        raise HeadError(
            f"{path} contradicts itself: type {info.type}, modalities {', '.join(info.modalities)}, "
            f"{'no' if info.location is None else 'a'} location rule",
            hint=_AGAIN,
        )
    return info


_AGAIN = "import the head again, or remove its folder"


def _first_difference(found: tuple[str, ...]) -> str:
    for position, (mine, other) in enumerate(zip(tag_names(), found, strict=False)):
        if mine != other:
            return f": number {position + 1} is {other!r}, should be {mine!r}"
    return f": {len(found)} instead of {len(tag_names())}"


def _are_modalities(modalities: tuple[str, ...]) -> bool:
    return bool(modalities) and modalities == tuple(name for name in MODALITIES if name in modalities)


def check_tensors(tensors: Mapping[str, NDArray[np.float32]], modalities: tuple[str, ...], dim: int, where: str) -> str:
    """Return the head's type, "linear" or "mlp", as its tensors show it.

    Raises HeadError, naming `where`, if the tensors are no head's, not finite, or do not go with the 49 tags, or with
    features of `modalities` (`dim` being the length of one embedding).
    """
    kind = next((kind for kind, names in _TENSORS.items() if tensors.keys() == names), None)
    if kind is None:
        raise HeadError(
            f"{where} is no head: it has {', '.join(sorted(tensors)) or 'no tensors'}",
            hint="a linear head has weight and bias, an MLP 0.weight, 0.bias, 3.weight and 3.bias",
        )
    layers = [(tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]) for prefix in _PREFIXES[kind]]
    if any(weight.ndim != 2 or bias.shape != weight.shape[:1] for weight, bias in layers) or any(
        later.shape[1] != earlier.shape[0] for (earlier, _), (later, _) in pairwise(layers)
    ):
        shapes = ", ".join(f"{name} {tensor.shape}" for name, tensor in tensors.items())
        raise HeadError(f"{where} is no head: its layers do not go together: {shapes}", hint="fetch the file again")
    inputs, outputs, width = layers[0][0].shape[1], layers[-1][0].shape[0], feature_width(modalities, dim)
    if inputs != width:
        raise HeadError(
            f"{where} takes {inputs} features, but {' + '.join(modalities)} are {width}",
            hint=f"state the modalities it was trained on (image {dim}, title {dim}, location 2)",
        )
    if outputs != len(tag_names()):
        raise HeadError(
            f"{where} gives {outputs} scores, but there are {len(tag_names())} tags", hint="use a head for these tags"
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise HeadError(f"{where}: {name} holds values that are not finite", hint="fetch the file again")
    return kind


def make_head_id(
    name: str,
    tensors: Mapping[str, NDArray[np.float32]],
    modalities: tuple[str, ...],
    location: LocationRule | None,
) -> str:
    """Return the head_id: the name and a short hash of weights, tags, modalities and location rule."""
    facts = {
        "weights": tensors_digest(tensors),
        "tags": tag_names(),
        "modalities": modalities,
        "location": location and location.to_json(),
    }
    return named_id(name, facts)
