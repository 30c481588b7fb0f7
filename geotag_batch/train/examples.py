"""Labelled photos to learn from and to judge by, and the batches that several trainings share.

Embeddings stay float16 and may lie in a memory-mapped file: only a batch is ever float32.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch.errors import InputError
from geotag_batch.predict.features import MODALITIES, fuse

__all__ = ["Batch", "Batches", "Examples", "Shuffled"]

_MIXUP_ALPHA = 0.2  # the paper's Beta(0.2, 0.2)
_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Batch:
    """b photos: `parts` by modality, each float32 (b, width), and `labels` float32 (b, tags), soft after MixUp.

    `weights` float32 (b, tags) says how much each label counts in the loss; None: all count 1.
    """

    parts: Mapping[str, torch.Tensor]
    labels: torch.Tensor
    weights: torch.Tensor | None = None
    _rounded: dict[str, torch.Tensor] = field(default_factory=dict)

    def rounded(self, modality: str) -> torch.Tensor:
        """Return a part as bfloat16, which all that train on this batch share."""
        if modality not in self._rounded:
            self._rounded[modality] = self.parts[modality].to(torch.bfloat16)
        return self._rounded[modality]

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Examples:
    """n labelled photos, row by row the same one.

    `ids` int64 (n,), `labels` bool (n, tags), `parts` by modality: embeddings float16 (n, dim), location as scaled
    float32 (n, 2). `training` and `validation` are the rows, int64, of the two parts; rows in neither are not used.

    `decided` bool (n, tags), None where nobody decided anything, marks the labels that people decided on: one that is
    not set was rejected. A photo without a label has rejected tags alone: these teach, its other tags are unknown. It
    cannot be judged by as a whole, so that those held out are not in `validation` but in `only_rejected`.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.bool_]
    parts: Mapping[str, NDArray[Any]]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    decided: NDArray[np.bool_] | None = None
    only_rejected: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))

    def check(self) -> None:
        """Raise InputError if a part is empty, or a vector of a used row is not finite."""
        for name, rows in (("training", self.training), ("validation", self.validation)):
            if not len(rows):
                raise InputError(
                    f"the {name} part has no photos: too few tagged photos are embedded",
                    hint="embed more of them with `geotag embed --tagged`, or name others with --validation-ids",
                )
        self.check_finite()

    def check_finite(self) -> None:
        """Raise InputError if a vector of a used row is not finite, naming the first photo."""
        used = np.sort(np.concatenate([self.training, self.validation, self.only_rejected]))
        for modality, part in self.parts.items():
            broken = [block[~np.isfinite(part[block]).all(axis=1)] for block in _blocks(used)]
            bad = self.ids[np.concatenate([used[:0], *broken])]
            if len(bad):
                raise InputError(
                    f"{len(bad)} photos have {modality} values that are not finite, the first one {bad[0]}",
                    hint="embed them again: `geotag embed --force --reembed --ids FILE`",
                )

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the photos, labels, decisions and vectors, and of which part each photo is in."""
        sha = hashlib.sha256()
        parts = (self.training, self.validation)
        for rows in parts if self.decided is None else (*parts, self.only_rejected):
            sha.update(f"{len(rows)}:".encode())
            for block in _blocks(rows):
                sha.update(self.ids[block].tobytes())
                sha.update(np.packbits(self.labels[block], axis=1).tobytes())
                if self.decided is not None:
                    sha.update(np.packbits(self.decided[block], axis=1).tobytes())
                for modality in sorted(self.parts):
                    sha.update(np.ascontiguousarray(self.parts[modality][block]).tobytes())
        return sha.hexdigest()

    def features(self, rows: NDArray[np.int64], modalities: tuple[str, ...]) -> NDArray[np.float32]:
        """Return the fused features (len(rows), d) of `modalities`, as production makes them."""
        return fuse(modalities, *(self.parts[name][rows] if name in modalities else None for name in MODALITIES))

    def widths(self, modalities: tuple[str, ...]) -> dict[str, int]:
        """Return the number of features of each of `modalities`."""
        return {modality: self.parts[modality].shape[1] for modality in modalities}


class Batches:
    """Makes batches of the examples' rows in memory that it uses again: a batch is good until the next of its kind.

    Fresh memory for each batch would cost more time, in page faults, than filling it.
    """

    def __init__(
        self, examples: Examples, modalities: set[str], size: int, rejected_weight: float | None = None
    ) -> None:
        """Make room for up to `size` photos with the parts of `modalities`.

        With `rejected_weight` a rejected tag counts so much, and of a photo that has rejected tags alone nothing else.
        """
        self._parts = {name: torch.from_numpy(part) for name, part in examples.parts.items() if name in modalities}
        self._labels = torch.from_numpy(examples.labels)
        weighted = rejected_weight is not None and examples.decided is not None
        self._decided = torch.from_numpy(examples.decided) if weighted else None
        self._rejected_weight = rejected_weight or 0.0
        self._stored = {name: part.new_empty(size, part.shape[1]) for name, part in self._parts.items()}
        self._plain = {name: torch.empty(part.shape) for name, part in self._stored.items()}
        self._mixed = {name: torch.empty(part.shape) for name, part in self._stored.items()}

    def plain(self, rows: NDArray[np.int64]) -> Batch:
        """Return `rows` as float32 tensors."""
        index, parts = torch.from_numpy(rows), {}
        for name, part in self._parts.items():
            stored = torch.index_select(part, 0, index, out=self._stored[name][: len(rows)])
            parts[name] = self._plain[name][: len(rows)].copy_(stored)
        labels = self._labels.index_select(0, index)
        return Batch(parts, labels.to(torch.float32), self._weights(index, labels))

    def _weights(self, index: torch.Tensor, labels: torch.Tensor) -> torch.Tensor | None:
        if self._decided is None:
            return None
        rejected = self._decided.index_select(0, index).logical_and_(~labels)
        if not rejected.any():
            return None
        weights = labels.any(dim=1, keepdim=True).to(torch.float32).repeat(1, labels.shape[1])
        return weights.masked_fill_(rejected, self._rejected_weight)

    def mixed(self, batch: Batch, chance: np.random.Generator) -> Batch:
        """Return `batch` after MixUp: each photo with another one of the batch, the nearer share at least half.

        The share is Beta(0.2, 0.2), the larger of it and the rest (Zhang et al., arXiv 1710.09412, as the paper has
        it). Features are mixed after fusion, which is the same as mixing each modality.
        """
        share = chance.beta(_MIXUP_ALPHA, _MIXUP_ALPHA, len(batch)).astype(np.float32)
        own = torch.from_numpy(np.maximum(share, 1 - share)).unsqueeze(1)
        partner = torch.from_numpy(chance.permutation(len(batch)))
        parts = {}
        for name, part in batch.parts.items():
            other = torch.index_select(part, 0, partner, out=self._mixed[name][: len(batch)])
            parts[name] = other.lerp_(part, own)
        if batch.weights is None:
            return Batch(parts, torch.lerp(batch.labels.index_select(0, partner), batch.labels, own))
        # The loss is linear in the labels: mixed ones weigh what both together weigh, and are the mean by weight.
        weights = torch.lerp(batch.weights.index_select(0, partner), batch.weights, own)
        weighed = batch.labels * batch.weights
        labels = torch.lerp(weighed.index_select(0, partner), weighed, own).div_(weights.clamp(min=1e-12))
        return Batch(parts, labels, weights)


@dataclass(slots=True)
class Shuffled:
    """The order and all other chance of one epoch: a function of seed and epoch alone.

    An epoch that was interrupted is hence repeated as it was, and trainings that share batches meet the same chance
    as each would alone: each kind of chance has a stream of its own.
    """

    rows: NDArray[np.int64]
    mixing: np.random.Generator
    dropping: np.random.Generator

    @classmethod
    def of(cls, rows: NDArray[np.int64], seed: int, epoch: int) -> "Shuffled":
        """Return `rows` in the order of this epoch."""
        order, mixing, dropping = (np.random.default_rng([seed, epoch, stream]) for stream in range(3))
        return cls(order.permutation(rows), mixing, dropping)

    def kept(self, count: int, width: int) -> torch.Tensor:
        """Return which activations a dropout of one half keeps, uint8 (count, width): fair random bits."""
        bits = np.frombuffer(self.dropping.bytes(-(-count * width // 8)), np.uint8)
        return torch.from_numpy(np.unpackbits(bits, count=count * width).reshape(count, width))


def _blocks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
