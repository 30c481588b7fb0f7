"""Committing one chunk: embeddings, then failures, then predictions, each one file and one rename.

A crash between two of them costs at most repeating the cheap part: embeddings without predictions are scored by the
next run, failures without predictions stand as they are. A prediction is never there without its embedding.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from geotag_batch.atomic import publish
from geotag_batch.errors import StorageError
from geotag_batch.fingerprint import file_metadata
from geotag_batch.parquet import open_parquet, read_parquet_schema
from geotag_batch.schema import CURRENT_VERSION, check_table, load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.sums import add_sums, file_sha256

__all__ = [
    "ChunkName",
    "ChunkTables",
    "chunk_files",
    "commit_chunk",
    "publish_parquet",
    "read_file_metadata",
    "read_row_groups",
    "rewrite_without",
    "stored_weights",
    "write_row_groups",
    "write_table",
]


@dataclass(frozen=True, slots=True)
class ChunkName:
    """What names a chunk's files and goes into their metadata."""

    run_id: str
    number: int
    encoder_id: str | None
    head_id: str | None
    policy_id: str | None
    weights_sha256: str | None


@dataclass(frozen=True, slots=True)
class ChunkTables:
    """What one chunk commits; a table without rows makes no file. `dim` is the length of an embedding."""

    embeddings: pa.Table
    failures: pa.Table
    predictions: pa.Table
    dim: int


def chunk_files(workspace: Workspace, name: ChunkName) -> list[Path]:
    """Return the final names of a chunk's files, in the order in which they are committed."""
    finals = [workspace.failures_file(name.run_id, name.number)]
    if name.encoder_id is not None:
        finals.insert(0, workspace.embeddings_file(name.encoder_id, name.run_id, name.number))
    if name.head_id is not None:
        finals.append(workspace.predictions_file(name.head_id, name.run_id, name.number))
    return finals


def commit_chunk(workspace: Workspace, name: ChunkName, tables: ChunkTables) -> None:
    """Publish the chunk's files in the order that makes a crash harmless.

    Raises StorageError if the disk refuses; what was published before stays valid.
    """
    staging = workspace.staging / name.run_id
    written: list[tuple[Path, str]] = []
    if tables.embeddings.num_rows:
        if name.encoder_id is None:
            raise ValueError("embeddings without an encoder_id")
        final = workspace.embeddings_file(name.encoder_id, name.run_id, name.number)
        digest = write_table(tables.embeddings, "embeddings", name, final, staging, dim=tables.dim)
        written.append((final, digest))
    if tables.failures.num_rows:
        final = workspace.failures_file(name.run_id, name.number)
        written.append((final, write_table(tables.failures, "failures", name, final, staging)))
    if tables.predictions.num_rows:
        if name.head_id is None:
            raise ValueError("predictions without a head_id")
        final = workspace.predictions_file(name.head_id, name.run_id, name.number)
        written.append((final, write_table(tables.predictions, "predictions", name, final, staging)))
    if written:
        add_sums(workspace, written[0][0].stem, written)


def write_table(table: pa.Table, dataset: str, name: ChunkName, final: Path, staging: Path, *, dim: int = 512) -> str:
    """Check `table` against its schema and publish it as zstd Parquet with page checksums and fingerprints.

    Returns the SHA-256 of the file as it was written.
    """
    metadata = file_metadata(
        dataset,
        CURRENT_VERSION[dataset],
        name.run_id,
        encoder_id=name.encoder_id,
        head_id=name.head_id if dataset != "embeddings" else None,
        policy_id=name.policy_id if dataset == "predictions" else None,
        weights_sha256=name.weights_sha256 if dataset == "embeddings" else None,
    )
    check_table(table, load_schema(dataset).arrow(dim), str(final))
    return publish_parquet(table, metadata, final, staging)


def publish_parquet(table: pa.Table, metadata: dict[bytes, bytes], final: Path, staging: Path) -> str:
    """Publish `table` as zstd Parquet with page checksums and that metadata; return the file's SHA-256."""
    digests: list[str] = []

    def write(staged: Path) -> None:
        _write_parquet(table.replace_schema_metadata(metadata), staged)
        digests.append(_sha256(staged))

    publish(write, final, staging)
    return digests[0]


def rewrite_without(workspace: Workspace, path: Path, ids: Collection[int]) -> None:
    """Replace a committed file by one without the rows of `ids`, its metadata kept. Raises StorageError."""
    going = pa.array(ids, pa.int64())

    def left() -> Iterator[pa.Table]:
        for table in read_row_groups(path):
            yield table.filter(pc.invert(pc.is_in(table["gridimage_id"], value_set=going)))

    def write(staged: Path) -> None:
        write_row_groups(left(), _schema(path), staged)
        add_sums(workspace, path.stem, [(path, _sha256(staged))])  # before it replaces the file, not after

    publish(write, path, workspace.staging, replace=True)


def read_row_groups(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a committed file's row groups, which are small enough for memory. Raises StorageError naming the file."""
    try:
        with open_parquet(path) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error


def write_row_groups(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> int:
    """Write `tables` as the row groups of one file of `schema`, which has the metadata, and return how many rows."""
    rows = 0
    with pq.ParquetWriter(path, schema, **_parquet_options(schema)) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            rows += table.num_rows
    _check_rows(path, rows)
    return rows


def _write_parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, **_parquet_options(table.schema), row_group_size=1 << 20)
    _check_rows(path, table.num_rows)


def _check_rows(path: Path, rows: int) -> None:
    written = pq.ParquetFile(path).metadata.num_rows
    if written != rows:
        raise StorageError(f"{path}: {written} rows were written instead of {rows}")


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    return {
        "compression": "zstd",
        "compression_level": 1,  # vectors hardly compress; higher levels only cost time
        "use_dictionary": _dictionary_columns(schema),
        "write_page_checksum": True,
    }


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error


def _dictionary_columns(schema: pa.Schema) -> list[str]:
    repetitive = ("run_id", "policy_id", "precision", "top_tag", "encoder_id", "head", "stage", "error_class")
    return [name for name in schema.names if name in repetitive] + ["tags.list.element"]


def read_file_metadata(path: Path) -> Mapping[str, str]:
    """Return the ``geotag.`` metadata of a committed file, without the prefix. Raises StorageError if unreadable."""
    raw = _schema(path).metadata or {}
    return {key.decode().removeprefix("geotag."): value.decode() for key, value in raw.items() if b"geotag." in key}


def _schema(path: Path) -> pa.Schema:
    try:
        return read_parquet_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error


def stored_weights(workspace: Workspace, encoder_id: str) -> str | None:
    """Return the weights_sha256 that made the newest stored embeddings of an encoder; None if there are none.

    Embeddings that were imported do not say it, so those before them are asked.
    """
    files = sorted((workspace.embeddings / f"encoder={encoder_id}").glob("[0-9]*Z-*.parquet"), reverse=True)
    stated = (read_file_metadata(path).get("weights_sha256") for path in files)
    return next((weights for weights in stated if weights is not None), None)
