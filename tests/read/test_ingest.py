"""Lines to staged rows, rejected lines and totals that add up."""

import csv
import html
import io
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag_batch.errors import CatalogueError
from geotag_batch.read.archives import ARCHIVES
from geotag_batch.read.dumps import LONGEST_LINE, DumpFile
from geotag_batch.read.ingest import FileTotals, RejectedLines, StagedTable, stage_dump
from geotag_batch.taxonomy import tag_names, tags

TAG_COLUMNS = ",".join(f"tag{tag.tag_id}" for tag in tags())
BASE = "gridimage_id\tuser_id\trealname\ttitle\tgrid_reference\timagetaken\tmoderation_status\n"


class Staged:
    """What came of one dump file, read back with DuckDB and as text."""

    def __init__(self, folder: Path, name: str, data: str | bytes) -> None:
        path = folder / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        tables = [table for archive in ARCHIVES.values() for table in archive.tables]
        (table,) = (table for table in tables if any(fnmatchcase(name, pattern) for pattern in table.files))
        staged, rejected = folder / "staged.parquet", folder / "rejected.tsv"
        with (
            StagedTable(staged, table.staged, unique_ids=table.unique_ids) as sink,
            RejectedLines(rejected) as refused,
        ):
            self.totals: FileTotals = stage_dump(DumpFile(path, table), sink, refused)
        with duckdb.connect() as connection:
            self.rows = connection.execute(f"SELECT * FROM '{staged}'").fetchall()
        self.rejected = [line.split("\t") for line in rejected.read_text().split("\n")[1:-1]]

    def reasons(self) -> list[tuple[str, str]]:
        return [(line[1], line[2]) for line in self.rejected]


def test_kaggle_metadata_becomes_titles_with_entities_decoded(tmp_path: Path) -> None:
    staged = Staged(
        tmp_path,
        "metadata.csv",
        "gridimage_id,user_id,title,grid_reference\n"
        "6602,93,Heathrow Airport,TQ0775\n"
        '7058,196,"Flytipping, ""Macmerry""",NT4272\n'
        "7567,196,Caf&eacute; &amp; bar &#337;&#128512;,NO0694\n"
        "8281,,,\n",
    )
    assert staged.rows == [
        (6602, "Heathrow Airport", "TQ0775", 93, None, None),
        (7058, 'Flytipping, "Macmerry"', "NT4272", 196, None, None),
        (7567, "Café & bar ő😀", "NO0694", 196, None, None),
        (8281, None, None, None, None, None),
    ]
    assert staged.rejected == []


def test_latin_1_is_read_line_by_line_and_counted(tmp_path: Path) -> None:
    header = b"gridimage_id,title,grid_reference\n"
    lines = "1,Sgùrr Sgumain,NG4420\n".encode("latin-1") + "2,Sgùrr Sgumain,NG4420\n".encode() + b"3,Plain,NG4420\n"
    staged = Staged(tmp_path, "metadata-extra.csv", header + lines)
    assert [row[1] for row in staged.rows] == ["Sgùrr Sgumain", "Sgùrr Sgumain", "Plain"]
    assert staged.totals.not_utf8 == 1


def test_each_malformed_line_is_rejected_with_its_number_reason_and_text(tmp_path: Path) -> None:
    lines = [
        "gridimage_id,title,grid_reference,user_id",
        "1,Good,TQ0775,5",
        "2,one, two,TQ0775,5",
        "3,short",
        "7.5,Half,TQ0775,5",
        "-4,Negative,TQ0775,5",
        "0,Zero,TQ0775,5",
        " 5,Space,TQ0775,5",
        "٦,Arabic,TQ0775,5",
        "9223372036854775808,Too large,TQ0775,5",
        "1_0,Underscore,TQ0775,5",
        ",None,TQ0775,5",
        "1,Again,TQ0775,5",
        '8,"Never closed,TQ0775,5',
        '9,"The "King"",TQ0775,5',
        "10,Shifted,TQ0775,a user",
        "",
        "9223372036854775807,Largest,TQ0775,5",
        f"11,{'x' * LONGEST_LINE},TQ0775,5",
        "12,Last,TQ0775,5",
    ]
    staged = Staged(tmp_path, "metadata.csv", "\r\n".join(lines))
    assert [row[0] for row in staged.rows] == [1, 2**63 - 1, 12]
    no_id = "gridimage_id is not a positive whole number"
    assert staged.reasons() == [
        ("3", "has not 4 columns"),
        ("4", "has not 4 columns"),
        *((str(number), no_id) for number in range(5, 13)),
        ("13", "duplicate gridimage_id"),
        ("14", "quotes do not match"),
        ("15", "quotes do not match"),
        ("16", "user_id is not a whole number"),
        ("19", f"longer than {LONGEST_LINE} bytes"),
    ]
    path = str(tmp_path / "metadata.csv")
    assert staged.rejected[0] == [path, "3", "has not 4 columns", "2,one, two,TQ0775,5"]
    assert staged.totals.rejected.total() == len(staged.rejected)
    assert staged.totals.blank == 1


def test_an_empty_line_before_the_header_is_no_header(tmp_path: Path) -> None:
    assert Staged(tmp_path, "test.csv", "\n\ngridimage_id\n5\n").rows == [(5,)]


def test_multi_hot_columns_become_tag_bits_in_ascending_tag_id_whatever_their_order(tmp_path: Path) -> None:
    names = TAG_COLUMNS.split(",")
    first, last = ["0"] * 49, ["0"] * 49
    first[0] = last[48] = last[1] = "1"
    straight = Staged(
        tmp_path, "train.csv", f"gridimage_id,{TAG_COLUMNS}\n1,{','.join(first)}\n2,{','.join(last)}\n3{',0' * 49}\n"
    )
    assert straight.rows == [(1, 1), (2, 1 << 48 | 2), (3, 0)]
    turned = Staged(
        tmp_path,
        "train-extra.csv",
        f"{','.join(reversed(names))},tags,gridimage_id\n{','.join(reversed(last))},Paths,2\n",
    )
    assert turned.rows == [(2, 1 << 48 | 2)]
    assert turned.totals.ignored_columns == ("tags",)


@pytest.mark.parametrize("cell", ["2", "", "x", "01", "1.0"])
def test_a_tag_column_that_is_neither_0_nor_1_is_rejected(tmp_path: Path, cell: str) -> None:
    staged = Staged(tmp_path, "train.csv", f"gridimage_id,{TAG_COLUMNS}\n1,{cell}{',0' * 48}\n")
    assert staged.rows == []
    assert staged.reasons() == [("2", "a tag column is neither 0 nor 1")]


def test_an_empty_and_a_double_tag_cell_do_not_pass_for_two(tmp_path: Path) -> None:
    staged = Staged(tmp_path, "train.csv", f"gridimage_id,{TAG_COLUMNS}\n1,,11{',0' * 47}\n")
    assert staged.rows == []


def test_geograph_lines_are_tab_separated_and_quotes_are_text(tmp_path: Path) -> None:
    # Lines as the site has them: extra columns, quotes as they are, a tab in a title escaped, no date.
    header = (
        "gridimage_id\tuser_id\trealname\ttitle\tmoderation_status\timagetaken\tgrid_reference\tx\ty\twgs84_lat"
        "\twgs84_long\treference_index\n"
    )
    staged = Staged(
        tmp_path,
        "gridimage_base.tsv",
        header + '149\t12\tPaul\t"Beggars Bridge" Glaisdale.\tgeograph\t0000-00-00\tNZ7805\t684\t505\t54.4\t-0.7\t1\n'
        "6246853\t35313\tJThomas\tThe \\tRattlebone \\\\ Inn\taccepted\t2019-07-14\tST8585\t591\t185\t51.5\t-2.2\t1\n"
        "7\t3\t\\N\tB&#257;n &quot;x&quot;\taccepted\t2019-00-00\tJ3232\t1\t1\t1\t1\t2\n",
    )
    assert staged.rows == [
        (149, '"Beggars Bridge" Glaisdale.', "NZ7805", 12, "Paul", "0000-00-00"),
        (6246853, "The \tRattlebone \\ Inn", "ST8585", 35313, "JThomas", "2019-07-14"),
        (7, 'Bān "x"', "J3232", 3, None, "2019-00-00"),
    ]
    assert staged.totals.ignored_columns == ("x", "y", "wgs84_lat", "wgs84_long", "reference_index")


def test_only_accepted_and_geograph_photos_are_taken_and_the_others_counted(tmp_path: Path) -> None:
    states = ["accepted", "geograph", "pending", "rejected", "rejected", "deleted", ""]
    lines = [f"{number}\t5\tA\tT\tTQ0775\t2020-01-01\t{state}" for number, state in enumerate(states, 1)]
    staged = Staged(tmp_path, "gridimage_base.tsv", BASE + "\n".join(lines))
    assert [row[0] for row in staged.rows] == [1, 2]
    assert staged.totals.left_out == {"moderation_status pending": 1, "moderation_status rejected": 2}
    assert [number for number, _ in staged.reasons()] == ["7", "8"]


def test_a_photo_that_is_accepted_later_in_the_dump_is_no_duplicate(tmp_path: Path) -> None:
    line = "4\t5\tA\tT\tTQ0775\t2020-01-01\t"
    staged = Staged(tmp_path, "gridimage_base.tsv", f"{BASE}{line}pending\n{line}accepted\n{line}geograph\n")
    assert len(staged.rows) == 1
    assert staged.reasons() == [("4", "duplicate gridimage_id")]


def test_geograph_tags_are_the_49_with_or_without_their_prefix_and_others_are_counted(tmp_path: Path) -> None:
    staged = Staged(
        tmp_path,
        "gridimage_tags.tsv",
        "gridimage_id\ttag\n4\ttop:Coastal\n4\tIslands\n4\tbeach\n5\ttop:beach\n5\ttop:Sport, Leisure\n4\tCoastal\n"
        "x\tCoastal\n6\tsubject:Coastal\n7\ttop:Barren Plateaux &amp; x\n",
    )
    bit = {name: 1 << place for place, name in enumerate(tag_names())}
    assert staged.rows == [(4, bit["Coastal"]), (4, bit["Islands"]), (5, bit["Sport, Leisure"]), (4, bit["Coastal"])]
    assert staged.totals.left_out == {"tag other than the 49": 4}
    assert staged.reasons() == [("8", "gridimage_id is not a positive whole number")]


@pytest.mark.parametrize(
    ("latitude", "longitude", "row"),
    [
        ("51.5", "-0.1", (4, 51.5, -0.1)),
        ("51", "-5e-05", (4, 51.0, -0.00005)),
        ("", "\\N", (4, None, None)),
        ("NULL", "NULL", (4, None, None)),
        ("north", "-0.1", None),
        ("nan", "-0.1", None),
        ("1_0", "-0.1", None),
        ("90.5", "-0.1", None),
        ("51.5", "181", None),
        ("1e999", "0", None),
    ],
)
def test_a_location_is_degrees_or_nothing(
    tmp_path: Path, latitude: str, longitude: str, row: tuple[int, float, float] | None
) -> None:
    data = f"gridimage_id\twgs84_lat\twgs84_long\n4\t{latitude}\t{longitude}\n"
    staged = Staged(tmp_path, "gridimage_geo.tsv", data)
    assert staged.rows == ([row] if row else [])
    assert len(staged.rejected) == (row is None)


@pytest.mark.parametrize(
    ("name", "data", "message", "hint"),
    [
        (
            "metadata.csv",
            "id,title,gridref\n",
            r"metadata\.csv: the header has no gridimage_id, grid_",
            "gridref",
        ),
        ("metadata.csv", "gridimage_id;title;grid_reference\n", "it has gridimage_id;title;grid_reference", ""),
        ("metadata.csv", "1,Heathrow,TQ0775\n", "it has 1, Heathrow, TQ0775", "with its header line"),
        ("metadata.csv", "gridimage_id,title,title,grid_reference\n", "has title more than once", ""),
        ("metadata.csv", 'gridimage_id,"title,grid_reference\n', "header cannot be read: quotes do not match", ""),
        ("train.csv", "gridimage_id,tag479\n", "has no tag787, tag788, tag789.* and 40 more", ""),
        ("test.csv", "", "is empty", ""),
        ("test.csv", "\n\n", "is empty", ""),
        ("gridimage_base.tsv", "gridimage_id\ttitle\n", "has no moderation_status, grid_reference, user_id", ""),
        (
            "gridimage_geo.tsv",
            "gridimage_id\twgs84_lat\twgs84_lon\n",
            "no wgs84_long",
            "rename wgs84_lon to wgs84_long",
        ),
    ],
)
def test_a_wrong_header_is_an_error_that_names_file_columns_and_the_nearest(
    tmp_path: Path, name: str, data: str, message: str, hint: str
) -> None:
    with pytest.raises(CatalogueError, match=message) as caught:
        Staged(tmp_path, name, data)
    assert hint in str(caught.value.hint)


def test_a_rejected_line_stays_one_line_of_the_file_of_rejected_lines(tmp_path: Path) -> None:
    staged = Staged(tmp_path, "gridimage_base.tsv", BASE + "7.5\ta\\tb\tc\rd\n")
    assert staged.rejected == [
        [str(tmp_path / "gridimage_base.tsv"), "2", "has not 7 columns", "7.5\\ta\\\\tb\\tc\\rd"]
    ]


@given(
    st.binary(max_size=300), st.sampled_from(["metadata.csv", "test.csv", "gridimage_base.tsv", "gridimage_geo.tsv"])
)
def test_whatever_bytes_follow_the_header_every_line_is_counted_once(data: bytes, name: str) -> None:
    headers = {
        "metadata.csv": "gridimage_id,title,grid_reference\n",
        "test.csv": "gridimage_id\n",
        "gridimage_base.tsv": BASE,
        "gridimage_geo.tsv": "gridimage_id\twgs84_lat\twgs84_long\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        staged = Staged(Path(folder), name, headers[name].encode() + data)
    totals = staged.totals
    assert totals.lines == data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    assert totals.lines == totals.staged + totals.blank + totals.left_out.total() + totals.rejected.total()
    assert totals.staged == len(staged.rows)
    assert totals.rejected.total() == len(staged.rejected)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=5))
def test_titles_that_a_csv_writer_wrote_come_back_as_they_were(titles: list[str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["gridimage_id", "title", "grid_reference"])
    writer.writerows([number, title, "TQ0775"] for number, title in enumerate(titles, 1))
    with tempfile.TemporaryDirectory() as folder:
        staged = Staged(Path(folder), "metadata.csv", text.getvalue())
    assert [row[1] for row in staged.rows] == [html.unescape(title) or None for title in titles]
