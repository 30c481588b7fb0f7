"""The protocol of an encoder: images and titles to embeddings. ClipEncoder and FakeEncoder follow it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from geotag_batch.preprocess import Preprocess

__all__ = ["Encoder", "EncoderMemoryError", "check_pixels"]


class EncoderMemoryError(Exception):
    """The batch did not fit into memory; the same rows may fit in smaller batches."""


class Encoder(Protocol):
    """A frozen encoder, its weights loaded; embeddings are raw, not L2-normalised."""

    @property
    def encoder_id(self) -> str:
        """Return the fingerprint that is written beside every embedding."""

    @property
    def dim(self) -> int:
        """Return the length of an embedding."""

    @property
    def precision(self) -> str:
        """Return the number format the encoder runs in: float32, bfloat16, float16 or int8."""

    @property
    def device(self) -> str:
        """Return the device the encoder runs on, as torch spells it."""

    @property
    def preprocess(self) -> Preprocess:
        """Return what images must be made into before `encode_images`."""

    @property
    def weights_sha256(self) -> str:
        """Return the SHA-256 (hex) of the weights, see fingerprint.tensors_digest."""

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of decoded images (n, size, size, 3), in the same order.

        Raises EncoderMemoryError if the batch does not fit.
        """

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of titles of any length, in the same order; a missing title is the empty text.

        Batches are the encoder's business. Raises EncoderMemoryError if not even a single title fits.
        """

    def cuts_title(self, title: str) -> bool:
        """Return whether `encode_titles` sees the beginning of a title alone, for it is too long."""


def check_pixels(pixels: NDArray[np.uint8], preprocess: Preprocess) -> None:
    """Raise ValueError unless `pixels` is uint8 (n, size, size, 3)."""
    size = preprocess.size
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (size, size, 3):
        raise ValueError(f"images are {pixels.dtype} {pixels.shape}, should be uint8 (n, {size}, {size}, 3)")
