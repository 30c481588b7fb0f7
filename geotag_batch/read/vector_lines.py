"""JSON lines of vectors, plain or .gz, to batches; a line that cannot be used is refused with its reason.

A line is ``{"gridimage_id": 1, "type": "image", "embedding": "<base64>"}``, or one photo with ``image_embedding`` and
``title_embedding``. A vector is base64 of float32, little endian, or a list of numbers. docs/exchange.md has the rest.

Each line is parsed by itself: json.loads and binascii together take some six microseconds for 512 numbers, less than
pyarrow's reader of JSON, and a bad line then costs nothing but itself.
"""

import binascii
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geotag_batch.read.dumps import LONGEST_LINE, read_lines
from geotag_batch.read.vector_batch import (
    REFUSED_HASH,
    REFUSED_ID,
    REFUSED_TYPE,
    Expected,
    Refuse,
    VectorBatch,
    hash_of_title,
    is_title_hash,
)

__all__ = ["read_vector_lines"]

_BATCH = 8192  # vectors; their lines take 22 MB at 512 numbers
_KINDS = {"image": False, "title": True}


class _Refused(Exception):
    """Why a line is not taken."""


def read_vector_lines(path: Path, expected: Expected, refuse: Refuse) -> Iterator[VectorBatch]:
    """Yield the vectors of `path` in order; `refuse` is told of every line that cannot be used, as a whole.

    Raises InputError if the file cannot be read to its end, or nobody says which encoder its vectors are of.
    """
    batch = _Batch()
    for number, line in read_lines(path):
        if not line:
            continue
        try:
            if len(line) > LONGEST_LINE:
                raise _Refused(f"longer than {LONGEST_LINE} bytes")
            for vector in _vectors(_object(line), expected):
                batch.add(number, line, vector)
        except _Refused as reason:
            refuse(number, str(reason), line)
        if len(batch.rows) >= _BATCH:
            yield batch.taken(expected)
            batch = _Batch()
    if batch.rows:
        yield batch.taken(expected)


_Vector = tuple[int, bool, bytes, str | None, str | None, str | None]
"""gridimage_id, is a title's, float32 bytes, title_hash, image_signature, precision."""


class _Batch:
    def __init__(self) -> None:
        self.rows: list[_Vector] = []
        self._numbers: list[int] = []
        self._texts: list[bytes] = []

    def add(self, number: int, line: bytes, vector: _Vector) -> None:
        self.rows.append(vector)
        self._numbers.append(number)
        self._texts.append(line)

    def taken(self, expected: Expected) -> VectorBatch:
        ids, kinds, vectors, hashes, signatures, precisions = zip(*self.rows, strict=True)
        return VectorBatch(
            np.array(self._numbers, np.int64),
            np.array(ids, np.int64),
            np.array(kinds, np.bool_),
            np.frombuffer(b"".join(vectors), "<f4").reshape(-1, expected.length(0)).astype(np.float32, copy=False),
            list(hashes),
            list(signatures),
            list(precisions),
            self._texts,
        )


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(str(line, "utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Refused("is not valid JSON") from error
    if not isinstance(found, dict):
        raise _Refused("is no JSON object")
    return found


def _vectors(found: dict[str, Any], expected: Expected) -> list[_Vector]:
    """Return the one or two vectors of a line. Raises _Refused: a line is taken whole or not at all."""
    photo = found.get("gridimage_id")
    if type(photo) is not int or not 0 < photo < 2**63:
        raise _Refused(REFUSED_ID)
    if not expected.same_encoder(found.get("encoder_id")):
        raise _Refused(f"is of another encoder than {expected.encoder_id}")
    if "type" in found or "embedding" in found:
        kind = found.get("type")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise _Refused(REFUSED_TYPE)
        given = [(_KINDS[kind], found.get("embedding"))]
    else:
        given = [(_KINDS[kind], found.get(f"{kind}_embedding")) for kind in _KINDS]
        given = [(is_title, value) for is_title, value in given if value is not None]
        if not given:
            raise _Refused("has no embedding")
    precision = _text(found, "precision")
    return [
        (
            photo,
            is_title,
            _float32(value, expected),
            _title_hash(found) if is_title else None,
            None if is_title else _text(found, "image_signature"),
            precision,
        )
        for is_title, value in given
    ]


def _float32(value: object, expected: Expected) -> bytes:
    """Return a vector's bytes as float32, little endian. Raises _Refused unless they are of the expected length."""
    if isinstance(value, str):
        try:
            data = binascii.a2b_base64(value)
        except ValueError as error:
            raise _Refused("embedding is not base64") from error
        if -(-len(data) // 3) * 4 != len(value):  # the decoder leaves out what is no base64
            raise _Refused("embedding is not base64")
    elif isinstance(value, list) and all(type(number) in (float, int) for number in value):
        try:
            with np.errstate(over="ignore"):  # becomes infinite, and is refused as that
                data = np.array(value, np.float64).astype("<f4").tobytes()
        except OverflowError as error:
            raise _Refused("embedding has a number that no float32 holds") from error
    else:
        raise _Refused("embedding is neither base64 nor a list of numbers")
    length = expected.length(len(data) // 4 if len(data) % 4 == 0 else 0)
    if len(data) != 4 * length or not length:
        raise _Refused(f"embedding has {len(data):,} bytes, should have {4 * length:,}: {length} of float32")
    return data


def _title_hash(found: dict[str, Any]) -> str | None:
    """Return the hash of the title that was embedded: as the line says it, or of the title that it holds."""
    stated = _text(found, "title_hash")
    if stated is None:
        title = _text(found, "title")
        return None if title is None else hash_of_title(title)
    if not is_title_hash(stated):
        raise _Refused(REFUSED_HASH)
    return stated


def _text(found: dict[str, Any], name: str) -> str | None:
    value: str | None = found.get(name)
    if value is not None and not isinstance(value, str):
        raise _Refused(f"{name} is no text")
    if value is not None and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell
            raise _Refused(f"{name} is no text") from error
    return value
