import os
import stat
from pathlib import Path

import pytest

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ImageRootError, PhotoFailure
from geotag_batch.read.sources import ImageSource, LocalSource, open_source


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "00001").mkdir(parents=True)
    (root / "00001" / "7.jpg").write_bytes(b"seven")
    return root


@pytest.fixture
def source(tmp_path: Path, root: Path) -> ImageSource:
    return open_source(ImagesConfig(max_bytes=100), tmp_path)


def failure(source: ImageSource, reference: str) -> str:
    with pytest.raises(PhotoFailure) as caught:
        source.fetch(reference)
    with pytest.raises(PhotoFailure) as of_signature:
        source.signature(reference)
    assert of_signature.value.error_class == caught.value.error_class
    return caught.value.error_class


def test_a_file_is_read_with_its_size_and_time_as_signature(source: ImageSource, root: Path) -> None:
    os.utime(root / "00001" / "7.jpg", ns=(1, 1_700_000_000_123_456_789))
    image = source.fetch("00001/7.jpg")
    assert (image.data, image.signature) == (b"seven", "5-1700000000123456789")
    assert source.signature("00001/7.jpg") == image.signature


def test_names_with_odd_characters_are_read_as_they_are(source: ImageSource, root: Path) -> None:
    for name in ("a b.jpg", "a%20b#[1]*.jpg", "line\nbreak.jpg", "café.jpg", os.fsdecode(b"\xff\xfe.jpg"), "a:b.jpg"):
        (root / name).write_bytes(name.encode(errors="surrogateescape"))
        assert source.fetch(name).data == name.encode(errors="surrogateescape")


def test_what_is_not_there_is_missing(source: ImageSource) -> None:
    for reference in ("00001/8.jpg", "00002/7.jpg", "00001/7.jpg/8.jpg", "nul\0.jpg", "\ud800.jpg"):
        assert failure(source, reference) == "missing"


@pytest.mark.parametrize(
    "reference",
    [
        "../secret",
        "00001/../../secret",
        "/etc/hostname",
        "file:///etc/hostname",
        "FILE:/etc/hostname",
        "http://example.org/7.jpg",
        "s3://bucket/7.jpg",
        "data:image/png;base64,iVBORw0KGgo=",
        "inside",
        "up/secret",
        "dangling",
    ],
)
def test_references_that_leave_the_root_are_refused(source: ImageSource, root: Path, reference: str) -> None:
    (root.parent / "secret").write_text("secret")
    (root / "inside").symlink_to("../secret")
    (root / "up").symlink_to("..")
    (root / "dangling").symlink_to("/nowhere/at/all")
    assert failure(source, reference) == "outside_root"


def test_a_neighbour_with_the_same_beginning_is_outside(source: ImageSource, root: Path) -> None:
    (root.parent / "images-secret").write_text("secret")
    assert failure(source, "../images-secret") == "outside_root"


def test_links_within_the_root_and_a_root_that_is_a_link_are_followed(root: Path) -> None:
    (root / "8.jpg").symlink_to("00001/7.jpg")
    (root.parent / "link").symlink_to("images")
    assert LocalSource(root.parent / "link", 100).fetch("8.jpg").data == b"seven"
    assert LocalSource(root.parent / "link", 100).fetch("00001/../00001/7.jpg").data == b"seven"


def test_what_is_no_plain_file_is_refused_without_waiting_for_it(source: ImageSource, root: Path) -> None:
    os.mkfifo(root / "fifo.jpg")
    (root / "folder.jpg").mkdir()
    for reference in ("fifo.jpg", "folder.jpg", "00001", "."):
        assert failure(source, reference) == "not_a_file"


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_refused_without_being_opened(source: ImageSource, root: Path) -> None:
    try:
        os.mknod(root / "zero.jpg", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("needs the right to make device files")
    assert failure(source, "zero.jpg") == "not_a_file"


def test_a_file_over_the_limit_is_refused_before_it_is_read(source: ImageSource, root: Path) -> None:
    (root / "large.jpg").write_bytes(bytes(101))
    with pytest.raises(PhotoFailure) as caught:
        source.fetch("large.jpg")
    assert caught.value.error_class == "too_large"
    assert caught.value.image_signature == source.signature("large.jpg")
    (root / "just.jpg").write_bytes(bytes(100))
    assert len(source.fetch("just.jpg").data) == 100


def test_trouble_of_the_file_system_is_an_io_error(source: ImageSource, root: Path) -> None:
    (root / "loop.jpg").symlink_to("loop.jpg")
    assert failure(source, "loop.jpg") == "io_error"
    assert failure(source, "x" * 300) == "io_error"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_io_error(source: ImageSource, root: Path) -> None:
    (root / "00001" / "7.jpg").chmod(0)
    with pytest.raises(PhotoFailure) as caught:
        source.fetch("00001/7.jpg")
    assert caught.value.error_class == "io_error"


def test_the_root_must_be_a_folder_with_something_in_it(source: ImageSource, root: Path, tmp_path: Path) -> None:
    source.check_root()
    (tmp_path / "empty").mkdir()
    for name, text in (("empty", "is empty"), ("absent", "No such file"), ("images/00001/7.jpg", "Not a directory")):
        with pytest.raises(ImageRootError, match=text) as caught:
            LocalSource(tmp_path / name, 100).check_root()
        assert str(tmp_path / name) in caught.value.message
        assert caught.value.hint is not None
