"""Publishing a file: a reader sees the old one or the new one, never half, whichever step fails."""

import os
from pathlib import Path

import pytest

from geotag_batch.atomic import (
    make_folder,
    publish,
    publish_folder,
    remove_committed,
    write_bytes,
    write_elsewhere,
)
from geotag_batch.errors import StorageError


def test_a_file_appears_whole_in_folders_that_are_made_for_it(tmp_path: Path) -> None:
    final = tmp_path / "a" / "b" / "file.bin"
    write_bytes(b"data", final, tmp_path / "staging")
    assert final.read_bytes() == b"data"
    assert list((tmp_path / "staging").iterdir()) == []


def test_what_is_no_file_is_not_replaced_and_a_link_is_followed(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    with pytest.raises(StorageError, match="it is there, and no file"):
        write_elsewhere(b"data", pipe)
    assert pipe.is_fifo()
    (tmp_path / "site").mkdir()
    link.symlink_to(Path("site", "labels.csv"))
    for data in (b"first", b"second"):
        write_elsewhere(data, link)
        assert (tmp_path / "site" / "labels.csv").read_bytes() == data
    assert link.is_symlink()
    assert len(list((tmp_path / "site").iterdir())) == 1


def test_a_committed_file_is_not_overwritten(tmp_path: Path) -> None:
    final = tmp_path / "file.bin"
    write_bytes(b"old", final, tmp_path / "staging")
    with pytest.raises(StorageError, match="exists already"):
        write_bytes(b"new", final, tmp_path / "staging")
    assert final.read_bytes() == b"old"
    write_bytes(b"new", final, tmp_path / "staging", replace=True)
    assert final.read_bytes() == b"new"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_step_that_fails_leaves_the_old_file_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    final, staging = tmp_path / "file.bin", tmp_path / "staging"
    write_bytes(b"old", final, staging)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError, match=r"cannot write .*file\.bin: Input/output error"):
        write_bytes(b"new", final, staging, replace=True)
    assert final.read_bytes() == b"old"
    assert list(staging.iterdir()) == []


def test_a_writer_that_fails_half_way_publishes_nothing(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        publish(write, tmp_path / "file.bin", tmp_path / "staging")
    assert not (tmp_path / "file.bin").exists()
    assert list((tmp_path / "staging").iterdir()) == []


def test_file_and_folder_are_synced_in_that_order_around_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder(tmp_path / "out")
    make_folder(tmp_path / "staging")
    steps: list[str] = []
    sync, rename = os.fsync, os.replace

    def traced_sync(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        sync(descriptor)

    def traced_rename(source: Path, target: Path) -> None:
        steps.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", traced_sync)
    monkeypatch.setattr(os, "replace", traced_rename)
    write_bytes(b"data", tmp_path / "out" / "file.bin", tmp_path / "staging")
    assert steps == ["fsync file.bin.staged", "rename", "fsync out"]


def test_a_folder_that_a_killed_command_made_is_synced_once_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made" / "before").mkdir(parents=True)
    synced: list[str] = []
    sync = os.fsync

    def traced(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", traced)
    make_folder(tmp_path / "made" / "before")
    make_folder(tmp_path / "made" / "before")
    assert synced == ["made"]
    make_folder(tmp_path / "made" / "before" / "new")
    assert synced == ["made", "before"]


def test_a_file_that_cannot_be_removed_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="cannot remove"):
        remove_committed(tmp_path / "folder")


def test_a_folder_appears_with_everything_in_it_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final, staging = tmp_path / "out" / "pages", tmp_path / "staging"

    def write(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "file.bin").write_bytes(b"data")
        assert folder.parent == staging

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    publish_folder(write, final, staging)
    assert (final / "inner" / "file.bin").read_bytes() == b"data"
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=r"cannot write .*more: No space left"):
        publish_folder(write, tmp_path / "out" / "more", staging)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pages"]
    assert list(staging.iterdir()) == []


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    write_bytes(b"data", tmp_path / "file.bin", tmp_path / "staging")
    remove_committed(tmp_path / "file.bin")
    remove_committed(tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists()
