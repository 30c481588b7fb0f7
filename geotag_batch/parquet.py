"""Opening a committed Parquet file wherever it is."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.locations import StorePath

__all__ = ["open_parquet", "read_parquet_schema"]


def open_parquet(path: Path) -> pq.ParquetFile:
    """Return a Parquet file whose page checksums are compared as it is read. Raises what pyarrow raises, StoreError."""
    if isinstance(path, StorePath):
        from geotag_batch.store_files import open_stored_parquet  # noqa: PLC0415  nothing that a folder needs

        return open_stored_parquet(path)
    return pq.ParquetFile(path, page_checksum_verification=True)


def read_parquet_schema(path: Path) -> pa.Schema:
    """Return a Parquet file's schema with its metadata. Raises what pyarrow raises, StoreError."""
    if isinstance(path, StorePath):
        from geotag_batch.store_files import stored_schema  # noqa: PLC0415

        return stored_schema(path)
    return pq.read_schema(path)
