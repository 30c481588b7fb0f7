"""What a head learns from: stored embeddings, locations and tags of the tagged photos, split into two parts."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.duck import fetch_arrow
from geotag_batch.errors import InputError, StorageError
from geotag_batch.predict.features import LocationRule, fuse
from geotag_batch.read.photos import Selection, Target, open_catalogue, prepare
from geotag_batch.read.stored import Vectors, read_vectors
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import Workspace

__all__ = ["MAX_TAGS", "TrainingSet", "choose_encoder", "in_validation", "read_training_set"]

MAX_TAGS = 5
"""Photos with more tags are left out, as in the paper."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """n photos, row by row the same one: `ids` int64 (n,), `labels` bool (n, 49), `vectors`, and `locations`
    float64 (n, 2), NaN where unknown. `left_out` counts tagged photos that are not among them, by reason.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.bool_]
    vectors: Vectors
    locations: NDArray[np.float64]
    left_out: Mapping[str, int]

    def features(self, modalities: Sequence[str], rule: LocationRule) -> NDArray[np.float32]:
        """Return the fused features (n, d) of `modalities`, made as in production: from embeddings as stored."""
        return fuse(modalities, self.vectors.image, self.vectors.title, rule.scale(self.locations))

    def digest(self) -> str:
        """Return the SHA-256 (hex) of which photos have which tags."""
        return hashlib.sha256(self.ids.tobytes() + np.packbits(self.labels, axis=1).tobytes()).hexdigest()


def choose_encoder(workspace: Workspace, asked: str | None) -> tuple[str, int]:
    """Return the encoder_id to learn from and the length of its embeddings: `asked`, or the only one stored.

    Raises InputError if nothing is embedded, `asked` is not among the stored ones, or there are several to choose from.
    """
    stored = {path.parent.name.removeprefix("encoder="): path for path in workspace.dataset_files("embeddings")}
    if not stored:
        raise InputError(
            f"nothing is embedded in {workspace.root}", hint="run `geotag embed --select tagged`, then train again"
        )
    if asked is None and len(stored) > 1:
        raise InputError(f"embeddings of {len(stored)} encoders are stored: {', '.join(stored)}", hint="give --encoder")
    encoder_id = asked or next(iter(stored))
    if encoder_id not in stored:
        raise InputError(f"no embeddings of encoder {encoder_id} are stored, only of {', '.join(stored)}")
    try:
        column = pq.read_schema(stored[encoder_id]).field("image_embedding")
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StorageError(f"{stored[encoder_id]}: cannot be read: {error}", hint="run `geotag verify`") from error
    return encoder_id, int(column.type.list_size)


def read_training_set(
    workspace: Workspace, config: Config, encoder: tuple[str, int], modalities: Sequence[str], rule: LocationRule
) -> TrainingSet:
    """Read the tagged photos that `encoder` (encoder_id and dim) has embedded, each by its newest embedding.

    Raises CatalogueError or StorageError if catalogue or embeddings cannot be read.
    """
    encoder_id, dim = encoder
    rows = _labelled(workspace, config, Target(encoder_id, None, None, (), rule.grids, rule.wgs84_fallback))
    labels = _labels(rows.column("tags"))
    embedded = rows.column("embedding_file").is_valid().to_numpy()
    few = labels.sum(axis=1) <= MAX_TAGS
    rows, labels = rows.filter(pa.array(embedded & few)), labels[embedded & few]
    ids = rows.column("gridimage_id").to_numpy()
    vectors = read_vectors(ids, rows.column("embedding_file").to_pylist(), dim)
    whole = _complete(vectors, modalities)
    locations = np.stack([_degrees(rows.column(name)) for name in ("latitude", "longitude")], axis=1)
    left_out = {
        "not embedded, or not since the title changed": int((~embedded).sum()),
        f"more than {MAX_TAGS} tags": int((embedded & ~few).sum()),
        "without the embedding of a modality": int((~whole).sum()),
    }
    return TrainingSet(ids[whole], labels[whole], _rows(vectors, whole), locations[whole], left_out)


def _labelled(workspace: Workspace, config: Config, target: Target) -> pa.Table:
    everything = Selection(select="tagged", redo_before=datetime.max)  # not only what is still to be done
    connection = open_catalogue(workspace, config)
    try:
        prepare(connection, target, everything)
        return fetch_arrow(connection, "train", "labelled")
    finally:
        connection.close()


def _labels(tags: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return bool (n, 49) of lists of tags; tags outside the taxonomy (subjects, places) are not learned."""
    index = tag_index()
    labels = np.zeros((len(tags), len(index)), np.bool_)
    for row, listed in enumerate(tags.to_pylist()):
        for tag in listed or ():
            if tag in index:
                labels[row, index[tag]] = True
    return labels


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


def _rows(vectors: Vectors, chosen: NDArray[np.bool_]) -> Vectors:
    return Vectors(vectors.image[chosen], vectors.title[chosen], vectors.has_image[chosen], vectors.has_title[chosen])


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
