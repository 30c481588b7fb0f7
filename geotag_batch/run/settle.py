"""Which number format a run encodes in, where the configuration leaves it to the machine and the archive."""

import logging
from dataclasses import replace
from functools import partial

from geotag_batch.config import Config
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import EncoderError
from geotag_batch.predict.bundle import Scorer, load_scorer
from geotag_batch.predict.head import current_head_info
from geotag_batch.run.formats import Formats, faster_formats
from geotag_batch.run.precision import PrecisionCheck, check_precision, known_check, save_check
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import stored_weights

__all__ = ["check_now", "load_settled", "settle"]

logger = logging.getLogger("geotag")

_PHOTOS = 400  # at half a percent, two of them may differ


def settle(workspace: Workspace, config: Config, scorer: Scorer | None, encoder: Encoder | None) -> Encoder:
    """Return `encoder`, or the configured one as `load_settled` does, if it may be used in this workspace.

    Raises EncoderError if the head was trained on another one, or its weights are not those that made the stored
    embeddings; and as `load_settled`.
    """
    if encoder is None:
        encoder = load_settled(workspace, config, scorer)
    if scorer is not None and encoder.encoder_id != scorer.info.encoder_id:
        raise EncoderError(
            f"head {scorer.info.head_id} was trained on encoder {scorer.info.encoder_id}, "
            f"but [encoder] in geotag.toml gives {encoder.encoder_id}",
            hint="set encoder.model and encoder.weights to the head's encoder, `geotag heads use` another head, or "
            "import this one again with --encoder current if it does belong to the configured encoder",
        )
    stored = stored_weights(workspace, encoder.encoder_id)
    if stored not in (None, encoder.weights_sha256):
        raise EncoderError(
            f"the weights of {encoder.encoder_id} are not those that made its stored embeddings: "
            f"sha256 {encoder.weights_sha256[:12]} now, {str(stored)[:12]} then",
            hint="restore the weights; vectors of two encoders are never mixed",
        )
    logger.info("encoder %s on %s in %s", encoder.encoder_id, encoder.device, encoder.precision)
    return encoder


def load_settled(workspace: Workspace, config: Config, scorer: Scorer | None) -> Encoder:
    """Return the configured encoder; with `precision = "auto"` on a CPU in the fastest format that passes the check.

    A format passes if at least encoder.min_agreement of the archive's photos get float32's tags from `scorer`. Those
    that are offered on this machine are compared once, and what was found is remembered. Without a scorer, or with one
    of another encoder, "auto" is float32. int8 is never used without having passed; without a scorer it is compared
    under the head in use. Raises EncoderError, InputError, CatalogueError, StorageError; HeadError.
    """
    formats = Formats(workspace, config)
    if config.encoder.precision == "int8":
        return _int8_or_error(formats, scorer or load_scorer(workspace, current_head_info(workspace, config).head_id))
    if config.encoder.precision != "auto" or not formats.device.startswith("cpu") or not formats.castable:
        return formats.as_configured()
    if scorer is None or scorer.info.encoder_id != formats.encoder_id:
        return formats.as_configured()
    return formats.take(_fastest(formats, scorer))


def check_now(workspace: Workspace, config: Config, precision: str, photos: int) -> PrecisionCheck:
    """Compare `precision` with float32 on photos of the archive under the head in use, and remember what was found.

    Raises EncoderError if the encoder is not the head's, has one format alone or not on this device; HeadError,
    InputError, CatalogueError, StorageError.
    """
    scorer = load_scorer(workspace, current_head_info(workspace, config).head_id)
    formats = Formats(workspace, replace(config, encoder=replace(config.encoder, precision="float32")))
    _require_comparable(formats, scorer)
    formats.require(precision)
    return _compare(formats, scorer, precision, photos)


def _fastest(formats: Formats, scorer: Scorer) -> str:
    """Return the format to use of those that this machine offers."""
    least = formats.config.encoder.min_agreement
    best, speedup = "float32", 1.0
    for precision in faster_formats():
        try:
            check = _known_or_new(formats, scorer, precision)
        except EncoderError as error:  # not every model can be made int8, and nobody asked for it
            logger.info("%s is left out: %s", precision, error.message)
            continue
        passed = check.same_tags >= least
        logger.info("%s", _verdict(check, least))
        # bfloat16 is there because this CPU multiplies it faster; a small model, or a busy moment, hides that.
        if passed and (check.speedup > speedup or precision == "bfloat16"):
            best, speedup = precision, check.speedup
    return best


def _int8_or_error(formats: Formats, scorer: Scorer) -> Encoder:
    _require_comparable(formats, scorer)
    check, least = _known_or_new(formats, scorer, "int8"), formats.config.encoder.min_agreement
    if check.same_tags < least:
        raise EncoderError(
            f"{_verdict(check, least)}; the largest difference of a score is {check.score_difference:.4f}",
            hint='set encoder.precision to "auto", bfloat16 or float32, or lower encoder.min_agreement',
        )
    logger.info("%s", _verdict(check, least))
    return formats.take("int8")


def _known_or_new(formats: Formats, scorer: Scorer, precision: str) -> PrecisionCheck:
    model = formats.quantised().parent.name if precision == "int8" else None
    known = known_check(formats.workspace, formats.encoder_id, scorer, precision, formats.config.images.decode, model)
    return known or _compare(formats, scorer, precision, _PHOTOS)


def _compare(formats: Formats, scorer: Scorer, precision: str, photos: int) -> PrecisionCheck:
    model = formats.quantised().parent.name if precision == "int8" else None
    logger.info("comparing %s with float32 on %d photos", precision, photos)
    encoder = formats.take("float32")
    faster = partial(formats.switch, encoder, precision)
    check = check_precision(formats.workspace, formats.config, encoder, scorer, faster, photos)
    check = replace(check, model=model)
    save_check(formats.workspace, scorer, check)
    return check


def _require_comparable(formats: Formats, scorer: Scorer) -> None:
    if scorer.info.encoder_id != formats.encoder_id or not formats.castable:
        raise EncoderError(
            f"encoder {formats.encoder_id} cannot be compared under head {scorer.info.head_id}: it has float32 alone, "
            f"or the head was trained on {scorer.info.encoder_id}",
            hint="set encoder.model and encoder.weights to the head's encoder, or `geotag heads use` another head",
        )


def _verdict(check: PrecisionCheck, least: float) -> str:
    compared = f"{check.precision} gave {check.same_tags:.2%} of {check.photos} photos float32's tags"
    verdict = "it passes" if check.same_tags >= least else "it is not used"
    return f"{compared}, {check.speedup:.1f} times as fast; encoder.min_agreement is {least:.2%}: {verdict}"
