from pathlib import Path

import pytest

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ConfigError
from geotag_batch.read.sources import HttpSource, LocalSource, image_reference, open_source


def test_the_template_puts_ten_thousand_photos_into_a_bucket() -> None:
    images = ImagesConfig()
    assert image_reference(images, 7606259, None) == "00760/7606259.jpg"
    assert image_reference(images, 9999, "ignored.jpg") == "00000/9999.jpg"
    assert image_reference(images, 10000, None) == "00001/10000.jpg"


def test_the_column_names_the_image_or_says_that_there_is_none() -> None:
    images = ImagesConfig(column="image")
    assert image_reference(images, 7, "a/b.jpg") == "a/b.jpg"
    assert image_reference(images, 7, None) is None
    assert image_reference(images, 7, "") is None


@pytest.mark.parametrize("template", ["{id}.jpg", "{}.jpg", "{gridimage_id", "{gridimage_id:q}", "{bucket.x}"])
def test_a_template_that_cannot_be_filled_in_is_a_configuration_error(template: str) -> None:
    with pytest.raises(ConfigError, match=r"images\.template") as caught:
        image_reference(ImagesConfig(template=template), 7, None)
    assert caught.value.hint is not None


def test_the_root_decides_between_folder_and_server(tmp_path: Path) -> None:
    assert open_source(ImagesConfig(root="pictures"), tmp_path) == LocalSource(tmp_path / "pictures", 50_000_000)
    assert open_source(ImagesConfig(root="/srv/images"), tmp_path) == LocalSource(Path("/srv/images"), 50_000_000)
    for root in ("http://example.org/images", "HTTPS://example.org"):
        assert isinstance(open_source(ImagesConfig(root=root), tmp_path), HttpSource)


@pytest.mark.parametrize("root", ["gs://bucket/images", "ftp://example.org", "http://", "http://[::1", "file:///srv"])
def test_a_root_of_another_kind_is_a_configuration_error(root: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        open_source(ImagesConfig(root=root), tmp_path)
