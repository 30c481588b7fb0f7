"""The photos whose stored embeddings are nearest to a text, or to another photo's: exact, every embedding is compared.

Only a text needs the encoder, for its one vector; everything else is read from what runs have committed.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from geotag_batch.config import Config
from geotag_batch.duck import connect, fetch_arrow, storage_trouble
from geotag_batch.encode.clip import load_encoder
from geotag_batch.errors import InputError, UsageError
from geotag_batch.machine import usable_cores
from geotag_batch.predict.head import current_head_info
from geotag_batch.predict.nearest import Nearest
from geotag_batch.read.near import Place, find_near
from geotag_batch.read.scan import StoredEmbeddings, open_embeddings
from geotag_batch.read.stored import find_embeddings, read_vectors, vector_length
from geotag_batch.run.settle import settle
from geotag_batch.run.thumbnails import describe_photos
from geotag_batch.run.vector_encoder import require_embeddings
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import create_views

__all__ = ["Answer", "Match", "Wish", "search"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: photos like `text`, or like the photo `like`; exactly one of the two.

    `modality` is image or title: whose embeddings are compared. Only photos in `near`, and with `tag`, if given.
    """

    text: str | None = None
    like: int | None = None
    modality: str = "image"
    limit: int = 20
    near: Place | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One photo found: `similarity` is the cosine, to float32; `km` the distance from the place asked for.

    Title, square and contributor are the catalogue's; None if it has the photo no more.
    """

    gridimage_id: int
    similarity: float
    title: str | None
    grid_reference: str | None
    contributor: str | None
    photo_url: str
    km: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, the most similar first, equals by id.

    `compared` embeddings by `encoder_id` were compared in `seconds`; `cut`: the text is longer than the encoder reads.
    """

    wish: Wish
    encoder_id: str
    compared: int
    seconds: float
    cut: bool
    matches: Sequence[Match]


def search(workspace: Workspace, config: Config, wish: Wish) -> Answer:
    """Return the photos nearest to what is wished for.

    Raises UsageError for a wish that makes no sense; InputError if nothing is embedded by the encoder in use, or the
    photo to compare with is unknown or has no such embedding; EncoderError, HeadError, CatalogueError, StorageError.
    """
    _check(wish)
    require_embeddings(workspace)
    if wish.like is None:
        encoder_id, query, cut = _encode(workspace, config, str(wish.text))
    else:
        encoder_id, cut = _encoder_in_use(workspace, config), False
        query = _stored(workspace, config, encoder_id, wish).astype(np.float32)  # which holds any float16
    began = time.monotonic()
    within = _within(workspace, config, wish)
    stored = open_embeddings(workspace, encoder_id, config.run.memory_limit)
    nearest = Nearest(query, wish.limit, but=wish.like)
    compared = _compare(stored, nearest, wish.modality, within.ids)
    seconds = time.monotonic() - began
    return Answer(wish, encoder_id, compared, seconds, cut, _matches(workspace, config, nearest, within))


def _check(wish: Wish) -> None:
    if (wish.text is None) == (wish.like is None):
        raise UsageError(
            "say what to look for: either a text or --like ID", hint='geotag search "stone bridge over a river"'
        )
    if wish.text is not None and not wish.text.strip():
        raise UsageError("the text is empty", hint='say what to look for: geotag search "stone bridge over a river"')
    if wish.tag is not None and wish.tag not in tag_index():
        raise UsageError(
            f"{wish.tag} is none of the {len(tag_index())} tags", hint='`geotag query "FROM tags"` lists them'
        )


def _encode(workspace: Workspace, config: Config, text: str) -> tuple[str, NDArray[np.float32], bool]:
    """Return the encoder's id, the text's vector (dim,), and whether it was cut."""
    encoder = settle(workspace, config, None, load_encoder(config.encoder, workspace.root))
    _require_stored(workspace, encoder.encoder_id, "set encoder.model and encoder.weights to what made them")
    return encoder.encoder_id, encoder.encode_titles([text])[0], encoder.cuts_title(text)


def _encoder_in_use(workspace: Workspace, config: Config) -> str:
    """Return the encoder of the head in use, or the only one that embeddings are stored of."""
    choose = "choose one with `geotag heads use`, by a head of that encoder"
    if config.head.current is not None:
        encoder_id = current_head_info(workspace, config).encoder_id
        _require_stored(workspace, encoder_id, f"run `geotag backfill`, or {choose}")
        return encoder_id
    stored = list(workspace.encoders())
    if len(stored) > 1:
        raise InputError(f"embeddings of {len(stored)} encoders are stored: {', '.join(stored)}", hint=choose)
    return stored[0]


def _require_stored(workspace: Workspace, encoder_id: str, hint: str) -> None:
    stored = workspace.encoders()
    if encoder_id not in stored:
        raise InputError(f"no embeddings of encoder {encoder_id} are stored, only of {', '.join(stored)}", hint=hint)


def _stored(workspace: Workspace, config: Config, encoder_id: str, wish: Wish) -> NDArray[np.float16]:
    """Return the stored vector (dim,) of the photo to compare with."""
    photo, what = int(wish.like or 0), f"{wish.modality} embedding by {encoder_id}"
    file = find_embeddings(workspace, encoder_id, [photo]).get(photo)
    if file is None and not describe_photos(workspace, config, [photo]):
        raise InputError(f"photo {photo} is not in the catalogue", hint="check the id")
    hint = f"`geotag explain {photo}` shows what there is of it"
    if file is not None:
        vectors = read_vectors(np.array([photo]), [file], vector_length(file))
        vector, has = getattr(vectors, wish.modality)[0], getattr(vectors, f"has_{wish.modality}")[0]
        if has and not (vector.any() and np.isfinite(vector).all()):
            raise InputError(f"the {what} of photo {photo} is all zeros or not finite: nothing is like it", hint=hint)
        if has:
            found: NDArray[np.float16] = vector
            return found
    raise InputError(f"photo {photo} has no {what}", hint=hint)


@dataclass(frozen=True, slots=True)
class _Within:
    """Which photos to look at: `ids`, ascending (None: all); `near` and `km`: those near the place, and how far."""

    ids: NDArray[np.int64] | None
    near: NDArray[np.int64]
    km: NDArray[np.float64]

    def distance(self, photo: int) -> float | None:
        place = int(np.searchsorted(self.near, photo))
        return float(self.km[place]) if place < len(self.near) and self.near[place] == photo else None


def _within(workspace: Workspace, config: Config, wish: Wish) -> _Within:
    ids, near, km = None, np.empty(0, np.int64), np.empty(0)
    if wish.near is not None:
        near, km = find_near(workspace, config, wish.near)
        ids = near
    if wish.tag is not None:
        tagged = _tagged(workspace, config, wish.tag)
        ids = tagged if ids is None else np.intersect1d(ids, tagged, assume_unique=True)
    return _Within(ids, near, km)


_TAG_VIEWS = (
    "tags", "photos", "decisions", "decisions_newest", "decisions_by_photo", "effective_tags", "predictions_all",
    "predictions_newest",
)  # fmt: skip


def _tagged(workspace: Workspace, config: Config, tag: str) -> NDArray[np.int64]:
    limit = config.run.memory_limit
    with storage_trouble(workspace.root), connect(memory_limit=limit, spill=workspace.cache) as connection:
        create_views(connection, workspace, config, _TAG_VIEWS)
        ids: NDArray[np.int64] = fetch_arrow(connection, "search", "tagged", {"tag": tag})["gridimage_id"].to_numpy()
    return ids


def _compare(stored: StoredEmbeddings, nearest: Nearest, modality: str, wanted: NDArray[np.int64] | None) -> int:
    """Offer everything stored to `nearest`, a file a thread; return how many vectors that were."""

    def offer(place: int) -> int:
        compared = 0
        for ids, vectors in stored.batches(place, modality, wanted):
            nearest.offer(ids, vectors)
            compared += len(ids)
        return compared

    # Threads that read and widen vectors are enough to keep the cores busy; BLAS would add its own to each.
    with threadpool_limits(1, user_api="blas"):
        pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="search")
        try:
            return sum(pool.map(offer, range(len(stored.files))))
        finally:
            pool.shutdown(cancel_futures=True)


def _matches(workspace: Workspace, config: Config, nearest: Nearest, within: _Within) -> list[Match]:
    ids, similarities = nearest.found()
    known = {row["gridimage_id"]: row for row in describe_photos(workspace, config, ids.tolist())}
    matches = []
    for photo, similarity in zip(ids.tolist(), similarities.tolist(), strict=True):
        row: dict[str, Any] = known.get(photo, {})
        url = config.review.photo_url.replace("{gridimage_id}", str(photo))
        title, square, contributor = (row.get(name) for name in ("title", "grid_reference", "realname"))
        matches.append(Match(photo, similarity, title, square, contributor, url, within.distance(photo)))
    return matches
