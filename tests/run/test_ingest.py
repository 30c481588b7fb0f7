"""Dumps to the catalogue, end to end; what was written is read back with DuckDB."""

import gzip
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import Config, PhotosConfig
from geotag_batch.errors import CatalogueError, InputError, LockedError, StorageError
from geotag_batch.run.ingest import IngestTotals, ingest
from geotag_batch.run.lock import hold_lock
from geotag_batch.schema import load_schema
from geotag_batch.taxonomy import tags
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views

METADATA = "gridimage_id,title,grid_reference\n"
LABELS = "gridimage_id," + ",".join(f"tag{tag.tag_id}" for tag in tags()) + "\n"
BASE = "gridimage_id\tuser_id\trealname\ttitle\tgrid_reference\timagetaken\tmoderation_status\n"
GEO = "gridimage_id\twgs84_lat\twgs84_long\n"
TAGS = "gridimage_id\ttag\n"


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    folder.mkdir()
    return folder


def _label(gridimage_id: int, *names: str) -> str:
    cells = ",".join(str(int(tag.tag in names)) for tag in tags())
    return f"{gridimage_id},{cells}\n"


def _base(gridimage_id: int, title: str = "A title", reference: str = "TQ0775", status: str = "geograph") -> str:
    return f"{gridimage_id}\t93\tA Name\t{title}\t{reference}\t2005-03-01\t{status}\n"


def _query(workspace: Workspace, text: str) -> list[Any]:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW photos AS FROM '{workspace.root}/photos/*.parquet'")
        return connection.execute(text).fetchall()


def _kaggle(workspace: Workspace, *paths: Path, config: Config | None = None) -> IngestTotals:
    return ingest(workspace, config or Config(), "kaggle", paths)


def _geograph(workspace: Workspace, *paths: Path, config: Config | None = None) -> IngestTotals:
    return ingest(workspace, config or Config(), "geograph", paths)


def test_kaggle_files_become_one_row_a_photo_sorted_by_id(workspace: Workspace, dumps: Path) -> None:
    (dumps / "metadata.csv").write_text(METADATA + "30,In both,TQ0775\n10,Tested &amp; titled,J3372\n40,Neither,\n")
    (dumps / "metadata-extra.csv").write_bytes(METADATA.encode() + "20,Sgùrr,NG4420\n".encode("latin-1"))
    (dumps / "train.csv").write_text(LABELS + _label(30, "Coastal", "Paths") + _label(50, "Islands"))
    (dumps / "train-extra.csv.gz").write_bytes(gzip.compress((LABELS + _label(20)).encode()))
    (dumps / "test.csv").write_text("gridimage_id\n10\n60\n")
    totals = _kaggle(workspace, dumps)
    assert _query(workspace, "SELECT gridimage_id, title, grid_reference, tags FROM photos") == [
        (10, "Tested & titled", "J3372", None),
        (20, "Sgùrr", "NG4420", []),
        (30, "In both", "TQ0775", ["Coastal", "Paths"]),
        (40, "Neither", None, None),
        (50, None, None, ["Islands"]),
        (60, None, None, None),
    ]
    assert totals.catalogue_file == workspace.root / "photos" / "kaggle.parquet"
    assert (totals.catalogue.photos, totals.catalogue.tagged, totals.catalogue.untitled) == (6, 2, 2)
    assert totals.rejected_file is None
    assert not workspace.rejected.exists()


@pytest.mark.slow
def test_the_real_competition_files_become_745316_photos(workspace: Workspace, dumps: Path, shared: Path) -> None:
    shutil.copy(shared / "metadata-sample.csv", dumps / "metadata.csv")
    totals = _kaggle(workspace, dumps, shared / "train.csv.zip", shared / "test.csv")
    assert [(file.lines, file.staged) for file in totals.files] == [(10, 10), (609_822, 609_822), (135_489, 135_489)]
    with duckdb.connect() as connection:
        labels = shared / "train.csv.zip"
        shutil.unpack_archive(labels, dumps / "unpacked")
        hot = " + ".join(f"tag{tag.tag_id}" for tag in tags())
        connection.execute(f"CREATE VIEW train AS FROM read_csv('{dumps}/unpacked/train.csv')")
        connection.execute(f"CREATE VIEW photos AS FROM '{totals.catalogue_file}'")
        assert connection.execute(
            f"SELECT count(*), count(tags), sum(len(tags)), (SELECT sum({hot}) FROM train) FROM photos"
        ).fetchone() == (745_316, 609_822, 1_125_188, 1_125_188)  # 5 of the 10 with metadata are in neither
        for tag in tags()[::12]:
            assert connection.execute(
                f"SELECT count(*) FROM photos JOIN train USING (gridimage_id) "
                f"WHERE (tag{tag.tag_id} = 1) <> list_contains(tags, $tag)",
                {"tag": tag.tag},
            ).fetchone() == (0,)
        assert connection.execute(
            "SELECT title, tags, round(wgs84_lat, 4), round(wgs84_long, 4) FROM photos WHERE gridimage_id = 6602"
        ).fetchone() == ("Heathrow Airport", ["Air transport"], 51.4683, -0.4538)
    groups = pq.ParquetFile(totals.catalogue_file).metadata
    assert {groups.row_group(number).num_rows for number in range(groups.num_row_groups - 1)} == {122_880}
    assert groups.row_group(0).column(0).compression == "ZSTD"


def test_geograph_dumps_are_joined_and_what_is_not_accepted_is_counted(workspace: Workspace, dumps: Path) -> None:
    base = (
        _base(9, "The \\tRattlebone", "ST8585") + _base(4) + _base(5, status="rejected") + _base(6, status="accepted")
    )
    (dumps / "gridimage_base.tsv.gz").write_bytes(gzip.compress((BASE + base).encode()))
    (dumps / "gridimage_geo.tsv.gz").write_bytes(gzip.compress(f"{GEO}9\t51.5\t-2.2\n5\t1\t1\n4\t0.0\t0.0\n".encode()))
    (dumps / "gridimage_tag.tsv").write_text(f"{TAGS}9\ttop:Paths\n9\tCoastal\n9\tPaths\n9\tpub\n5\tCoastal\n4\tpub\n")
    totals = _geograph(workspace, dumps)
    columns = "gridimage_id, title, round(wgs84_lat, 3), round(wgs84_long, 3), tags, user_id, realname, imagetaken"
    credit = (93, "A Name", "2005-03-01")
    assert _query(workspace, f"SELECT {columns} FROM photos") == [
        (4, "A title", 51.468, -0.454, [], *credit),
        (6, "A title", 51.468, -0.454, [], *credit),
        (9, "The \tRattlebone", 51.5, -2.2, ["Coastal", "Paths"], *credit),
    ]
    assert totals.files[0].left_out == {"moderation_status rejected": 1}
    assert totals.files[2].left_out == {"tag other than the 49": 2}
    assert totals.unmatched == {"locations": 1, "labels": 1}
    assert totals.in_catalogue


def test_without_a_tags_dump_the_tags_are_not_known_rather_than_none(workspace: Workspace, dumps: Path) -> None:
    (dumps / "gridimage_base.tsv").write_text(BASE + _base(4))
    _geograph(workspace, dumps)
    assert _query(workspace, "SELECT tags FROM photos") == [(None,)]


@pytest.mark.parametrize(
    ("reference", "latitude", "longitude"),
    [
        ("TQ0775", 51.4683, -0.4538),
        ("TQ 075 755", 51.4687, -0.4531),
        ("tq07507550", 51.4683, -0.4538),
        ("J3372", 54.5831, -5.9359),
        ("TQ07", 51.4638, -0.4898),  # 0.5 km south and 2.5 km west of TQ0775's centre
        ("TQ0", None, None),
        ("nowhere", None, None),
    ],
)
def test_without_a_geo_dump_a_photo_lies_in_the_centre_of_its_grid_reference(
    workspace: Workspace, dumps: Path, reference: str, latitude: float | None, longitude: float | None
) -> None:
    (dumps / "gridimage_base.tsv").write_text(BASE + _base(4, reference=reference))
    totals = _geograph(workspace, dumps)
    ((lat, long),) = _query(workspace, "SELECT wgs84_lat, wgs84_long FROM photos")
    assert (lat, long) == (pytest.approx(latitude, abs=0.0005), pytest.approx(longitude, abs=0.0005))
    assert totals.catalogue.bad_grid_references == totals.catalogue.unlocated == (latitude is None)


def test_rejected_lines_are_kept_with_file_number_reason_and_text(workspace: Workspace, dumps: Path) -> None:
    (dumps / "metadata.csv").write_text(METADATA + "1,Good,TQ0775\n7.5,Half,TQ0775\n1,Again,TQ0775\n2,a,b,c\n")
    (dumps / "test.csv").write_text("gridimage_id\n3\nthree\n")
    totals = _kaggle(workspace, dumps)
    assert totals.rejected_file is not None
    assert totals.rejected_file.parent == workspace.rejected
    assert totals.rejected_file.name.startswith("kaggle-2")
    with duckdb.connect() as connection:
        rows = connection.execute(f"FROM read_csv('{totals.rejected_file}', delim='\t', quote='')").fetchall()
    assert rows == [
        (f"{dumps}/metadata.csv", 3, "gridimage_id is not a positive whole number", "7.5,Half,TQ0775"),
        (f"{dumps}/metadata.csv", 4, "duplicate gridimage_id", "1,Again,TQ0775"),
        (f"{dumps}/metadata.csv", 5, "has not 3 columns", "2,a,b,c"),
        (f"{dumps}/test.csv", 3, "gridimage_id is not a positive whole number", "three"),
    ]
    assert _query(workspace, "SELECT gridimage_id, title FROM photos") == [(1, "Good"), (3, None)]


def test_a_photo_in_both_metadata_files_keeps_the_main_file_s_line(workspace: Workspace, dumps: Path) -> None:
    (dumps / "metadata-extra.csv").write_text(METADATA + "1,Extra,TQ0775\n")
    (dumps / "metadata.csv").write_text(METADATA + "1,Main,TQ0775\n")
    totals = _kaggle(workspace, dumps)
    assert _query(workspace, "SELECT title FROM photos") == [("Main",)]
    assert totals.files[1].rejected == {"duplicate gridimage_id": 1}


def test_the_file_has_the_schema_of_photos_and_says_who_made_it(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    file = _kaggle(workspace, dumps).catalogue_file
    schema = pq.read_schema(file)
    assert schema.equals(load_schema("photos").arrow())
    assert schema.metadata[b"geotag.dataset"] == b"photos"
    assert schema.metadata[b"geotag.schema_version"] == b"1"


def test_a_second_ingest_replaces_the_first_and_leaves_no_debris(workspace: Workspace, dumps: Path) -> None:
    for last in (3, 5):
        (dumps / "test.csv").write_text("gridimage_id\n" + "\n".join(map(str, range(1, last + 1))))
        assert _kaggle(workspace, dumps).catalogue.photos == last
    assert _query(workspace, "SELECT count(*) FROM photos") == [(5,)]
    assert [path.name for path in (workspace.root / "photos").iterdir()] == ["kaggle.parquet"]
    assert not any(workspace.cache.iterdir())
    assert not any(workspace.staging.iterdir())


def test_views_made_before_there_was_a_catalogue_show_it(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    rebuild_views(workspace, Config())
    _kaggle(workspace, dumps)
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        assert connection.execute("SELECT gridimage_id FROM photos").fetchall() == [(3,)]


def test_photos_that_another_catalogue_file_has_are_refused_and_nothing_is_written(
    workspace: Workspace, dumps: Path
) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n4\n5\n")
    (dumps / "gridimage_base.tsv").write_text(BASE + _base(4) + _base(5) + _base(6))
    _kaggle(workspace, dumps)
    with pytest.raises(CatalogueError, match=r"2 of these photos .* already, the first is 4.*kaggle\.p") as caught:
        _geograph(workspace, dumps)
    assert "photos.path" in str(caught.value.hint)
    assert [path.name for path in (workspace.root / "photos").iterdir()] == ["kaggle.parquet"]
    only_geograph = Config(photos=PhotosConfig(path="photos/geograph.parquet"))
    assert _geograph(workspace, dumps, config=only_geograph).in_catalogue


def test_other_photos_in_another_catalogue_file_are_fine(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    (dumps / "gridimage_base.tsv").write_text(BASE + _base(4))
    _kaggle(workspace, dumps)
    _geograph(workspace, dumps)
    assert _query(workspace, "SELECT count(*), count(DISTINCT gridimage_id) FROM photos") == [(2, 2)]


def test_a_configured_catalogue_elsewhere_is_said_not_to_match(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    assert not _kaggle(workspace, dumps, config=Config(photos=PhotosConfig(path="elsewhere/*.parquet"))).in_catalogue


def test_dumps_without_one_good_photo_leave_the_catalogue_as_it_was(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    _kaggle(workspace, dumps)
    (dumps / "test.csv").write_text("gridimage_id\nx\n")
    with pytest.raises(CatalogueError, match="no photo that can be used; the refused lines are in") as caught:
        _kaggle(workspace, dumps)
    assert str(workspace.rejected) in str(caught.value)
    assert _query(workspace, "SELECT gridimage_id FROM photos") == [(3,)]


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("metadata.csv", b"gridimage_id,titel,grid_reference\n1,A,TQ0775\n", CatalogueError),
        ("metadata.csv.gz", gzip.compress(METADATA.encode() + b"1,A,TQ0775\n", mtime=0)[:-4], InputError),
    ],
    ids=["a column misspelt", "cut off"],
)
def test_a_dump_that_cannot_be_read_leaves_the_catalogue_as_it_was(
    workspace: Workspace, dumps: Path, name: str, data: bytes, error: type[Exception]
) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    _kaggle(workspace, dumps)
    (dumps / name).write_bytes(data)
    with pytest.raises(error, match=r"metadata\.csv"):
        _kaggle(workspace, dumps)
    assert _query(workspace, "SELECT gridimage_id, title FROM photos") == [(3, None)]
    assert not any(workspace.cache.iterdir())


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_disk_that_fails_leaves_the_old_catalogue_or_the_new_one_and_no_debris(
    workspace: Workspace, dumps: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    _kaggle(workspace, dumps)
    (dumps / "test.csv").write_text("gridimage_id\n4\n")
    real = getattr(os, step)
    for failing in itertools.count(1):
        left = iter(range(1, failing))

        def fail(*args: object, left: Iterator[int] = left) -> object:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            return real(*args)

        monkeypatch.setattr(os, step, fail)
        try:
            _kaggle(workspace, dumps)
        except StorageError as error:
            assert "No space left on device" in error.message
        else:
            break
        finally:
            monkeypatch.setattr(os, step, real)
        assert _query(workspace, "SELECT gridimage_id FROM photos") in ([(3,)], [(4,)])
        assert not any(workspace.cache.iterdir())
        assert not any(workspace.staging.iterdir())
    assert failing > 1
    assert _query(workspace, "SELECT gridimage_id FROM photos") == [(4,)]


def test_an_ingest_waits_for_nobody(workspace: Workspace, dumps: Path) -> None:
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    with hold_lock(workspace), pytest.raises(LockedError):
        _kaggle(workspace, dumps)
    assert not (workspace.root / "photos").exists()


def test_odd_names_of_the_workspace_are_no_trouble(tmp_path: Path, dumps: Path) -> None:
    root = tmp_path / "[a] it's=b"
    root.mkdir()
    (dumps / "test.csv").write_text("gridimage_id\n3\n")
    (dumps / "gridimage_base.tsv").write_text(BASE + _base(4))
    workspace = Workspace(root)
    assert _kaggle(workspace, dumps).in_catalogue
    assert _geograph(workspace, dumps).in_catalogue
    assert pq.read_table(root / "photos" / "geograph.parquet").num_rows == 1
