"""Whether a faster number format may be used: measured on the archive's own photos, and remembered.

What a check found is kept in `cache/precision/`; it can be made again at any time.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geotag_batch import atomic
from geotag_batch.catalogue import catalogue_files, catalogue_relation
from geotag_batch.config import Config
from geotag_batch.duck import connect, fetch_arrow, storage_trouble
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import InputError
from geotag_batch.predict.bundle import Scorer
from geotag_batch.predict.features import LocationRule, fuse
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.read.loader import ImageLoader, ImageRequest, LoadedImage
from geotag_batch.read.sources import image_reference
from geotag_batch.workspace import Workspace

__all__ = ["CastableEncoder", "PrecisionCheck", "check_precision", "known_check", "save_check"]

_BATCH = 32


class CastableEncoder(Encoder, Protocol):
    """An encoder that can go on in another number format."""

    def cast(self, precision: str) -> None:
        """Go on in `precision`; weights that were rounded stay so."""


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """What `precision` changes against float32 on `photos` photos, for one encoder and one head.

    `decode` is the images.decode of the faster side; on float32's side images are decoded at full size.
    `same_tags` is the share of photos with the same tags; cosines are between the embeddings of the two formats, as
    stored; `score_difference` is the largest one of any score.
    """

    encoder_id: str
    head_id: str
    policy_id: str
    precision: str
    decode: str
    photos: int
    same_tags: float
    image_cosine_least: float
    image_cosine_median: float
    title_cosine_least: float
    title_cosine_median: float
    score_difference: float


@dataclass(frozen=True, slots=True)
class _Sample:
    """n photos: `pixels` uint8 (n, size, size, 3), titles, and latitude and longitude (n, 2), NaN where unknown.

    `decoded` are the pixels as images.decode makes them.
    """

    pixels: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    titles: list[str]
    locations: NDArray[np.float64]


def check_precision(
    workspace: Workspace, config: Config, encoder: CastableEncoder, scorer: Scorer, precision: str, photos: int
) -> PrecisionCheck:
    """Compare `precision` with float32, which `encoder` is in; afterwards it is in `precision`.

    The photos are spread over the catalogue by a hash of their ids; those whose image cannot be had do not count.
    Raises InputError if none can, CatalogueError, EncoderMemoryError.
    """
    sample = _read_sample(workspace, config, encoder.preprocess, scorer.info.location, photos)
    before = _encode(encoder, sample.pixels, sample.titles)
    encoder.cast(precision)
    after = _encode(encoder, sample.decoded, sample.titles)
    scores = [_scores(scorer, sample, *vectors) for vectors in (before, after)]
    tags = [scorer.info.policy.choose(each) for each in scores]
    cosines = [_cosines(one, other) for one, other in zip(before, after, strict=True)]
    return PrecisionCheck(
        encoder_id=encoder.encoder_id,
        head_id=scorer.info.head_id,
        policy_id=scorer.info.policy.policy_id,
        precision=precision,
        decode=config.images.decode,
        photos=len(sample.titles),
        same_tags=float((tags[0] == tags[1]).all(axis=1).mean()),
        image_cosine_least=float(cosines[0].min()),
        image_cosine_median=float(np.median(cosines[0])),
        title_cosine_least=float(cosines[1].min()),
        title_cosine_median=float(np.median(cosines[1])),
        score_difference=float(np.abs(scores[0] - scores[1]).max()),
    )


def _read_sample(
    workspace: Workspace, config: Config, preprocess: Preprocess, rule: LocationRule | None, photos: int
) -> _Sample:
    only = ("gridimage_id", "title", "grid_reference", "wgs84_lat", "wgs84_long", "image")
    limit = config.run.memory_limit
    with storage_trouble(workspace.root), connect(memory_limit=limit, spill=workspace.cache) as connection:
        relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=only)
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        rows = fetch_arrow(connection, "report", "sample", {"photos": photos}).to_pylist()
    requests = [
        ImageRequest(row["gridimage_id"], image_reference(config.images, row["gridimage_id"], row["image"]))
        for row in rows
    ]
    plain = replace(config, images=replace(config.images, decode="full"))
    loaded = decoded = _load(plain, workspace, preprocess, requests)
    if config.images.decode != "full":
        decoded = _load(config, workspace, preprocess, requests)
    kept = [
        (row, image.pixels, other.pixels)
        for row, image, other in zip(rows, loaded, decoded, strict=True)
        if image.pixels is not None and other.pixels is not None
    ]
    if not kept:
        raise InputError(
            f"none of {len(rows)} photos has an image to compare precisions on",
            hint="look at images.root and images.template, or set encoder.precision to float32",
        )
    photos_kept, pixels, others = (list(column) for column in zip(*kept, strict=True))
    titles = [row["title"] or "" for row in photos_kept]
    return _Sample(np.stack(pixels), np.stack(others), titles, _locations(photos_kept, rule))


def _load(
    config: Config, workspace: Workspace, preprocess: Preprocess, requests: Sequence[ImageRequest]
) -> list[LoadedImage]:
    with ImageLoader(config.images, workspace.root, preprocess, config.run.workers) as loader:
        return list(loader.load(requests))


def _locations(rows: Sequence[dict[str, Any]], rule: LocationRule | None) -> NDArray[np.float64]:
    if rule is None:
        return np.full((len(rows), 2), np.nan)
    found = wgs84_centres([row["grid_reference"] or "" for row in rows], grids=rule.grids, square_km=True)
    if rule.wgs84_fallback:
        given = np.array([(row["wgs84_lat"], row["wgs84_long"]) for row in rows], np.float64)
        found = np.where(np.isfinite(found).all(axis=1, keepdims=True), found, given)
    return found


def _encode(
    encoder: Encoder, pixels: NDArray[np.uint8], titles: Sequence[str]
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    images = [encoder.encode_images(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    return np.concatenate(images).astype(np.float16), encoder.encode_titles(titles).astype(np.float16)


def _scores(
    scorer: Scorer, sample: _Sample, image: NDArray[np.float16], title: NDArray[np.float16]
) -> NDArray[np.float32]:
    known = np.isfinite(sample.locations).all(axis=1)
    titled = np.array([bool(each.strip()) for each in sample.titles])
    member = scorer.choose(np.stack([np.ones_like(known), titled, known], axis=1))
    scores = np.empty((len(sample.titles), len(scorer.info.tags)), np.float32)
    for place, head in enumerate(scorer.members):
        rows = np.flatnonzero(member == place)
        location = head.info.location.scale(sample.locations[rows]) if head.info.location is not None else None
        scores[rows] = head.scores(fuse(head.info.modalities, image[rows], title[rows], location))
    return scores


def _cosines(one: NDArray[np.float16], other: NDArray[np.float16]) -> NDArray[np.float64]:
    a, b = one.astype(np.float64), other.astype(np.float64)
    cosines: NDArray[np.float64] = (a * b).sum(axis=1) / np.maximum(
        np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12
    )
    return cosines


def known_check(
    workspace: Workspace, encoder_id: str, scorer: Scorer, precision: str, decode: str
) -> PrecisionCheck | None:
    """Return what an earlier check found for this encoder, head, policy and decoding; None if there was none."""
    path = workspace.cache / "precision" / _name(encoder_id, scorer, precision, decode)
    try:
        return PrecisionCheck(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or broken: it is made again
        return None


def save_check(workspace: Workspace, scorer: Scorer, check: PrecisionCheck) -> None:
    """Remember a check. Raises StorageError if the disk refuses."""
    folder = workspace.cache / "precision"
    data = json.dumps(asdict(check), indent=1).encode()
    name = _name(check.encoder_id, scorer, check.precision, check.decode)
    atomic.write_bytes(data, folder / name, folder / "staging", replace=True)


def _name(encoder_id: str, scorer: Scorer, precision: str, decode: str) -> str:
    return f"{encoder_id}--{scorer.info.head_id}--{scorer.info.policy.policy_id}--{precision}-{decode}.json"
