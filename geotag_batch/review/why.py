"""Why a tag was suggested: how much image, title and location added to its logit, from what is stored."""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geotag_batch.config import Config
from geotag_batch.errors import GeotagError
from geotag_batch.predict.bundle import Scorer, load_scorer
from geotag_batch.predict.explain import Contributions, explain
from geotag_batch.predict.features import MODALITIES
from geotag_batch.read.stored import Vectors, find_embeddings, read_vectors
from geotag_batch.review.index import MOST_PERHAPS, PhotoRow
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import Workspace

__all__ = ["Reason", "Reasons", "Why"]

_CLOSE = 1e-4  # scores are rounded to float32; more than this and they came from other vectors


@dataclass(frozen=True, slots=True)
class Reason:
    """What added up to one tag's logit: `shares` of MODALITIES in their order, None for one the head does not take."""

    tag: str
    shares: tuple[float | None, ...]
    bias: float
    logit: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """The reasons of the tags that a photo's card shows; or the `trouble` that there are none.

    `exact`: the head is linear, and the shares are the terms of its sum. `scale` is the greatest share of all, to draw
    them by.
    """

    reasons: tuple[Reason, ...] = ()
    exact: bool = True
    scale: float = 1.0
    trouble: str | None = None


class Why:
    """Explains photos of a workspace; any thread may ask."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        """Begin with no head loaded."""
        self._workspace = workspace
        self._config = config
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()

    def of(self, head_id: str, photos: Sequence[PhotoRow]) -> dict[int, Reasons]:
        """Return the reasons of each photo's tags; what cannot be explained says why."""
        try:
            scorer = self._scorer(head_id)
            vectors = self._vectors(scorer, photos)
        except GeotagError as error:  # a head or embeddings that were pruned: the photo can be decided all the same
            return {photo.gridimage_id: Reasons(trouble=error.message) for photo in photos}
        found = {}
        whole = [place for place, photo in enumerate(photos) if self._is_whole(scorer, photo, vectors, place)]
        for photo in photos:
            found[photo.gridimage_id] = Reasons(trouble="its embeddings are not stored any more")
        if whole:
            used = np.array([photos[place].used for place in whole])
            locations = np.array([photos[place].location for place in whole], np.float64)
            shares = explain(scorer, used, vectors.image[whole], vectors.title[whole], locations)
            for row, place in enumerate(whole):
                taken = scorer.members[int(scorer.choose(used[row : row + 1])[0])].info.modalities
                found[photos[place].gridimage_id] = _reasons(photos[place], shares, row, taken)
        return found

    def _scorer(self, head_id: str) -> Scorer:
        with self._lock:
            if head_id not in self._scorers:
                self._scorers[head_id] = load_scorer(self._workspace, head_id, self._config.run.missing_image)
            return self._scorers[head_id]

    def _vectors(self, scorer: Scorer, photos: Sequence[PhotoRow]) -> Vectors:
        ids = [photo.gridimage_id for photo in photos]
        files = find_embeddings(self._workspace, scorer.info.encoder_id, ids)
        return read_vectors(np.array(ids, np.int64), [files.get(photo) for photo in ids], scorer.info.dim)

    @staticmethod
    def _is_whole(scorer: Scorer, photo: PhotoRow, vectors: Vectors, place: int) -> bool:
        """Tell whether everything that the prediction was made from is there."""
        member = scorer.members[int(scorer.choose(np.array([photo.used]))[0])]
        needs = member.info.modalities
        has_title = bool(vectors.has_title[place])  # a missing title has an embedding too
        return ("image" not in needs or bool(vectors.has_image[place])) and ("title" not in needs or has_title)


def _reasons(photo: PhotoRow, shares: Contributions, row: int, taken: Sequence[str]) -> Reasons:
    reasons = []
    for tag, score in photo.suggested + photo.perhaps[:MOST_PERHAPS]:
        place = tag_index()[tag]
        logit = float(shares.logits[row, place])
        if not math.isfinite(logit) or abs(1 / (1 + math.exp(-logit)) - score) > _CLOSE:
            return Reasons(trouble="it was embedded again since it was scored")
        parts = tuple(float(shares.of(modality)[row, place]) if modality in taken else None for modality in MODALITIES)
        reasons.append(Reason(tag, parts, float(shares.bias[row, place]), logit))
    greatest = max(
        (abs(part) for reason in reasons for part in (*reason.shares, reason.bias) if part is not None), default=1.0
    )
    return Reasons(tuple(reasons), bool(shares.exact[row]), greatest or 1.0)
