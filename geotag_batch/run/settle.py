"""Which number format a run encodes in, where the configuration leaves it to the machine and the archive."""

import logging
from dataclasses import replace

from geotag_batch.config import Config
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import EncoderError
from geotag_batch.predict.bundle import Scorer, load_scorer
from geotag_batch.predict.head import current_head_info
from geotag_batch.run.precision import CastableEncoder, PrecisionCheck, check_precision, known_check, save_check
from geotag_batch.workspace import Workspace

__all__ = ["check_now", "load_settled"]

logger = logging.getLogger("geotag")

_PHOTOS = 400  # at half a percent, two of them may differ


def load_settled(workspace: Workspace, config: Config, scorer: Scorer | None) -> Encoder:
    """Return the configured encoder; with `precision = "auto"` on a CPU in the fastest format that passes the check.

    A faster format is used where this CPU is clearly faster with it, and at least encoder.min_agreement of the
    archive's photos get float32's tags from `scorer`; without one, or one of another encoder, it is float32. What was
    found is remembered, so that the next run does not ask again. Raises EncoderError, InputError, CatalogueError.
    """
    encoder = load_encoder(config.encoder, workspace.root)
    if config.encoder.precision != "auto" or not encoder.device.startswith("cpu") or not hasattr(encoder, "cast"):
        return encoder
    if scorer is None or scorer.info.encoder_id != encoder.encoder_id:
        return encoder
    from geotag_batch.encode.speed import fastest_precision  # noqa: PLC0415  imports torch

    precision, castable = fastest_precision(), _castable(encoder)
    if precision == "float32":
        return encoder
    check = known_check(workspace, encoder.encoder_id, scorer, precision, config.images.decode)
    if check is None:
        logger.info("comparing %s with float32 on %d photos", precision, _PHOTOS)
        check = check_precision(workspace, config, castable, scorer, precision, _PHOTOS)
        save_check(workspace, scorer, check)
    passed = check.same_tags >= config.encoder.min_agreement
    logger.info("%s", _verdict(check, config.encoder.min_agreement))
    if passed:
        castable.cast(precision)
        return encoder
    return encoder if encoder.precision == "float32" else load_encoder(config.encoder, workspace.root)


def check_now(workspace: Workspace, config: Config, precision: str, photos: int) -> PrecisionCheck:
    """Compare `precision` with float32 on photos of the archive under the head in use, and remember what was found.

    Raises EncoderError if the encoder is not the head's or has one format alone; HeadError, InputError,
    CatalogueError, StorageError.
    """
    encoder_config = replace(config.encoder, precision="float32")
    scorer = load_scorer(workspace, current_head_info(workspace, config).head_id)
    encoder = load_encoder(encoder_config, workspace.root)
    if scorer.info.encoder_id != encoder.encoder_id or not hasattr(encoder, "cast"):
        raise EncoderError(
            f"encoder {encoder.encoder_id} cannot be compared under head {scorer.info.head_id}: it has float32 alone, "
            f"or the head was trained on {scorer.info.encoder_id}",
            hint="set encoder.model and encoder.weights to the head's encoder, or `geotag heads use` another head",
        )
    check = check_precision(workspace, config, _castable(encoder), scorer, precision, photos)
    save_check(workspace, scorer, check)
    return check


def _castable(encoder: Encoder) -> CastableEncoder:
    assert hasattr(encoder, "cast")
    return encoder  # type: ignore[return-value]


def _verdict(check: PrecisionCheck, least: float) -> str:
    compared = f"{check.precision} gave {check.same_tags:.2%} of {check.photos} photos float32's tags"
    used = "it is used" if check.same_tags >= least else "float32 is used"
    return f"{compared}; encoder.min_agreement is {least:.2%}: {used}"
