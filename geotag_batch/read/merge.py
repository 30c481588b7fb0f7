"""Staged tables to catalogue rows: joined in DuckDB within its memory limit, located, written in order of ids."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.duck import Connection, escape_glob, quote_literal, sql_text
from geotag_batch.read.archives import Archive
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.schema import load_schema
from geotag_batch.taxonomy import tag_names

__all__ = ["CatalogueTotals", "StagedPhotos"]

_ROW_GROUP = 122_880
"""Rows: DuckDB's own, in which it also hands out what it has sorted."""


@dataclass(slots=True)
class CatalogueTotals:
    """What was written."""

    photos: int = 0
    tagged: int = 0
    untitled: int = 0
    unlocated: int = 0
    bad_grid_references: int = 0


class StagedPhotos:
    """The photos of the staged tables, as DuckDB sees them."""

    def __init__(self, connection: Connection, archive: Archive, staged: Mapping[str, Path]) -> None:
        """Collect the ids of all photos in `staged`, the Parquet file of each staged table by name."""
        self._connection = connection
        self._relations = {
            name: f"(SELECT * FROM read_parquet({quote_literal(escape_glob(str(path)))}))"
            for name, path in staged.items()
        }
        text = sql_text("ingest", "photo_ids", self._relations)
        connection.execute(text, {"labels_list_photos": archive.labels_list_photos})

    def count(self) -> int:
        """Return the number of photos."""
        return self._numbers("SELECT count(*) FROM photo_ids")[0]

    def unmatched(self) -> tuple[int, int]:
        """Return how many staged locations and labels belong to no photo."""
        locations, labels = self._numbers(sql_text("ingest", "unmatched", self._relations))
        return locations, labels

    def overlap(self, others: str) -> tuple[int, int | None]:
        """Return how many photos the relation `others` has already, and the smallest id of them."""
        photos, first = self._numbers(sql_text("ingest", "overlap", {"others": others}))
        return photos, first

    def write_catalogue(self, path: Path, *, labels_complete: bool, metadata: Mapping[bytes, bytes]) -> CatalogueTotals:
        """Write the photos to `path` in the schema of schemas/photos.v1.json, sorted by id, and return the totals.

        With `labels_complete` a photo without labels has no tags, else they are not known (null).
        """
        totals = CatalogueTotals()
        schema = load_schema("photos").arrow().with_metadata(dict(metadata))
        rows = self._connection.sql(
            sql_text("ingest", "catalogue", self._relations),
            params={"labels_complete": labels_complete},
        )
        with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
            for batch in rows.to_arrow_reader(_ROW_GROUP):
                writer.write_table(_catalogue_table(batch, schema, totals), row_group_size=_ROW_GROUP)
        return totals

    def _numbers(self, text: str) -> tuple[int, ...]:
        (row,) = self._connection.execute(text).fetchall()
        return tuple(row)


def _catalogue_table(batch: pa.RecordBatch, schema: pa.Schema, totals: CatalogueTotals) -> pa.Table:
    columns = {name: batch.column(name) for name in batch.schema.names}
    located = _locations(batch, totals)
    for position, name in enumerate(("wgs84_lat", "wgs84_long")):
        columns[name] = pa.array(located[:, position], mask=np.isnan(located[:, position]))
    columns["tags"] = _tag_lists(batch.column("tag_bits"))
    totals.photos += len(batch)
    totals.tagged += int(np.count_nonzero(columns["tags"].value_lengths().fill_null(0)))
    totals.untitled += columns["title"].null_count
    totals.unlocated += int(np.isnan(located[:, 0]).sum())
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _tag_lists(bits: pa.Array) -> pa.Array:
    """Return list<string> of the tags whose bit is set, in ascending tag_id; null stays null."""
    hot = bits.fill_null(0).to_numpy()[:, None] >> np.arange(len(tag_names())) & 1
    offsets = np.concatenate([[0], np.cumsum(hot.sum(axis=1))])
    names = pa.array(tag_names()).take(pa.array(np.nonzero(hot)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names, mask=bits.is_null())


def _locations(batch: pa.RecordBatch, totals: CatalogueTotals) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return latitude and longitude (n, 2): the dump's own, else the grid reference's centre, else NaN.

    (0, 0) is how the site's database says unknown.
    """
    own = np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in ("wgs84_lat", "wgs84_long")])
    own = own.astype(np.float64)
    own[np.isnan(own).any(axis=1) | (own == 0).all(axis=1)] = np.nan
    references = batch.column("grid_reference").dictionary_encode()
    centres = np.vstack([wgs84_centres(references.dictionary.to_pylist()), [[np.nan, np.nan]]])
    centre = centres[references.indices.fill_null(len(centres) - 1).to_numpy()]
    given = references.is_valid().to_numpy(zero_copy_only=False)
    totals.bad_grid_references += int((np.isnan(centre[:, 0]) & given).sum())
    return np.where(np.isnan(own), centre, own)
