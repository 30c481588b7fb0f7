"""Vectors on their way in: n of them with their photo and kind, each with the line it stood on."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5

import numpy as np
from numpy.typing import NDArray

from geotag_batch.errors import InputError
from geotag_batch.fingerprint import safe_name

__all__ = [
    "REFUSED_HASH",
    "REFUSED_ID",
    "REFUSED_TYPE",
    "Expected",
    "Refuse",
    "VectorBatch",
    "Vectors",
    "Vectors32",
    "hash_of_title",
    "is_title_hash",
]

REFUSED_ID = "gridimage_id is not a positive whole number"
REFUSED_TYPE = "type is neither image nor title"
REFUSED_HASH = "title_hash is no MD5 in hex"

Refuse = Callable[[int, str, bytes], None]
"""Called with the number of a line, the reason why it is not taken, and its text."""

Vectors32 = NDArray[np.float32]
Vectors = NDArray[np.float32] | NDArray[np.float16]


def hash_of_title(title: str) -> str:
    """Return the hash that stands for a title wherever one is compared, as sql/exchange/titles.sql makes it."""
    return md5(title.encode(), usedforsecurity=False).hexdigest()


def is_title_hash(text: str) -> bool:
    """Return whether `text` is such a hash."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None


class Expected:
    """What a file's vectors must be: of one encoder, and of one length."""

    def __init__(self, encoder_id: str | None, length_of: Callable[[str], int | None]) -> None:
        """Expect vectors of `encoder_id`; None stands for the encoder that the first line states.

        `length_of` an encoder_id is the length of its vectors, if that is known; else that of the first vector counts.
        """
        self.encoder_id: str | None = None
        self.dim: int | None = None
        self._length_of = length_of
        if encoder_id is not None:
            self._settle(encoder_id)

    def length(self, found: int) -> int:
        """Return the length that vectors must have, now that one of length `found` is there."""
        if self.dim is None and found > 0:
            self.dim = found
        return self.dim or 0

    def same_encoder(self, stated: object) -> bool:
        """Return whether a line that states an encoder (None: it states none) may be taken.

        Raises InputError if nobody has said which encoder the vectors are of.
        """
        if self.encoder_id is None:
            if not isinstance(stated, str) or not stated or safe_name(stated) != stated:
                raise InputError(
                    "the file does not say which encoder its vectors are of",
                    hint="name it with --encoder: openai, head (that of the head in use) or an encoder_id; "
                    "vectors of two encoders are never mixed",
                )
            self._settle(stated)
        return stated is None or stated == self.encoder_id

    def _settle(self, encoder_id: str) -> None:
        self.encoder_id = encoder_id
        self.dim = self._length_of(encoder_id)


@dataclass(slots=True)
class VectorBatch:
    """n vectors: line numbers and ids int64 (n,), whether a title's bool (n,), vectors float32, or
    as they are stored float16, (n, dim).

    `title_hashes`, `signatures` and `precisions` are None where the file does not say; `texts` are what to show of the
    line if it is refused.
    """

    numbers: NDArray[np.int64]
    ids: NDArray[np.int64]
    is_title: NDArray[np.bool_]
    vectors: Vectors
    title_hashes: list[str | None]
    signatures: list[str | None]
    precisions: list[str | None]
    texts: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.ids)

    def keep(self, wanted: NDArray[np.bool_]) -> "VectorBatch":
        """Return the batch without the rows that `wanted` (n,) does not mark."""
        if wanted.all():
            return self
        rows = np.flatnonzero(wanted)

        def some(values: list[str | None]) -> list[str | None]:
            return [values[row] for row in rows]

        return VectorBatch(
            self.numbers[rows],
            self.ids[rows],
            self.is_title[rows],
            self.vectors[rows],
            some(self.title_hashes),
            some(self.signatures),
            some(self.precisions),
            [self.texts[row] for row in rows],
        )
