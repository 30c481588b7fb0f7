"""Stored embeddings to a file that `geotag embeddings import`, here or elsewhere, takes."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.duck import connect, storage_trouble
from geotag_batch.errors import UsageError
from geotag_batch.predict.head import current_head_info
from geotag_batch.run.stored_range import StoredRange, StoredRanges
from geotag_batch.run.tables import vector_column
from geotag_batch.run.vector_encoder import known_length, named_encoder, require_embeddings
from geotag_batch.workspace import Workspace
from geotag_batch.write.table_file import TableSink, destination, write_tables

__all__ = ["ExportedVectors", "export_embeddings"]

_PHOTOS = 4096


@dataclass(slots=True)
class ExportedVectors:
    """How much an export wrote, and of which encoder."""

    encoder_id: str
    photos: int = 0
    images: int = 0
    titles: int = 0


def export_embeddings(
    workspace: Workspace, config: Config, out: str, format_: str | None = None, encoder: str | None = None
) -> ExportedVectors:
    """Write the newest embedding of each photo by `encoder` (openai, head, an encoder_id) to `out`, in order of ids.

    `out` ends in .jsonl, .jsonl.gz or .parquet unless `format_` says which; "-" is standard output. Without `encoder`
    it is the only one that there is, or that of the head in use. What is committed meanwhile may be in it or not.
    Raises UsageError, InputError if nothing is stored at all, HeadError, StorageError.
    """
    place = destination(out, format_, ("jsonl", "parquet"))
    encoder_id = _chosen_encoder(workspace, config, encoder)
    dim = known_length(workspace, encoder_id)
    assert dim is not None, "something is stored of it"
    done = ExportedVectors(encoder_id)
    as_rows = _vector_lines if place.format == "jsonl" else _photo_rows
    with (
        storage_trouble(workspace.root),
        connect(memory_limit=config.run.memory_limit, spill=workspace.cache) as opened,
    ):
        stored = StoredRanges(opened, workspace, encoder_id, dim)

        def write(sink: TableSink) -> None:
            for part in stored.ranges(_PHOTOS):
                done.photos += len(part.ids)
                done.images += int(part.vectors.has_image.sum())
                done.titles += int(part.vectors.has_title.sum())
                as_rows(part, encoder_id, sink)

        write_tables(place, _schema(dim), write)
    return done


def _chosen_encoder(workspace: Workspace, config: Config, encoder: str | None) -> str:
    stored = require_embeddings(workspace)
    if encoder is None and len(stored) == 1:
        return stored[0]
    if encoder is None and config.head.current is not None:
        encoder = "head"
    wanted = current_head_info(workspace, config).encoder_id if encoder == "head" else encoder
    if wanted is not None and wanted not in stored:
        wanted = named_encoder(workspace, config, wanted)
    if wanted not in stored:
        names = ", ".join(stored)
        raise UsageError(
            f"nothing is stored of encoder {wanted}"
            if wanted
            else "it is not said which encoder's embeddings to export",
            hint=f"name one with --encoder; embeddings are stored of: {names}",
        )
    return wanted


def _schema(dim: int) -> pa.Schema:
    vector, text = pa.list_(pa.float32(), dim), pa.string()
    return pa.schema(
        [
            pa.field("gridimage_id", pa.int64(), nullable=False),
            ("image_embedding", vector),
            ("title_embedding", vector),
            ("title_hash", text),
            ("image_signature", text),
            ("precision", text),
            ("encoder_id", text),
        ]
    )


def _photo_rows(part: StoredRange, encoder_id: str, sink: TableSink) -> None:
    vectors, facts = part.vectors, part.facts
    columns = {
        "gridimage_id": pa.array(part.ids),
        "image_embedding": vector_column(vectors.image.astype(np.float32), vectors.has_image),
        "title_embedding": vector_column(vectors.title.astype(np.float32), vectors.has_title),
        **{name: facts[name] for name in ("title_hash", "image_signature", "precision")},
        "encoder_id": pa.repeat(pa.scalar(encoder_id), len(part.ids)),
    }
    sink.write(pa.table(columns, schema=_schema(vectors.image.shape[1])))


def _vector_lines(part: StoredRange, encoder_id: str, sink: TableSink) -> None:
    """Write a part's images, then its titles."""
    vectors = part.vectors
    for kind, values, has, fact in (
        ("image", vectors.image, vectors.has_image, "image_signature"),
        ("title", vectors.title, vectors.has_title, "title_hash"),
    ):
        rows = np.flatnonzero(has)
        columns = {
            "gridimage_id": pa.array(part.ids[rows]),
            "type": pa.repeat(pa.scalar(kind), len(rows)),
            "embedding": _bytes(values[rows]),
            fact: part.facts[fact].take(pa.array(rows)),
            "precision": part.facts["precision"].take(pa.array(rows)),
            "encoder_id": pa.repeat(pa.scalar(encoder_id), len(rows)),
        }
        sink.write(pa.table(columns))


def _bytes(vectors: NDArray[np.float16]) -> pa.FixedSizeBinaryArray:
    wide = np.ascontiguousarray(vectors, "<f4")
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(4 * vectors.shape[1]), len(vectors), [None, pa.py_buffer(wide)]
    )
