"""Whether a faster number format may be used: measured on the archive's own photos, and remembered.

What a check found is kept in `cache/precision/`; it can be made again at any time.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from geotag_batch import atomic
from geotag_batch.config import Config
from geotag_batch.encode.encoder import Encoder
from geotag_batch.machine import processor_name
from geotag_batch.predict.bundle import Scorer
from geotag_batch.predict.features import fuse
from geotag_batch.run.sample import Sample, read_sample
from geotag_batch.workspace import Workspace

__all__ = ["PrecisionCheck", "check_precision", "known_check", "save_check"]

_BATCH = 32


@dataclass(frozen=True, slots=True)
class PrecisionCheck:
    """What `precision` changes against float32 on `photos` photos, for one encoder and one head.

    `decode` is the images.decode of the faster side; on float32's side images are decoded at full size.
    `same_tags` is the share of photos with the same tags; cosines are between the embeddings of the two formats, as
    stored; `score_difference` is the largest one of any score. `speedup` says how many times as fast the photos were
    encoded on `processor`. `model` names the quantised model of int8.
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
    speedup: float
    processor: str
    model: str | None = None


def check_precision(
    workspace: Workspace, config: Config, encoder: Encoder, scorer: Scorer, faster: Callable[[], Encoder], photos: int
) -> PrecisionCheck:
    """Compare float32, which `encoder` is in, with what `faster` returns, which may take `encoder` over.

    The photos are spread over the catalogue by a hash of their ids; those whose image cannot be had do not count.
    Raises InputError if none can, CatalogueError, EncoderMemoryError.
    """
    sample = read_sample(workspace, config, encoder.preprocess, scorer.info.location, photos)
    before, slow = _encode(encoder, sample.pixels, sample.titles)
    encoder = faster()
    after, fast = _encode(encoder, sample.decoded, sample.titles)
    scores = [_scores(scorer, sample, *vectors) for vectors in (before, after)]
    tags = [scorer.info.policy.choose(each) for each in scores]
    cosines = [_cosines(one, other) for one, other in zip(before, after, strict=True)]
    return PrecisionCheck(
        encoder_id=encoder.encoder_id,
        head_id=scorer.info.head_id,
        policy_id=scorer.info.policy.policy_id,
        precision=encoder.precision,
        decode=config.images.decode,
        photos=len(sample.titles),
        same_tags=float((tags[0] == tags[1]).all(axis=1).mean()),
        image_cosine_least=float(cosines[0].min()),
        image_cosine_median=float(np.median(cosines[0])),
        title_cosine_least=float(cosines[1].min()),
        title_cosine_median=float(np.median(cosines[1])),
        score_difference=float(np.abs(scores[0] - scores[1]).max()),
        speedup=slow / fast,
        processor=processor_name(),
    )


def _encode(
    encoder: Encoder, pixels: NDArray[np.uint8], titles: Sequence[str]
) -> tuple[tuple[NDArray[np.float16], NDArray[np.float16]], float]:
    """Return the embeddings as stored, and the seconds that it took, without those of getting started."""
    encoder.encode_images(pixels[:_BATCH])
    encoder.encode_titles(titles[:_BATCH])
    started = time.perf_counter()
    images = [encoder.encode_images(pixels[start : start + _BATCH]) for start in range(0, len(pixels), _BATCH)]
    texts = encoder.encode_titles(titles)
    seconds = time.perf_counter() - started
    return (np.concatenate(images).astype(np.float16), texts.astype(np.float16)), seconds


def _scores(
    scorer: Scorer, sample: Sample, image: NDArray[np.float16], title: NDArray[np.float16]
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
    workspace: Workspace, encoder_id: str, scorer: Scorer, precision: str, decode: str, model: str | None = None
) -> PrecisionCheck | None:
    """Return what an earlier check found for all that, with the same quantised model, on a processor like this one.

    None if there was none.
    """
    path = workspace.cache / "precision" / _name(encoder_id, scorer, precision, decode)
    try:
        check = PrecisionCheck(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # not there, or broken: it is made again
        return None
    return check if (check.model, check.processor) == (model, processor_name()) else None


def save_check(workspace: Workspace, scorer: Scorer, check: PrecisionCheck) -> None:
    """Remember a check. Raises StorageError if the disk refuses."""
    folder = workspace.cache / "precision"
    data = json.dumps(asdict(check), indent=1).encode()
    name = _name(check.encoder_id, scorer, check.precision, check.decode)
    atomic.write_bytes(data, folder / name, folder / "staging", replace=True)


def _name(encoder_id: str, scorer: Scorer, precision: str, decode: str) -> str:
    return f"{encoder_id}--{scorer.info.head_id}--{scorer.info.policy.policy_id}--{precision}-{decode}.json"
