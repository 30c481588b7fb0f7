"""A deterministic encoder without weights or torch, for tests: instant, and with enough signal to train a head on.

Its encoder_id begins with "fake-", which marks everything that is made with it.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.encoder import check_pixels
from geotag_batch.encode.identity import make_encoder_id
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import Preprocess

__all__ = ["FAKE_MODEL", "FakeEncoder"]

FAKE_MODEL = "fake"
_GRID = 4  # mean colours of 4 x 4 cells: 48 values that say something about the scene
_COLOURS = _GRID * _GRID * 3
_LONGEST_TITLE = 75  # words; as many tokens as CLIP sees


class FakeEncoder:
    """Mean colours and hashes of pixels, hashes of title words; follows the Encoder protocol."""

    dim = 512
    precision = "float32"
    device = "cpu"
    preprocess = Preprocess(size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    weights_sha256 = hashlib.sha256(b"geotag-batch fake encoder 1").hexdigest()
    encoder_id = make_encoder_id(FAKE_MODEL, weights_sha256, preprocess, "none")

    def __init__(self, encoder: EncoderConfig | None = None) -> None:
        """Refuse, as EncoderError, a device or precision that the fake encoder does not have."""
        wanted = encoder or EncoderConfig(model=FAKE_MODEL)
        if wanted.device not in ("auto", self.device) or wanted.precision not in ("auto", self.precision):
            raise EncoderError(
                f"the fake encoder cannot run on {wanted.device} in {wanted.precision}",
                hint="leave encoder.device and encoder.precision at auto",
            )

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (n, 512): 48 mean colours, then a hash of the pixels, for uint8 (n, 64, 64, 3)."""
        check_pixels(pixels, self.preprocess)
        cell = self.preprocess.size // _GRID
        means = pixels.reshape(-1, _GRID, cell, _GRID, cell, 3).mean(axis=(2, 4), dtype=np.float32)
        embeddings = np.empty((len(pixels), self.dim), np.float32)
        embeddings[:, :_COLOURS] = means.reshape(-1, _COLOURS) / 127.5 - 1
        for row, image in enumerate(pixels):
            embeddings[row, _COLOURS:] = 0.1 * _hashed(image.tobytes(), self.dim - _COLOURS)
        return embeddings

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, 512): the sum of a hash of each word, divided by the root of their number."""
        embeddings = np.empty((len(titles), self.dim), np.float32)
        for row, title in enumerate(titles):
            words = title.casefold().split()[:_LONGEST_TITLE] or [""]
            vectors = [_hashed(word.encode("utf-8", "surrogatepass"), self.dim) for word in words]
            embeddings[row] = np.sum(vectors, axis=0) / np.sqrt(len(words))
        return embeddings

    def cuts_title(self, title: str) -> bool:
        """Return whether a title has more words than are seen."""
        return len(title.split()) > _LONGEST_TITLE


def _hashed(data: bytes, length: int) -> NDArray[np.float32]:
    """Return `length` values from -1 to 1 that depend on every byte of `data`."""
    short = hashlib.blake2b(data).digest()  # far faster than SHAKE over a whole image
    values = np.frombuffer(hashlib.shake_128(short).digest(length), np.uint8)
    return values.astype(np.float32) / 127.5 - 1
