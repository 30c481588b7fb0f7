"""The canary: before a run encodes, a few stored photos are encoded again and compared with what is stored.

A fingerprint says which weights and preprocessing an encoder claims to have; it does not see a library that decodes or
multiplies otherwise, nor a bug. What comes out is measured in units of how far photos lie apart: the distance between
an embedding stored and made again, divided by the distance of the stored one from the mean of some hundred others.
docs/decisions.md has what was measured, and why the limits are what they are.
"""

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.committed import counting
from geotag_batch.config import Config
from geotag_batch.duck import Connection, fetch_arrow, storage_trouble
from geotag_batch.encode.encoder import Encoder, EncoderMemoryError
from geotag_batch.errors import EncoderError, PhotoFailure
from geotag_batch.fingerprint import software_versions
from geotag_batch.read.loader import ImageRequest, LoadedImage
from geotag_batch.read.sources import ImageSource, image_reference
from geotag_batch.read.stored import Vectors, read_described, read_vectors
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import read_file_metadata

__all__ = ["REFUSED", "WARNED", "Canary", "choose_canary"]

logger = logging.getLogger("geotag")

WARNED, REFUSED = 0.005, 0.15
"""Differences from which a run warns, and is refused. Other batch sizes gave up to 0.0003; another decoder (a grey
level more or less), bfloat16 and images.decode = "scaled" up to 0.08; swapped colours, another normalisation or other
weights 0.13 in the photo that noticed it least, 0.5 to 3 in most."""

_INT8 = 2.0  # times REFUSED where one side is int8, whose cosines with float32, 0.9936 and more, make up to 0.24

_FILES, _ROWS = 4, 64  # files of embeddings looked into, and photos of each: for the mean, and to choose from
LEAST_SPREAD = 0.2  # of a vector's length: where photos are few or all alike, the mean says nothing

Load = Callable[[Iterable[ImageRequest]], Iterable[LoadedImage]]


@dataclass(frozen=True, slots=True)
class Canary:
    """n stored photos to choose from, and which of them are encoded again: rows whose image or title is still the same.

    `described` has gridimage_id, file (null for what comes from elsewhere), precision, image_signature; `titles` and
    `references` are those of today.
    """

    described: pa.Table
    titles: Sequence[str]
    references: Sequence[str | None]
    vectors: Vectors
    image_rows: Sequence[int]
    title_rows: Sequence[int]

    def check(self, encoder: Encoder, load: Load | None) -> str:
        """Encode the photos again, compare, and return in words what was found; warn of small differences.

        `load` loads images; None where the run looks at none, and titles alone are compared. Raises EncoderError if
        what comes out is not what is stored.
        """
        rows = list(self.title_rows)
        titles = encoder.encode_titles([self.titles[row] for row in rows])
        found = {
            ("title", row): difference
            for row, difference in zip(rows, self._compare("title", rows, titles), strict=True)
        }
        if load is not None:
            rows, images = self._encode_images(encoder, load)
            found |= {
                ("image", row): each for row, each in zip(rows, self._compare("image", rows, images), strict=True)
            }
        if not found:
            return "nothing stored to compare with"
        (kind, row), worst = max(found.items(), key=lambda item: item[1] / self._most(item[0][1], encoder))
        most = self._most(row, encoder)
        said = f"{len(found)} stored vectors made again, at most {worst:.2g} away"
        if worst <= WARNED:
            return said
        said += f" ({kind} of photo {self.described['gridimage_id'][row]}{self._changes(row, encoder)})"
        if worst > most:
            raise EncoderError(
                f"the encoder does not make what is stored: {said}, {most:g} is the most that is allowed",
                hint="restore the versions, weights and settings that made the stored embeddings; if the change is "
                "wanted, --no-canary lets it in, and --force --reembed makes the stored ones anew",
            )
        logger.warning("canary: %s", said)
        return said

    def _encode_images(self, encoder: Encoder, load: Load) -> tuple[list[int], NDArray[np.float32]]:
        """Encode the images that can be loaded and are still the same; one at a time, which any memory allows."""
        ids, signatures = self.described["gridimage_id"], self.described["image_signature"]
        requests = [ImageRequest(ids[row].as_py(), self.references[row]) for row in self.image_rows]
        rows, vectors = [], []
        for row, image in zip(self.image_rows, load(requests), strict=False):  # a run that is stopped loads fewer
            if image.pixels is None or image.signature != signatures[row].as_py():
                continue
            try:
                vectors.append(encoder.encode_images(image.pixels[None])[0])
                rows.append(row)
            except EncoderMemoryError:  # the run meets the same trouble, and has its ways with it
                continue
        return rows, np.stack(vectors) if vectors else np.empty((0, encoder.dim), np.float32)

    def _compare(self, kind: str, rows: Sequence[int], made: NDArray[np.float32]) -> list[float]:
        """Return how far each vector is from the stored one, over how far that one is from the mean of all."""
        stored, has = getattr(self.vectors, kind).astype(np.float64), getattr(self.vectors, f"has_{kind}")
        mean, old = stored[has].mean(axis=0), stored[list(rows)]
        lengths = np.linalg.norm(old, axis=1)
        spread = np.maximum(np.linalg.norm(old - mean, axis=1), LEAST_SPREAD * lengths)
        away = np.linalg.norm(made.astype(np.float16).astype(np.float64) - old, axis=1)
        away[~np.isfinite(away)] = np.inf
        differences: list[float] = (away / np.maximum(spread, 1e-12)).tolist()
        return differences

    def _most(self, row: int, encoder: Encoder) -> float:
        """Return how far the vectors of `row` may be from the stored ones."""
        formats = self.described["precision"][row].as_py(), encoder.precision
        return REFUSED * _INT8 if "int8" in formats and formats[0] != formats[1] else REFUSED

    def _changes(self, row: int, encoder: Encoder) -> str:
        """Say what is known to have changed since the photo of `row` was embedded."""
        file = self.described["file"][row].as_py()
        if file is None:  # from elsewhere
            return ""
        then: dict[str, str] = json.loads(read_file_metadata(file).get("software", "{}"))
        now = software_versions()
        then["precision"], now["precision"] = self.described["precision"][row].as_py(), encoder.precision
        changed = [f"{name} {then[name]} then, {now[name]} now" for name in then if now.get(name) != then[name]]
        return f"; {', '.join(changed)}" if changed else ""


def choose_canary(
    workspace: Workspace, config: Config, connection: Connection, source: ImageSource, encoder_id: str
) -> Canary | None:
    """Choose up to run.canary stored images and as many titles that have not changed since, spread by hash.

    The newest file of embeddings is always looked into. `connection` has the relation `catalogue`. None if nothing is
    stored, or nothing wanted. Raises StorageError if a file cannot be read.
    """
    files = counting(sorted((workspace.embeddings / f"encoder={encoder_id}").glob("[0-9]*Z-*.parquet")))
    if not files or not config.run.canary:
        return None
    spread = sorted(files[:-1], key=lambda path: _hash(path.name))[: _FILES - 1]
    described, dim = read_described([*spread, files[-1]])
    if not described.num_rows:
        return None
    described = _spread(described)
    ids = described["gridimage_id"].to_numpy()
    with storage_trouble(workspace.root):
        today = fetch_arrow(connection, "plan", "canary", {"ids": ids.tolist()})
    known = {row["gridimage_id"]: row for row in today.to_pylist()}
    vectors = read_vectors(ids, described["file"].to_pylist(), dim)
    references = [
        image_reference(config.images, photo, known[photo]["image"]) if photo in known else None
        for photo in ids.tolist()
    ]
    same_title = [
        row
        for row, (photo, stored) in enumerate(zip(ids.tolist(), described["title_hash"].to_pylist(), strict=True))
        if vectors.has_title[row] and photo in known and known[photo]["title_hash"] == stored
    ]
    same_image: list[int] = []
    signatures = described["image_signature"].to_pylist()
    for row in np.flatnonzero(vectors.has_image).tolist()[: 4 * config.run.canary]:
        if len(same_image) < config.run.canary and _is_same(source, references[row], signatures[row]):
            same_image.append(row)
    titles = [known[photo]["title"] if photo in known else "" for photo in ids.tolist()]
    return Canary(described, titles, references, vectors, same_image, same_title[: config.run.canary])


def _spread(described: pa.Table) -> pa.Table:
    """Return up to _ROWS rows of each file, in an order that mixes files and ids by hash."""
    ids, files = described["gridimage_id"].to_pylist(), described["file"].to_pylist()
    left = dict.fromkeys(files, _ROWS)
    kept = []
    for row in sorted(range(len(ids)), key=lambda row: _hash(str(ids[row]))):
        left[files[row]] -= 1
        if left[files[row]] >= 0:
            kept.append(row)
    return described.take(pa.array(kept, pa.int64()))


def _is_same(source: ImageSource, reference: str | None, signature: str | None) -> bool:
    try:
        return reference is not None and source.signature(reference) == signature
    except PhotoFailure:
        return False


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()
