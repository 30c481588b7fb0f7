"""The heads of a workspace: heads/<head_id>/head.safetensors with the weights, head.json with everything else.

head.json is written last and makes the folder a head; until then nobody sees it.
"""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from geotag_batch import atomic
from geotag_batch.config import Config
from geotag_batch.errors import HeadError
from geotag_batch.predict.features import LocationRule
from geotag_batch.predict.head_info import BUNDLE, HeadInfo, check_tensors, make_head_id, parse_head_info
from geotag_batch.predict.policy import Policy
from geotag_batch.predict.scoring import Layer, logits, make_layers, score
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace

__all__ = [
    "Head",
    "HeadDraft",
    "HeadInfo",
    "current_head_info",
    "find_head_id",
    "list_heads",
    "load_head",
    "read_head_info",
    "save_head",
    "save_head_info",
    "save_policy",
]

_INFO = "head.json"
_WEIGHTS = "head.safetensors"


class Head:
    """A head that can score: `info`, and `tensors`, the weights behind `scores`."""

    def __init__(self, info: HeadInfo, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take tensors that passed `check_tensors`."""
        self.info = info
        self.tensors = dict(tensors)
        self._layers = make_layers(tensors)

    def scores(self, *features: NDArray[Any]) -> NDArray[np.float32]:
        """Return scores float32 (n, 49), ascending tag_id, of features float32 (n, info.width).

        They may be given in parts that stand side by side, float16 or float32, as `features.select` orders them. The
        same row gives the same bits whatever batch it comes in. A row with a value that is not finite gets NaN. Raises
        ValueError for features of another width.
        """
        self._check(*features)
        return score(self._layers, features, len(self.info.tags))

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits float64 (n, 49) whose sigmoids `scores` returns. Raises ValueError as it does."""
        self._check(features)
        return logits(self._layers, features, len(self.info.tags))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the layers as they are computed: one of a linear head, two of an MLP with ReLU between."""
        return self._layers

    def _check(self, *features: NDArray[Any]) -> None:
        shapes = [part.shape for part in features]
        flat = all(part.ndim == 2 and len(part) == len(features[0]) for part in features)
        if not flat or sum(part.shape[1] for part in features) != self.info.width:
            raise ValueError(f"features are {', '.join(map(str, shapes))}, should be (n, {self.info.width})")


@dataclass(frozen=True, slots=True)
class HeadDraft:
    """A head that has no id yet; the fields are those of HeadInfo."""

    name: str
    modalities: tuple[str, ...]
    dim: int
    location: LocationRule | None
    encoder_id: str
    encoder_declared: str
    policy: Policy = field(default_factory=Policy)
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)


def save_head(workspace: Workspace, draft: HeadDraft, tensors: Mapping[str, NDArray[np.float32]]) -> HeadInfo:
    """Publish a head; one with the same head_id, hence the same weights, is replaced.

    Raises HeadError if the tensors do not make a head of the draft's modalities, StorageError if the disk refuses.
    """
    tensors = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    kind = check_tensors(tensors, draft.modalities, draft.dim, f"head {draft.name}")
    data = safetensors.numpy.save(tensors)
    info = HeadInfo(
        head_id=make_head_id(draft.name, tensors, draft.modalities, draft.location),
        name=draft.name,
        type=kind,
        modalities=draft.modalities,
        dim=draft.dim,
        tags=tag_names(),
        location=draft.location,
        policy=draft.policy,
        encoder_id=draft.encoder_id,
        encoder_declared=draft.encoder_declared,
        metrics=draft.metrics,
        provenance=draft.provenance,
        sha256=hashlib.sha256(data).hexdigest(),
    )
    folder = workspace.head_dir(info.head_id)
    atomic.write_bytes(data, folder / _WEIGHTS, workspace.staging, replace=True)
    save_head_info(workspace, info)
    return info


def save_policy(workspace: Workspace, head_id: str, policy: Policy) -> HeadInfo:
    """Give a head another decision policy; its head_id stays. Raises HeadError, StorageError."""
    info = replace(read_head_info(workspace, head_id), policy=policy)
    save_head_info(workspace, info)
    return info


def save_head_info(workspace: Workspace, info: HeadInfo) -> None:
    """Publish a head.json. Raises StorageError if the disk refuses."""
    text = json.dumps(info.to_json(), indent=1, ensure_ascii=False)
    path = workspace.head_dir(info.head_id) / _INFO
    atomic.write_bytes(f"{text}\n".encode(), path, workspace.staging, replace=True)


def read_head_info(workspace: Workspace, head_id: str) -> HeadInfo:
    """Return what head.json says, without a look at the weights. Raises HeadError if there is no such head."""
    if head_id not in _head_ids(workspace):  # never a path made from what stands in a configuration
        raise HeadError(f"there is no head {head_id!r} in {workspace.heads}{_nearest(workspace, head_id)}", hint=_LIST)
    path = workspace.head_dir(head_id) / _INFO
    return parse_head_info(_read(path), path)


def current_head_info(workspace: Workspace, config: Config) -> HeadInfo:
    """Return the head in use. Raises HeadError if none is set, or it is not there."""
    if config.head.current is None:
        raise HeadError(
            "no head is in use", hint="run `geotag heads import FILE.pth --use`, or `geotag heads use HEAD`"
        )
    return read_head_info(workspace, config.head.current)


def list_heads(workspace: Workspace) -> list[HeadInfo]:
    """Return all heads in the order of their ids. Raises HeadError if one is broken."""
    return [read_head_info(workspace, head_id) for head_id in _head_ids(workspace)]


def find_head_id(workspace: Workspace, text: str) -> str:
    """Return the head_id that `text` is; else that of the head of this name; else the one that it is the beginning of.

    Raises HeadError unless it is exactly one.
    """
    known = _head_ids(workspace)
    named = [head_id for head_id in known if head_id.rpartition("-")[0] == text]
    begun = named if len(named) == 1 else [head_id for head_id in known if head_id.startswith(text)]
    found = [text] if text in known else begun
    if len(found) > 1:
        raise HeadError(f"{text!r} is the beginning of {' and '.join(found)}", hint="write more of it")
    if not found:
        raise HeadError(f"there is no head {text!r} in {workspace.heads}{_nearest(workspace, text)}", hint=_LIST)
    return found[0]


def load_head(workspace: Workspace, head_id: str) -> Head:
    """Return a head with its weights.

    Raises HeadError if it is not there, or the weights are not those that head.json describes, to the bit.
    """
    info = read_head_info(workspace, head_id)
    if info.type == BUNDLE:
        raise HeadError(
            f"{head_id} is a bundle and has no scores of its own", hint=f"name one of {', '.join(info.members)}"
        )
    path = workspace.head_dir(head_id) / _WEIGHTS
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != info.sha256:
        raise HeadError(f"{path} is not the file that head.json describes: its SHA-256 differs", hint=_AGAIN)
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, ValueError) as error:
        raise HeadError(f"{path} is broken: {error}", hint=_AGAIN) from error
    kind = check_tensors(tensors, info.modalities, info.dim, str(path))
    if kind != info.type or make_head_id(info.name, tensors, info.modalities, info.location) != head_id:
        raise HeadError(f"{path.with_name(_INFO)} was changed: it does not describe {head_id} any more", hint=_AGAIN)
    return Head(info, tensors)


_AGAIN = "import the head again"
_LIST = "`geotag heads list` shows what is there, `geotag heads import FILE.pth` adds one"


def _head_ids(workspace: Workspace) -> list[str]:
    return sorted(path.parent.name for path in workspace.heads.glob(f"*/{_INFO}"))


def _nearest(workspace: Workspace, text: str) -> str:
    beginnings = {head_id[: len(text)]: head_id for head_id in _head_ids(workspace)}
    matches = difflib.get_close_matches(text, beginnings, n=1, cutoff=0.5)
    return f"; did you mean {beginnings[matches[0]]}?" if matches else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HeadError(f"{path} cannot be read: {error.strerror or error}", hint=_AGAIN) from error
