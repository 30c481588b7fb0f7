"""JPEGs that end too soon, whatever stands at their end."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geotag_batch.errors import PhotoFailure
from geotag_batch.read.images import ImageLimits, decode_image
from geotag_batch.read.jpeg import check_jpeg, ends_in_grey, lengthened
from tests.read.pictures import TINY, encoded, picture

LIMITS = ImageLimits(10**7, 10**7)
END = b"\xff\xd9"

KINDS: dict[str, dict[str, Any]] = {
    "4:2:0": {},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True},
    "restarts": {"restart_marker_blocks": 3},
    "restarts by row": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
    "RGB": {"keep_rgb": True},
}


def made(kind: str) -> bytes:
    options = dict(KINDS[kind])
    return encoded(picture(333, 250).convert(options.pop("mode", "RGB")), **options)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_cut_anywhere_and_closed_again_is_not_half_an_image(kind: str, scaled: bool) -> None:
    data = made(kind)
    assert decode_image(data, TINY, LIMITS, scaled=scaled).shape == (32, 32, 3)
    start = data.index(b"\xff\xda") + 20
    for cut in np.linspace(start, len(data) - 600, 9).astype(int).tolist():
        with pytest.raises(PhotoFailure) as caught:
            decode_image(data[:cut] + END, TINY, LIMITS, scaled=scaled)
        assert caught.value.error_class in ("truncated", "corrupt"), cut


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"mode": "L"}])
def test_a_whole_picture_that_ends_in_middle_grey_is_whole(options: dict[str, Any]) -> None:
    options = dict(options)
    image = picture(200, 150).convert(options.pop("mode", "RGB"))
    image.paste(Image.new(image.mode, (200, 60), (128, 128, 128) if image.mode == "RGB" else 128), (0, 90))
    data = encoded(image, **options)
    with Image.open(io.BytesIO(data)) as opened:
        assert ends_in_grey(opened)
    assert decode_image(data, TINY, LIMITS).shape == (32, 32, 3)


def test_more_bytes_before_the_end_change_no_whole_picture() -> None:
    for kind in KINDS:
        data = made(kind)
        with Image.open(io.BytesIO(data)) as one, Image.open(io.BytesIO(lengthened(data))) as other:
            assert one.tobytes() == other.tobytes()


def test_a_progressive_jpeg_needs_all_its_scans() -> None:
    data = encoded(picture(100, 80), progressive=True)
    scans = [place for place in range(len(data)) if data.startswith(b"\xff\xda", place)]
    assert len(scans) > 5
    check_jpeg(data)
    for place in scans[1:]:
        with pytest.raises(PhotoFailure, match="scans, before its last one"):
            check_jpeg(data[:place] + END)


def test_an_end_marker_in_a_segment_or_a_thumbnail_is_no_end() -> None:
    data = made("4:2:0")
    comment = b"\xff\xfe\x00\x06" + END + b"xy"
    with pytest.raises(PhotoFailure, match="without its end marker"):
        check_jpeg(data[:2] + comment + data[2:-2])
    check_jpeg(data[:2] + comment + data[2:])
