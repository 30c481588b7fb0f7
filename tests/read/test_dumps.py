"""Which files are dumps, and their lines out of plain, .gz and .zip files."""

import gzip
import zipfile
from pathlib import Path

import pytest

from geotag_batch.errors import InputError
from geotag_batch.read.archives import ARCHIVES
from geotag_batch.read.dumps import LONGEST_LINE, decode_line, find_dumps, read_lines

KAGGLE, GEOGRAPH = ARCHIVES["kaggle"], ARCHIVES["geograph"]


def _touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(b"")
    return [folder / name for name in names]


def test_a_folder_gives_its_dumps_with_the_main_file_before_the_extra_one(tmp_path: Path) -> None:
    _touch(tmp_path, "test.csv", "train-extra.csv.gz", "train.csv.zip", "metadata-extra.csv", "metadata.csv", "1.jpg")
    (tmp_path / "images").mkdir()
    dumps, ignored = find_dumps(KAGGLE, [tmp_path])
    assert [dump.path.name for dump in dumps] == [
        "metadata.csv",
        "metadata-extra.csv",
        "train.csv.zip",
        "train-extra.csv.gz",
        "test.csv",
    ]
    assert ignored == []


def test_other_tables_in_a_folder_are_said_to_be_ignored(tmp_path: Path) -> None:
    _touch(tmp_path, "gridimage_base.tsv", "gridimage_size.tsv.gz", "notes.txt")
    dumps, ignored = find_dumps(GEOGRAPH, [tmp_path])
    assert [dump.path.name for dump in dumps] == ["gridimage_base.tsv"]
    assert [path.name for path in ignored] == ["gridimage_size.tsv.gz"]


def test_a_file_that_was_named_and_is_no_dump_is_an_error(tmp_path: Path) -> None:
    base, other = _touch(tmp_path, "gridimage_base.tsv", "gridimage_size.tsv")
    with pytest.raises(InputError, match=r"gridimage_size\.tsv: is no file") as caught:
        find_dumps(GEOGRAPH, [base, other])
    assert "gridimage_geo.tsv" in str(caught.value.hint)


def test_the_same_dump_plain_and_packed_is_an_error_and_not_a_file_of_duplicates(tmp_path: Path) -> None:
    _touch(tmp_path, "metadata.csv", "metadata.csv.zip")
    with pytest.raises(InputError, match="the same dump"):
        find_dumps(KAGGLE, [tmp_path])


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    (test,) = _touch(tmp_path, "test.csv")
    dumps, _ = find_dumps(KAGGLE, [tmp_path, test])
    assert len(dumps) == 1


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_dumps(KAGGLE, [tmp_path / "nowhere"])


def test_nothing_to_read_is_an_error_that_names_what_is_needed(tmp_path: Path) -> None:
    _touch(tmp_path, "gridimage_geo.tsv")
    with pytest.raises(InputError, match=r"has no gridimage_base\.tsv"):
        find_dumps(GEOGRAPH, [tmp_path])


TEXT = b"\xef\xbb\xbffirst\r\n\nthird \xe9\nlast"
LINES = [(1, b"first"), (2, b""), (3, b"third \xe9"), (4, b"last")]


def test_lines_are_the_same_plain_gzipped_and_zipped(tmp_path: Path) -> None:
    plain, packed, zipped = tmp_path / "test.csv", tmp_path / "test.csv.gz", tmp_path / "test.csv.zip"
    plain.write_bytes(TEXT)
    packed.write_bytes(gzip.compress(TEXT))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/test.csv", b"shadow")
        archive.writestr("folder/test.csv", TEXT)
    assert [list(read_lines(path)) for path in (plain, packed, zipped)] == [LINES, LINES, LINES]


def test_the_real_training_labels_have_their_lines(shared: Path) -> None:
    lines = read_lines(shared / "train.csv.zip")
    assert next(lines)[1].startswith(b"gridimage_id,tag479,")
    assert next(lines) == (2, b"6602," + b"0," * 25 + b"1" + b",0" * 23)


def test_a_line_without_end_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_bytes(b"1\n" + b"x" * (3 * LONGEST_LINE) + b"\n3\n")
    (_, first), (number, cut), (_, third) = read_lines(path)
    assert (first, number, third) == (b"1", 2, b"3")
    assert LONGEST_LINE < len(cut) <= LONGEST_LINE + 2


@pytest.mark.parametrize("keep", [0, 5, 30, -9, -1])
def test_a_truncated_gzip_is_an_error_that_names_file_and_line(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "gridimage_base.tsv.gz"
    whole = gzip.compress(b"".join(b"%d\n" % (number * 7919) for number in range(1000)))
    path.write_bytes(whole[:keep])
    if keep == 0:
        assert list(read_lines(path)) == []  # an empty file is no gzip error; its missing header is
        return
    with pytest.raises(InputError, match=r"gridimage_base\.tsv\.gz: cannot be read after line \d+"):
        list(read_lines(path))


def test_a_broken_zip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "train.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("train.csv", b"line\n" * 1000)
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"train\.csv\.zip: cannot be read"):
        list(read_lines(path))
    path.write_bytes(data[:100])
    with pytest.raises(InputError, match="cannot be read after line 0"):
        list(read_lines(path))


def test_a_zip_without_the_file_of_its_name_is_an_error_that_names_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "train.csv.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.csv", b"line\n")
    with pytest.raises(InputError, match=r"should hold one train\.csv, holds labels\.csv"):
        list(read_lines(path))


@pytest.mark.parametrize(
    ("line", "text", "is_utf8"),
    [
        ("Sgùrr Sgumain".encode(), "Sgùrr Sgumain", True),
        ("Sgùrr Sgumain".encode("latin-1"), "Sgùrr Sgumain", False),
        (b"The King\x92s Head", "The King\u2019s Head", False),
        (b"\x81\xe9", "\x81é", False),
        (b"\xed\xa0\x80", "í\xa0€", False),  # a surrogate, which is no UTF-8
    ],
)
def test_a_line_is_utf8_or_else_latin_1(line: bytes, text: str, is_utf8: bool) -> None:
    assert decode_line(line) == (text, is_utf8)
