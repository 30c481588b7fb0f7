"""Staged tables to the catalogue file, at a size that does not fit into memory."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.duck import connect
from geotag_batch.read.archives import ARCHIVES, STAGED
from geotag_batch.read.merge import StagedPhotos

COUNT = 1_000_000


@pytest.mark.slow
def test_more_than_fits_in_memory_is_joined_and_sorted_through_the_spill_folder(tmp_path: Path) -> None:
    numbers = np.arange(COUNT)
    shuffled = numbers * 7919 % 1_000_003 + 1
    titles = pa.array([f"{number:0100d}" for number in shuffled])
    nothing = [pa.nulls(COUNT, STAGED["photos"].field(name).type) for name in STAGED["photos"].names[2:]]
    tables = {
        "photos": pa.Table.from_arrays([pa.array(shuffled), titles, *nothing], schema=STAGED["photos"]),
        "locations": pa.table([shuffled[::-1], shuffled[::-1] / 2e4, shuffled[::-1] / 1e4], STAGED["locations"]),
        "labels": pa.table([shuffled[::2], shuffled[::2] % 2**20], STAGED["labels"]),
        "listed": STAGED["listed"].empty_table(),
    }
    for name, table in tables.items():
        pq.write_table(table, tmp_path / name)
    assert sum(table.nbytes for table in tables.values()) > 150_000_000
    with connect(memory_limit="130MB", spill=tmp_path / "spill", threads=2) as connection:
        staged = StagedPhotos(connection, ARCHIVES["geograph"], {name: tmp_path / name for name in STAGED})
        totals = staged.write_catalogue(tmp_path / "photos.parquet", labels_complete=True, metadata={})
    assert (totals.photos, totals.tagged) == (COUNT, COUNT // 2)
    with duckdb.connect() as check:
        check.execute(f"CREATE VIEW photos AS FROM '{tmp_path}/photos.parquet'")
        assert check.execute(
            "SELECT count(*), count(DISTINCT gridimage_id) FROM photos WHERE title = format('{:0100d}', gridimage_id)"
            " AND wgs84_lat = gridimage_id / 2e4 AND wgs84_long = gridimage_id / 1e4"
        ).fetchone() == (COUNT, COUNT)
    file = pq.ParquetFile(tmp_path / "photos.parquet")
    ids = file.read(columns=["gridimage_id"]).column(0).to_numpy()
    assert (ids[1:] > ids[:-1]).all()
    assert file.metadata.row_group(0).num_rows == 122_880
