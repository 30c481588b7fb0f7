"""Where the demo draws; the whole of it is told in tests/test_packaging.py, from an installed wheel."""

from pathlib import Path

import pytest

from geotag_batch.errors import ConfigError, LockedError
from geotag_batch.run.demo.story import prepare_folder
from geotag_batch.run.lock import hold_lock


def test_a_new_folder_becomes_an_empty_workspace(tmp_path: Path) -> None:
    workspace = prepare_folder(tmp_path / "new")
    assert workspace.config_file.is_file()
    assert not any((workspace.root / "images").iterdir())


def test_what_an_earlier_demo_drew_is_removed(tmp_path: Path) -> None:
    first = prepare_folder(tmp_path)
    (first.root / "images" / "00001").mkdir()
    (first.root / "images" / "00001" / "1.jpg").write_bytes(b"old")
    first.config_file.write_text("[run]\nchunk_size = 1\n", encoding="utf-8")
    again = prepare_folder(tmp_path)
    assert not any((again.root / "images").iterdir())
    assert "chunk_size = 4096" in again.config_file.read_text(encoding="utf-8")


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty and was not made by `geotag demo`"):
        prepare_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not empty"):
        prepare_folder(tmp_path / "file")


def test_a_demo_that_is_running_is_not_removed(tmp_path: Path) -> None:
    workspace = prepare_folder(tmp_path)
    with hold_lock(workspace), pytest.raises(LockedError):
        prepare_folder(tmp_path)
    assert workspace.config_file.is_file()
