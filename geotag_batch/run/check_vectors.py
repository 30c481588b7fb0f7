"""Are vectors from elsewhere what the configured encoder makes? A few of their photos are encoded and compared."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.duck import Connection, fetch_arrow
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import EncoderError, PhotoFailure
from geotag_batch.read.loader import ImageLoader
from geotag_batch.read.process import warm_up
from geotag_batch.read.sources import ImageSource, image_reference, open_source
from geotag_batch.read.stored import Vectors
from geotag_batch.read.vector_spool import VectorSpool, read_spooled
from geotag_batch.run.canary import Canary
from geotag_batch.run.capacity import decoding_workers
from geotag_batch.run.imported_rows import IMPORTED, NewVectors
from geotag_batch.run.settle import load_settled
from geotag_batch.workspace import Workspace

__all__ = ["check_vectors", "checking_encoder"]

_RANGES, _ROWS = 4, 64  # ranges of the spool looked into, and photos of each: for the mean, and to choose from
_ENCODED = 8  # images, and as many titles


def checking_encoder(workspace: Workspace, config: Config, encoder_id: str | None) -> Encoder:
    """Return the configured encoder.

    Raises EncoderError if it is not the one that was named, and as run/settle.py.
    """
    encoder = load_settled(workspace, config, None)
    if encoder_id not in (None, encoder.encoder_id):
        raise EncoderError(
            f"--encoder names {encoder_id}, [encoder] in geotag.toml gives {encoder.encoder_id}",
            hint="configure the encoder that made the vectors, or leave out --check",
        )
    return encoder


def check_vectors(
    workspace: Workspace, config: Config, connection: Connection, spool: VectorSpool, encoder: Encoder
) -> str:
    """Encode some images and titles of the spool, compare as run/canary.py does, and return in words what was found.

    `connection` has the relation `catalogue`. Only titles that are the catalogue's still, and images that can be had,
    are encoded. Raises EncoderError if there are none, or `encoder` does not make what came in.
    """
    canary = _choose(config, connection, spool, open_source(config.images, workspace.root))
    if not (canary.title_rows or canary.image_rows):
        raise EncoderError(
            "the vectors cannot be checked: of some photos no title is the catalogue's still, and no image can be had",
            hint="set images.root, or leave out --check and name the encoder",
        )
    if canary.image_rows:
        warm_up()
    try:
        with ImageLoader(
            config.images, workspace.root, encoder.preprocess, decoding_workers(config.run, encoder.device)
        ) as loader:
            return canary.check(encoder, loader.load)
    except EncoderError as error:
        raise EncoderError(
            f"the vectors are not of encoder {encoder.encoder_id}: {error.message}",
            hint="name the encoder that made them; vectors of two encoders are never mixed",
        ) from error


def _choose(config: Config, connection: Connection, spool: VectorSpool, source: ImageSource) -> Canary:
    """Return photos spread over the spool, and which of their titles and images are to be encoded."""
    ranges = list(spool.ranges())
    parts = [read_spooled(path) for _, _, path in ranges[:: -(-len(ranges) // _RANGES)]]
    ids = np.concatenate([np.unique(part["gridimage_id"].to_numpy())[:_ROWS] for part in parts])
    arriving = pa.concat_tables(parts)
    image, title = (NewVectors.of(arriving.filter(_among(arriving, ids)), ids, kind) for kind in (False, True))
    today = fetch_arrow(connection, "plan", "canary", {"ids": ids.tolist()})
    known = {row["gridimage_id"]: row for row in today.to_pylist()}
    titles = [known[photo]["title"] for photo in ids.tolist()]
    same_title = [
        row
        for row, photo in enumerate(ids.tolist())
        if title.has[row] and title.texts[row] in (None, known[photo]["title_hash"])
    ]
    references = [image_reference(config.images, photo, known[photo]["image"]) for photo in ids.tolist()]
    signatures: list[str | None] = [None] * len(ids)
    image_rows: list[int] = []
    for row in np.flatnonzero(image.has).tolist():
        if len(image_rows) < _ENCODED:
            signatures[row] = _signature(source, references[row])
            image_rows += [row] if signatures[row] is not None else []
    described = pa.table(
        {
            "gridimage_id": ids,
            "file": pa.nulls(len(ids), pa.string()),
            "precision": pa.array([text or IMPORTED for text in image.precision], pa.string()),
            "image_signature": pa.array(signatures, pa.string()),
        }
    )
    vectors = Vectors(image.vectors, title.vectors, image.has, title.has)
    return Canary(described, titles, references, vectors, image_rows, same_title[:_ENCODED])


def _among(arriving: pa.Table, ids: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.isin(arriving["gridimage_id"].to_numpy(), ids))


def _signature(source: ImageSource, reference: str | None) -> str | None:
    try:
        return None if reference is None else source.signature(reference)
    except PhotoFailure:
        return None
