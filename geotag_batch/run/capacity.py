"""How much goes through at once: decoding processes and images in a batch, where the configuration says "auto"."""

import logging
import time
from collections.abc import Callable

import numpy as np

from geotag_batch.config import RunConfig
from geotag_batch.encode.encoder import Encoder, EncoderMemoryError
from geotag_batch.errors import EncoderError
from geotag_batch.machine import usable_cores

__all__ = ["batch_size", "decoding_workers", "find_batch_size"]

logger = logging.getLogger("geotag")

_ON_A_CPU = 32
"""Images whose activations stay in the caches of a core; 16 to 64 were measured alike, more slower."""

_LEAST, _MOST = 32, 1024
_WORTH = 1.05  # a batch twice as large has to bring this much, since it takes twice the memory
_SECONDS = 0.2  # of measuring at each size


def decoding_workers(run: RunConfig, device: str, cores: int | None = None) -> int:
    """Return how many processes decode images for an encoder on `device`, of the `cores` that it may use, if not all.

    "auto" is a quarter of the usable cores on a CPU, where the encoder needs ten times a decoder's work (docs/
    performance.md), but two at least; and on any other device all cores but one, since a GPU waits for them. One core
    that was given makes one.
    """
    if isinstance(run.workers, int):
        return run.workers
    least = 2 if cores is None else min(2, cores)
    cores = cores or usable_cores()
    return max(least, cores // 4) if device.startswith("cpu") else max(least, cores - 1)


def batch_size(run: RunConfig, encoder: Encoder) -> int:
    """Return how many images go through `encoder` together: on a CPU what was measured once, elsewhere searched."""
    if isinstance(run.batch_size, int):
        return run.batch_size
    if encoder.device.startswith("cpu"):
        return _ON_A_CPU
    found = find_batch_size(encoder)
    logger.info("%d images in a batch", found)
    return found


def find_batch_size(
    encoder: Encoder, least: int = _LEAST, most: int = _MOST, clock: Callable[[], float] = time.perf_counter
) -> int:
    """Return the batch from which on doubling it is not worth while: throughput stays, or memory ends.

    Begins with `least`, goes up to `most`, and below `least` only if that does not fit. `clock` gives seconds. Raises
    EncoderError if not even one image fits.
    """
    best, best_rate, size = 0, 0.0, least
    while size <= most:
        try:
            rate = _rate(encoder, size, clock)
        except EncoderMemoryError as error:
            if best:
                break
            if size == 1:
                raise EncoderError(
                    f"the memory of {encoder.device} does not hold a single image beside the encoder: {error}",
                    hint="free memory there, or choose another --device",
                ) from error
            size = most = size // 2
            continue
        if rate < _WORTH * best_rate:
            break
        best, best_rate, size = size, rate, size * 2
    return best


def _rate(encoder: Encoder, size: int, clock: Callable[[], float]) -> float:
    """Return images/s with batches of `size`; the first one, which sets things up, is not counted."""
    side = encoder.preprocess.size
    pixels = np.zeros((size, side, side, 3), np.uint8)
    encoder.encode_images(pixels)
    started, images = clock(), 0
    while not images or clock() - started < _SECONDS:
        encoder.encode_images(pixels)
        images += size
    return images / (clock() - started)
