"""Vectors from a file beside what is stored already: which of them are new, and the rows that hold them."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.run.stored_range import StoredRange
from geotag_batch.run.tables import vector_column
from geotag_batch.schema import load_schema

__all__ = ["IMPORTED", "Merged", "NewVectors", "merge_vectors"]

IMPORTED = "imported"
"""The precision of a vector whose file does not say in which number format it was made."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Rows to commit, one a photo, and what became of the vectors: `taken`, `known` (stored just so), `kept` (stored
    otherwise, and left as it is). `images_only` and `titles_only` count the photos that have no other vector now.
    """

    table: pa.Table
    taken: int
    known: int
    kept: int
    images_only: int
    titles_only: int


def merge_vectors(
    staged: pa.Table, stored: StoredRange | None, titles: pa.Table, run_id: str, *, replace: bool = False
) -> Merged:
    """Return the rows that `staged` vectors (read/vector_spool.py) make beside the `stored` ones.

    A stored vector stays, unless `replace`, or it is of another title than the catalogue has (`titles`:
    sql/exchange/titles.sql) and the new one is of that title. A row is complete: a stored vector that stays goes into
    it beside a new one, for the newest row of a photo is all that counts.
    """
    ids = np.unique(staged["gridimage_id"].to_numpy())
    old = _Old.of(stored, ids, _dim(staged))
    now = _aligned(titles, "title_hash", ids)
    image, title = (NewVectors.of(staged, ids, kind) for kind in (False, True))
    hashes = np.where(_missing(title.texts), now, title.texts)
    image_same = image.same_as(old.image, old.has_image)
    title_same = title.same_as(old.title, old.has_title) & (hashes == old.title_hash)
    overtaken = (old.title_hash != now) & (hashes == now)
    take_image = image.has & ~image_same & (~old.has_image | replace)
    take_title = title.has & ~title_same & (~old.has_title | replace | overtaken)
    rows = np.flatnonzero(take_image | take_title)
    has_image, has_title = old.has_image | image.has, old.has_title | title.has
    columns = {
        "gridimage_id": pa.array(ids[rows]),
        "image_embedding": vector_column(_chosen(take_image, image.vectors, old.image)[rows], has_image[rows]),
        "title_embedding": vector_column(_chosen(take_title, title.vectors, old.title)[rows], has_title[rows]),
        "title_hash": pa.array(np.where(take_title, hashes, old.title_hash)[rows], pa.string()),
        "image_signature": pa.array(
            np.where(take_image, np.where(_missing(image.texts), "", image.texts), old.signature)[rows], pa.string()
        ),
        "precision": pa.array(_precisions(take_image, image, title, old)[rows], pa.string()),
        "run_id": pa.repeat(pa.scalar(run_id), len(rows)),
    }
    vectors = int(image.has.sum() + title.has.sum())
    taken, known = int(take_image.sum() + take_title.sum()), int(image_same.sum() + title_same.sum())
    return Merged(
        pa.table(columns, schema=load_schema("embeddings").arrow(_dim(staged))),
        taken,
        known,
        vectors - taken - known,
        int((has_image & ~has_title).sum()),
        int((has_title & ~has_image).sum()),
    )


@dataclass(frozen=True, slots=True)
class NewVectors:
    """What comes in of one kind for n photos: `texts` are title hashes or image signatures, None where not said."""

    has: NDArray[np.bool_]
    vectors: NDArray[np.float16]
    texts: NDArray[np.object_]
    precision: NDArray[np.object_]

    @classmethod
    def of(cls, staged: pa.Table, ids: NDArray[np.int64], is_title: bool) -> "NewVectors":
        """Return what `staged` (read/vector_spool.py) has of one kind for `ids` (n,), which hold all of its photos."""
        part = staged.filter(pc.equal(staged["is_title"], is_title))
        rows = np.searchsorted(ids, part["gridimage_id"].to_numpy())
        dim, count = _dim(staged), len(ids)
        vectors, has = np.zeros((count, dim), np.float16), np.zeros(count, np.bool_)
        texts, precision = np.full(count, None, object), np.full(count, None, object)
        if part.num_rows:
            vectors[rows] = part["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, dim)
            has[rows] = True
            texts[rows] = part["title_hash" if is_title else "image_signature"].to_numpy(zero_copy_only=False)
            precision[rows] = part["precision"].to_numpy(zero_copy_only=False)
        return cls(has, vectors, texts, precision)

    def same_as(self, vectors: NDArray[np.float16], has: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of the photos have just this vector stored, to the bit."""
        same = self.has & has
        same[same] = (self.vectors[same].view(np.uint16) == vectors[same].view(np.uint16)).all(axis=1)
        return same


@dataclass(frozen=True, slots=True)
class _Old:
    """What is stored of n photos."""

    image: NDArray[np.float16]
    title: NDArray[np.float16]
    has_image: NDArray[np.bool_]
    has_title: NDArray[np.bool_]
    title_hash: NDArray[np.object_]
    signature: NDArray[np.object_]
    precision: NDArray[np.object_]

    @classmethod
    def of(cls, stored: StoredRange | None, ids: NDArray[np.int64], dim: int) -> "_Old":
        count = len(ids)
        nothing = [np.full(count, None, object) for _ in range(3)]
        old = cls(
            np.zeros((count, dim), np.float16),
            np.zeros((count, dim), np.float16),
            np.zeros(count, np.bool_),
            np.zeros(count, np.bool_),
            *nothing,
        )
        if stored is None or not len(stored.ids):
            return old
        place = np.minimum(np.searchsorted(stored.ids, ids), len(stored.ids) - 1)
        here = stored.ids[place] == ids
        place = place[here]
        old.image[here], old.title[here] = stored.vectors.image[place], stored.vectors.title[place]
        old.has_image[here], old.has_title[here] = stored.vectors.has_image[place], stored.vectors.has_title[place]
        for name, target in (
            ("title_hash", old.title_hash),
            ("image_signature", old.signature),
            ("precision", old.precision),
        ):
            target[here] = stored.facts[name].to_numpy(zero_copy_only=False)[place]
        return old


def _precisions(take_image: NDArray[np.bool_], image: NewVectors, title: NewVectors, old: _Old) -> NDArray[np.object_]:
    """Return what is said of a row's making: that of its image vector, or of the title's where there is none."""
    of_image, of_title = (np.where(_missing(new.precision), IMPORTED, new.precision) for new in (image, title))
    return np.where(take_image, of_image, np.where(_missing(old.precision), of_title, old.precision))


def _chosen(new: NDArray[np.bool_], vectors: NDArray[np.float16], old: NDArray[np.float16]) -> NDArray[np.float16]:
    return np.where(new[:, None], vectors, old)


def _aligned(titles: pa.Table, name: str, ids: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return a column of `titles`, which is in order of ids, for `ids`; None for one that is not there."""
    known, values = titles["gridimage_id"].to_numpy(), titles[name].to_numpy(zero_copy_only=False)
    found = np.full(len(ids), None, object)
    if len(known):
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        here = known[place] == ids
        found[here] = values[place[here]]
    return found


def _missing(values: NDArray[np.object_]) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = values == None  # noqa: E711  value by value
    return missing


def _dim(staged: pa.Table) -> int:
    return int(staged.schema.field("vector").type.list_size)
