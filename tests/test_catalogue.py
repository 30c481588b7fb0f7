"""The catalogue's files while they are read."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.catalogue import catalogue_relation, steady_catalogue
from geotag_batch.config import Config
from geotag_batch.errors import CatalogueError
from geotag_batch.workspace import Workspace
from tests.builders import write_catalogue
from tests.corpus.mixed import unchecked_text


def read(path: Path, **columns: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401
    pq.write_table(pa.table({"gridimage_id": [1]} | columns), path)
    wanted = ", ".join(columns)
    return duckdb.execute(f"SELECT {wanted} FROM {catalogue_relation([str(path)], Config())}").fetchall()


def test_bytes_that_are_no_utf8_become_question_marks(tmp_path: Path) -> None:
    assert read(tmp_path / "a.parquet", title=unchecked_text([b"caf\xe9"])) == [("caf?",)]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_with_a_zone_become_utc_wherever_they_are_read(unit: str, tmp_path: Path) -> None:
    times = pa.array([datetime(2026, 7, 1, 11)], pa.timestamp(unit, "Europe/London"))
    duckdb.sql("SET TimeZone = 'Asia/Tokyo'")
    try:
        assert read(tmp_path / "a.parquet", updated_at=times) == [(datetime(2026, 7, 1, 11),)]
    finally:
        duckdb.sql("RESET TimeZone")


def test_a_file_that_changes_while_it_is_read_is_named(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    with steady_catalogue(workspace, Config()):
        pass
    changed = pytest.raises(CatalogueError, match=r"photos\.parquet: was changed while it was read")
    with changed, steady_catalogue(workspace, Config()):
        write_catalogue(workspace, [{"gridimage_id": 1}, {"gridimage_id": 2}])
    gone = pytest.raises(CatalogueError, match=r"photos\.parquet: cannot be read: No such file")
    with gone, steady_catalogue(workspace, Config()):
        os.unlink(workspace.root / "photos" / "photos.parquet")


def test_an_error_that_is_not_the_catalogues_stays_what_it_was(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    with pytest.raises(duckdb.BinderException), steady_catalogue(workspace, Config()):
        duckdb.sql("SELECT nothing FROM (SELECT 1 AS a)")
