"""Which encoder vectors from elsewhere are of, how long they are, and whether they agree with what is stored."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.errors import EncoderError, HeadError, InputError, UsageError
from geotag_batch.predict.head import current_head_info, list_heads
from geotag_batch.read.stored import vector_length
from geotag_batch.read.vector_spool import VectorSpool, read_spooled
from geotag_batch.run.canary import LEAST_SPREAD, REFUSED
from geotag_batch.run.stored_range import StoredRanges
from geotag_batch.workspace import Workspace

__all__ = ["known_length", "named_encoder", "refuse_other_encoder", "require_embeddings"]

_OPENAI_DIM = 512
_COMPARED = 64  # photos; of one encoder some may differ, for their images have changed since


def named_encoder(workspace: Workspace, config: Config, name: str) -> str:
    """Return the encoder_id that `name` means: openai, head (that of the head in use), or one that is known here.

    Raises UsageError for any other: a slip of the pen would put a whole archive under an encoder that no head takes.
    """
    if name == "openai":
        return OPENAI_ENCODER_ID
    if name == "head":
        return current_head_info(workspace, config).encoder_id
    known = sorted({*workspace.encoders(), *_head_lengths(workspace), OPENAI_ENCODER_ID})
    if name not in known:
        raise UsageError(
            f"no head takes the encoder {name}, and nothing is stored of it",
            hint=f"import the head first, or name one of: openai, head, {', '.join(known)}",
        )
    return name


def require_embeddings(workspace: Workspace) -> list[str]:
    """Return the encoders that embeddings are stored of. Raises InputError if there are none."""
    stored = list(workspace.encoders())
    if not stored:
        raise InputError(
            f"nothing is embedded in {workspace.root}",
            hint="run `geotag backfill`, `geotag embed` or `geotag embeddings import` first",
        )
    return stored


def known_length(workspace: Workspace, encoder_id: str) -> int | None:
    """Return the length of an encoder's vectors, as stored ones or heads have it; None if nobody knows it.

    Raises StorageError if a stored file cannot be read.
    """
    path = workspace.encoders().get(encoder_id)
    if path is not None:
        return vector_length(path)
    if encoder_id == OPENAI_ENCODER_ID:
        return _OPENAI_DIM
    return _head_lengths(workspace).get(encoder_id)


def _head_lengths(workspace: Workspace) -> dict[str, int]:
    try:
        return {head.encoder_id: head.dim for head in list_heads(workspace)}
    except HeadError:  # a broken head is `verify`'s matter
        return {}


def refuse_other_encoder(
    stored: StoredRanges, spool: VectorSpool, blocks: NDArray[np.int64], bits: NDArray[np.uint64]
) -> int:
    """Compare vectors that arrive with stored ones of the same photos; return how many were compared.

    Raises EncoderError if most are as far from each other as other weights make them: they are of two encoders,
    whatever their names say. The measure is that of run/canary.py.
    """
    wanted = stored.already(blocks, bits, _COMPARED)
    distances: list[float] = []
    for first, last, path in _ranges_of(spool, wanted):
        arriving = read_spooled(path)
        old = stored.read(first, last)
        for is_title, vectors, has in (
            (False, old.vectors.image, old.vectors.has_image),
            (True, old.vectors.title, old.vectors.has_title),
        ):
            part = arriving.filter(pc.equal(arriving["is_title"], is_title))
            ids = part["gridimage_id"].to_numpy()
            new = _matrix(part)
            both = np.flatnonzero(np.isin(ids, old.ids[has]))[:_COMPARED]
            if len(both):
                before = vectors[np.searchsorted(old.ids, ids[both])].astype(np.float64)
                away = np.linalg.norm(new[both] - before, axis=1)
                spread = np.linalg.norm(before - new.mean(axis=0), axis=1)
                spread = np.maximum(spread, LEAST_SPREAD * np.linalg.norm(before, axis=1))
                distances += (away / np.maximum(spread, 1e-12)).tolist()
        if len(distances) >= _COMPARED:
            break
    if distances and float(np.median(distances)) > 2 * REFUSED:
        raise EncoderError(
            f"the vectors are not of the encoder that made the stored ones: of {len(distances)} of the same photos, "
            f"half are more than {float(np.median(distances)):.2g} away, where other weights begin at {REFUSED:g}",
            hint="name the encoder that made them; vectors of two encoders are never mixed",
        )
    return len(distances)


def _ranges_of(spool: VectorSpool, ids: list[int]) -> Iterator[tuple[int, int, Path]]:
    for first, last, path in spool.ranges():
        if any(first <= photo <= last for photo in ids):
            yield first, last, path


def _matrix(part: pa.Table) -> NDArray[np.float64]:
    dim = part.schema.field("vector").type.list_size
    flat = part["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float64] = flat.reshape(-1, dim).astype(np.float64)
    return matrix
