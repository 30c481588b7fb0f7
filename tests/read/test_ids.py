"""Lists of ids: what is read, and which line is refused."""

from pathlib import Path

import pytest

from geotag_batch.errors import InputError
from geotag_batch.read.ids import read_ids


def test_ids_are_distinct_and_ascending_whatever_stands_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text('gridimage_id,title\n30,"x, y"\n"7",z\n\n30,again\n', encoding="utf-8-sig")
    assert read_ids(path) == (7, 30)


@pytest.mark.parametrize("line", ["7.5", "-3", "seven", "\u0667", str(2**63)])
def test_a_line_that_is_no_id_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ids.txt"
    path.write_text(f"1\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"ids\.txt, line 2: .* is not a gridimage_id"):
        read_ids(path)


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match="holds no ids"):
        read_ids(tmp_path / "empty.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_ids(tmp_path / "missing.txt")
