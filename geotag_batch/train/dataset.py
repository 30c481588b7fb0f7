"""What a head learns from: stored embeddings, locations and tags of the tagged photos, split into two parts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.catalogue import steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import execute_file, fetch_arrow
from geotag_batch.errors import InputError
from geotag_batch.predict.features import LocationRule
from geotag_batch.read.photos import Selection, Target, open_catalogue, prepare
from geotag_batch.read.stored import Vectors, read_vectors, vector_length
from geotag_batch.taxonomy import tag_names
from geotag_batch.train.decided import DecisionsUsed, apply_decisions
from geotag_batch.train.examples import Examples
from geotag_batch.workspace import Workspace

__all__ = ["Split", "TrainingSet", "Wanted", "choose_encoder", "in_validation", "label_matrix", "read_training_set"]


@dataclass(frozen=True, slots=True)
class Split:
    """Which photos are held out to judge by: `validation_ids`, or a `share` of all by a hash of their ids."""

    seed: int = 0
    share: float = 0.2
    validation_ids: tuple[int, ...] | None = None

    def describe(self) -> str:
        """Return the split in a few words; two splits of the same words hold out the same photos."""
        if self.validation_ids is None:
            return f"{self.share:.0%} by a hash of the id, seed {self.seed}"
        digest = hashlib.sha256(repr(sorted(set(self.validation_ids))).encode()).hexdigest()
        return f"{len(set(self.validation_ids))} ids from a file, sha256 {digest[:12]}"

    def holds_out(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of `ids` (n,) are held out, bool (n,)."""
        if self.validation_ids is None:
            return in_validation(ids, self.seed, self.share)
        return np.isin(ids, np.asarray(self.validation_ids, np.int64))


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Photos to learn from; `left_out` counts tagged photos that are not among them, by reason.

    `unknown_tags` counts the photos that carry tags which are none of the 49, the most frequent ones first; `sha256`
    is the digest of the examples, `split` says in words which were held out, `decisions` how far people's decisions
    made the labels (None: not at all).
    """

    examples: Examples
    sha256: str
    split: str
    left_out: Mapping[str, int]
    unknown_tags: Mapping[str, int]
    decisions: DecisionsUsed | None = None

    @property
    def untaught(self) -> list[str]:
        """Return the tags that no photo of the training part has: no head can learn them."""
        photos = self.examples.labels[self.examples.training].sum(axis=0).tolist()
        return [tag for tag, count in zip(tag_names(), photos, strict=True) if not count]


def choose_encoder(workspace: Workspace, asked: str | None) -> tuple[str, int]:
    """Return the encoder_id to learn from and the length of its embeddings: `asked`, or the only one stored.

    Raises InputError if nothing is embedded, `asked` is not among the stored ones, or there are several to choose from.
    """
    stored = workspace.encoders()
    if not stored:
        raise InputError(
            f"nothing is embedded in {workspace.root}", hint="run `geotag embed --tagged`, then train again"
        )
    if asked is None and len(stored) > 1:
        raise InputError(f"embeddings of {len(stored)} encoders are stored: {', '.join(stored)}", hint="give --encoder")
    encoder_id = asked or next(iter(stored))
    if encoder_id not in stored:
        raise InputError(f"no embeddings of encoder {encoder_id} are stored, only of {', '.join(stored)}")
    return encoder_id, vector_length(stored[encoder_id])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read: embeddings of `encoder_id`, `dim` long, and locations by `rule`, for these `modalities`.

    With `only_validation` the training part is left empty, and its vectors are not read. Without `decisions` only the
    catalogue's tags count.
    """

    encoder_id: str
    dim: int
    modalities: tuple[str, ...]
    rule: LocationRule
    max_tags: int = 5
    only_validation: bool = False
    decisions: bool = True


def read_training_set(workspace: Workspace, config: Config, wanted: Wanted, split: Split) -> TrainingSet:
    """Read the labelled photos that have all of `wanted`, each by its newest embedding.

    Labels are the catalogue's tags and those that people accepted or added, without the rejected ones.

    The vectors lie in a file without a name in `cache/`, mapped into memory, so that an archive larger than memory
    can be learned from. Raises CatalogueError, StorageError, or InputError if a validation id is not among the photos.
    """
    rows = _labelled(workspace, config, wanted)
    contributed, unknown = label_matrix(rows.column("tags"))
    labels, decided = apply_decisions(
        contributed, label_matrix(rows.column("given"))[0], label_matrix(rows.column("rejected"))[0]
    )
    embedded = rows.column("embedding_file").is_valid().to_numpy()
    few = labels.sum(axis=1) <= wanted.max_tags
    held_out = split.holds_out(rows.column("gridimage_id").to_numpy())
    usable = embedded & few & (labels | decided).any(axis=1) & (held_out | (not wanted.only_validation))
    rows, held_out = rows.filter(pa.array(usable)), held_out[usable]
    contributed, labels, decided = contributed[usable], labels[usable], decided[usable]
    ids = rows.column("gridimage_id").to_numpy()
    vectors = Vectors.mapped(len(ids), wanted.dim, workspace.cache)
    read_vectors(ids, rows.column("embedding_file").to_pylist(), wanted.dim, vectors)
    whole = _complete(vectors, wanted.modalities)
    _check_validation_ids(split, ids[whole])
    locations = np.stack([_degrees(rows.column(name)) for name in ("latitude", "longitude")], axis=1)
    parts: dict[str, NDArray[Any]] = {
        "image": vectors.image,
        "title": vectors.title,
        "location": wanted.rule.scale(locations),
    }
    labelled = labels.any(axis=1)
    examples = Examples(
        ids=ids,
        labels=labels,
        parts={modality: parts[modality] for modality in wanted.modalities},
        training=np.flatnonzero(whole & ~held_out),
        validation=np.flatnonzero(whole & held_out & labelled),
        decided=decided if decided.any() else None,
        only_rejected=np.flatnonzero(whole & held_out & ~labelled),
    )
    left_out = {
        "not embedded, or not since the title changed": int((~embedded).sum()),
        f"more than {wanted.max_tags} tags": int((embedded & ~few).sum()),
        "without the embedding of a modality": int((~whole).sum()),
        "held out with rejected tags alone": len(examples.only_rejected),
    }
    used = DecisionsUsed.count(ids[whole], contributed[whole], labels[whole], decided[whole])
    return TrainingSet(examples, examples.digest(), split.describe(), left_out, unknown, used)


def _labelled(workspace: Workspace, config: Config, wanted: Wanted) -> pa.Table:
    select: Literal["labelled", "tagged"] = "labelled" if wanted.decisions else "tagged"
    everything = Selection(select=select, redo_before=datetime.max)  # not only what is still to be done
    target = Target(wanted.encoder_id, None, None, (), wanted.rule.grids, wanted.rule.wgs84_fallback)
    with steady_catalogue(workspace, config):
        connection = open_catalogue(workspace, config)
        try:
            prepare(connection, target, everything)
            execute_file(connection, "train", "reviewed", {"used": wanted.decisions})
            return fetch_arrow(connection, "train", "labelled")
        finally:
            connection.close()


def label_matrix(tags: pa.ChunkedArray) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return bool (n, 49) of n lists of tags, and how often each tag that is none of the 49 occurs, most often first.

    Tags outside the taxonomy (subjects, places) are not learned.
    """
    lists = tags.combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], tags.type)
    given = lists.flatten()
    codes = pc.index_in(given, value_set=pa.array(tag_names(), given.type))
    known = codes.is_valid()
    labels = np.zeros((len(lists), len(tag_names())), np.bool_)
    labels[pc.list_parent_indices(lists).filter(known).to_numpy(), codes.filter(known).to_numpy()] = True
    strange = given.filter(pc.invert(known)).drop_null().value_counts().to_pylist()
    counts = {str(found["values"]): int(found["counts"]) for found in strange}
    return labels, dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _degrees(column: pa.ChunkedArray) -> NDArray[np.float64]:
    degrees: NDArray[np.float64] = column.fill_null(float("nan")).to_numpy()
    return degrees


def _complete(vectors: Vectors, modalities: Sequence[str]) -> NDArray[np.bool_]:
    whole = np.ones(len(vectors.has_image), np.bool_)
    if "image" in modalities:
        whole &= vectors.has_image
    if "title" in modalities:
        whole &= vectors.has_title
    return whole


def _check_validation_ids(split: Split, ids: NDArray[np.int64]) -> None:
    if split.validation_ids is None:
        return
    missing = np.setdiff1d(np.asarray(split.validation_ids, np.int64), ids)
    if len(missing):
        raise InputError(
            f"{len(missing)} ids are not among the tagged and embedded photos with few enough tags: "
            f"{', '.join(map(str, missing[:5]))}{' ...' if len(missing) > 5 else ''}",
            hint="embed them with `geotag embed --tagged`, or take them out of the file",
        )


def in_validation(ids: NDArray[np.int64], seed: int, share: float = 0.2) -> NDArray[np.bool_]:
    """Return which of `ids` (n,) belong to the validation part, bool (n,): a seeded hash of the id decides.

    A photo stays in its part as the archive grows. The hash is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        z = ids.astype(np.uint64) + np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return z < np.uint64(int(share * 2**64))
