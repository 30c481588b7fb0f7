import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.errors import PhotoFailure
from geotag_batch.preprocess import OPENAI_PREPROCESS, Preprocess
from geotag_batch.read.images import ImageLimits, decode_image
from tests.read.pictures import TINY, encoded, jpeg_claiming, picture, png

LIMITS = ImageLimits(max_bytes=10_000_000, max_pixels=10_000_000)

SIZES = [
    *[(640, 480), (480, 640), (224, 224), (225, 224), (224, 301), (641, 479), (333, 500), (100, 37), (37, 100)],
    *[(1000, 51), (51, 1000), (8, 8), (8, 160), (9, 13), (1201, 901)],
]


def decode(data: bytes, preprocess: Preprocess = TINY) -> NDArray[np.uint8]:
    return decode_image(data, preprocess, LIMITS)


def failure(data: bytes, limits: ImageLimits = LIMITS) -> str:
    with pytest.raises(PhotoFailure) as caught:
        decode_image(data, TINY, limits)
    assert caught.value.message
    return caught.value.error_class


def open_clip_pixels(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return what open_clip's own transform makes of an RGB image, up to its Normalize, uint8 (size, size, 3)."""
    transforms = import_open_clip().transform
    config = transforms.PreprocessCfg(
        size=preprocess.size,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        interpolation=preprocess.interpolation,
        resize_mode=preprocess.resize_mode,
    )
    scaled: torch.Tensor = transforms.image_transform_v2(config, is_train=False)(image)
    pixels: NDArray[np.uint8] = (scaled.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return pixels


def assert_same_picture(pixels: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """Equal to one grey level, and hardly anywhere unequal: coordinates of the kept square are rounded otherwise."""
    assert pixels.shape == expected.shape
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pixels_are_those_of_open_clips_own_transform(width: int, height: int) -> None:
    image = picture(width, height)
    data = encoded(image, "PNG", compress_level=1)
    for preprocess in (
        OPENAI_PREPROCESS,
        Preprocess(size=63, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear"),
        Preprocess(size=96, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), resize_mode="squash"),
    ):
        pixels = decode(data, preprocess)
        assert pixels.shape == (preprocess.size, preprocess.size, 3)
        assert pixels.dtype == np.uint8
        assert_same_picture(pixels, open_clip_pixels(image, preprocess))


@pytest.mark.parametrize(
    ("size", "shape"),
    [((640, 480), (48, 64, 3)), ((90, 120), (64, 48, 3)), ((32, 20), (20, 32, 3)), ((400, 20), (3, 64, 3))],
)
def test_a_picture_for_people_is_whole_and_never_enlarged(size: tuple[int, int], shape: tuple[int, int, int]) -> None:
    inside = Preprocess(size=64, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), resize_mode="inside")
    image = picture(*size)
    pixels = decode(encoded(image, "PNG"), inside)
    assert pixels.shape == shape
    expected = np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
    assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("seed", range(12))
def test_noise_of_any_shape_comes_out_as_from_open_clips_own_transform(seed: int) -> None:
    chance = np.random.default_rng(seed)
    for interpolation in ("bicubic", "bilinear"):
        width = int(chance.integers(8, 900))
        height = max(8, int(width * chance.choice([0.3, 0.5, 0.501, 0.66, 0.75, 1.0, 1.33, 1.5, 1.999, 2.0, 3.1])))
        image = Image.fromarray(chance.integers(0, 256, (height, width, 3), np.uint8))
        preprocess = replace(OPENAI_PREPROCESS, interpolation=interpolation)
        assert_same_picture(decode(encoded(image, "PNG"), preprocess), open_clip_pixels(image, preprocess))


def test_real_photos_come_out_as_from_open_clips_own_transform(shared: Path) -> None:
    photos = sorted((shared / "photos").glob("*.jpg"))[::4]
    assert len(photos) == 13
    for photo in photos:
        with Image.open(photo) as image:
            expected = open_clip_pixels(image.convert("RGB"), OPENAI_PREPROCESS)
        assert_same_picture(decode(photo.read_bytes(), OPENAI_PREPROCESS), expected)


@pytest.mark.parametrize("width", [320, 1600])  # Pillow could decode both at an eighth of their size, and may not
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 20}])
def test_a_jpeg_is_decoded_at_its_full_size(width: int, options: dict[str, Any]) -> None:
    data = encoded(picture(width, width // 2), **options)
    with Image.open(io.BytesIO(data)) as image:
        assert_same_picture(decode(data), open_clip_pixels(image, TINY))


@pytest.mark.parametrize(("width", "height", "eighths"), [(640, 480, 4), (1600, 1200, 2), (224, 168, 8), (300, 240, 8)])
def test_a_jpeg_may_be_decoded_at_the_least_size_that_covers_the_square(width: int, height: int, eighths: int) -> None:
    data = encoded(picture(width, height))
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (width * eighths // 8, height * eighths // 8))
        assert image.size == (width * eighths // 8, height * eighths // 8)
        expected = open_clip_pixels(image.convert("RGB"), OPENAI_PREPROCESS)
    scaled = decode_image(data, OPENAI_PREPROCESS, LIMITS, scaled=True)
    assert_same_picture(scaled, expected)
    full = decode(data, OPENAI_PREPROCESS).astype(int)
    assert np.abs(scaled - full).mean() < 4  # the same picture, though not the same pixels
    assert (scaled == full).all() == (eighths == 8)


UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
    99: lambda a: a,
}
"""EXIF orientation (EXIF 2.32, 4.6.5: which row and column is at the top left) to the array turned upright."""


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied_once(orientation: int, file_format: str) -> None:
    image = picture(60, 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if file_format == "WEBP" else {}
    turned = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](np.asarray(image))))
    np.testing.assert_array_equal(
        decode(encoded(image, file_format, exif=exif, **options)), decode(encoded(turned, "PNG"))
    )


def test_exif_orientation_of_a_jpeg_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture(64, 48), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        turned = Image.fromarray(np.ascontiguousarray(np.rot90(np.asarray(image), -1)))
    np.testing.assert_array_equal(decode(data), decode(encoded(turned, "PNG")))


def grey16(file_format: str, big_endian: bool = False, **options: object) -> bytes:
    wide = np.asarray(picture(48, 40).convert("L")).astype(np.uint16) * 257
    return encoded(Image.fromarray(wide.astype(">u2") if big_endian else wide), file_format, **options)


def test_sixteen_bit_grey_looks_like_its_eight_bit_twin() -> None:
    twin = decode(encoded(picture(48, 40).convert("L"), "PNG"))
    assert 20 < twin.mean() < 235
    for data in (grey16("PNG"), grey16("TIFF"), grey16("TIFF", big_endian=True)):
        np.testing.assert_array_equal(decode(data), twin)


def test_sixteen_bit_colour_looks_like_its_eight_bit_twin() -> None:
    array = np.asarray(picture(48, 40))
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in array)
    np.testing.assert_array_equal(decode(png(48, 40, rows, depth=16)), decode(encoded(picture(48, 40), "PNG")))


def test_transparency_is_laid_over_white() -> None:
    hidden = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    half = Image.new("RGBA", (40, 40), (0, 0, 0, 128))
    for file_format in ("PNG", "TIFF"):
        assert (decode(encoded(hidden, file_format)) == 255).all()
        assert (decode(encoded(half, file_format)) == 127).all()
    assert (decode(encoded(hidden, "WEBP", lossless=True, exact=True)) == 255).all()
    assert (decode(encoded(Image.new("LA", (40, 40), (0, 128)), "PNG")) == 127).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_transparent_colour_becomes_white(mode: str) -> None:
    if mode == "I;16":
        image, black = Image.fromarray(np.zeros((40, 40), np.uint16)), 0
    else:
        image, black = Image.new(mode, (40, 40), 0), 0
    plain = encoded(image, "PNG")
    transparent = encoded(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else black)
    assert (decode(plain) == 0).all()
    assert (decode(transparent) == 255).all()


def test_an_opaque_image_is_the_same_with_and_without_an_alpha_channel() -> None:
    image = picture(60, 40)
    np.testing.assert_array_equal(decode(encoded(image.convert("RGBA"), "PNG")), decode(encoded(image, "PNG")))


def test_a_palette_image_is_resized_in_colour_and_not_by_index() -> None:
    indexed = picture(60, 40).convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(decode(encoded(indexed, "PNG")), decode(encoded(indexed.convert("RGB"), "PNG")))


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "WEBP", "TIFF", "MPO"])
def test_of_several_frames_the_first_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((200, 30, 30), (30, 200, 30), (30, 30, 200))]
    pixels = decode(encoded(frames[0], file_format, save_all=True, append_images=frames[1:]))
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(axis=0), (200, 30, 30), atol=8)


def test_other_colour_spaces_become_the_same_colours() -> None:
    colour = (180, 90, 40)
    rgb = Image.new("RGB", (40, 40), colour)
    cmyk = rgb.convert("CMYK")
    lab = Image.new("LAB", (40, 40), (125, 163, 173))  # L* 49.0, a* 34.9, b* 44.8 (D50), 8 bits each
    for data in (
        *(encoded(cmyk), encoded(cmyk, "TIFF"), encoded(rgb.convert("YCbCr"), "TIFF"), encoded(lab, "TIFF")),
        *(encoded(rgb, "WEBP"), encoded(rgb, "GIF"), encoded(rgb, "TIFF", compression="tiff_lzw")),
    ):
        np.testing.assert_allclose(decode(data).reshape(-1, 3).mean(axis=0), colour, atol=8)


def test_grey_and_one_bit_images_become_grey() -> None:
    grey = decode(encoded(picture(60, 40).convert("L")))
    assert (grey[..., 0] == grey[..., 1]).all()
    assert (grey[..., 0] == grey[..., 2]).all()
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (40, 20))).convert("1")
    np.testing.assert_allclose(decode(encoded(stripes, "PNG")).mean(), 127.5, atol=3)


WHOLE = {
    "jpeg": encoded(picture(64, 48)),
    "progressive jpeg": encoded(picture(64, 48), progressive=True),
    "png": encoded(picture(64, 48), "PNG"),
    "webp": encoded(picture(64, 48), "WEBP"),
    "gif": encoded(picture(64, 48), "GIF"),
    "tiff": encoded(picture(64, 48), "TIFF"),
    "lzw tiff": encoded(picture(64, 48), "TIFF", compression="tiff_lzw"),
    "jpeg with exif": encoded(
        picture(64, 48), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    ),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_cut_anywhere_is_a_failure_and_not_half_an_image(kind: str) -> None:
    data = WHOLE[kind]
    # A TIFF's directory may point anywhere, so that not every cut shows as one.
    expected = {"truncated", "corrupt"} if "tiff" in kind else {"truncated"}
    for length in {12, 40, 200, len(data) // 3, len(data) // 2, len(data) - 100, len(data) - 30}:
        assert failure(data[:length]) in expected, length


@pytest.mark.parametrize("kind", ["jpeg", "progressive jpeg"])
def test_a_jpeg_without_its_end_marker_is_truncated_whatever_fills_its_place(kind: str) -> None:
    data = WHOLE[kind]
    assert failure(data[:-2]) == "truncated"
    assert failure(data[: len(data) // 2] + bytes(10_000)) == "truncated"


def test_bytes_after_the_end_do_not_matter() -> None:
    for kind in ("jpeg", "progressive jpeg", "png", "gif", "webp"):
        plain = decode(WHOLE[kind])
        for rest in (bytes(1000), b"PK\3\4" + b"x" * 1000):
            np.testing.assert_array_equal(decode(WHOLE[kind] + rest), plain)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_that_promises_more_than_it_holds_is_corrupt_and_not_grey(options: dict[str, Any]) -> None:
    assert failure(jpeg_claiming(3000, 3000, **options)) == "corrupt"


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"optimize": True, "quality": 1}])
def test_a_jpeg_of_one_flat_colour_is_not_taken_for_an_empty_promise(mode: str, options: dict[str, Any]) -> None:
    assert decode(encoded(Image.new(mode, (2000, 2000)), **options)).shape == (32, 32, 3)


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0, 10), (10, 0)])
def test_an_image_of_no_pixels_is_corrupt(width: int, height: int) -> None:
    assert failure(jpeg_claiming(width, height)) == "corrupt"
    assert failure(png(width, height, b"\0")) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        jpeg_claiming(12000, 12000),
        jpeg_claiming(65500, 65500),
        png(20000, 20000, b"\0"),
        png(2**31 - 1, 2**31 - 1, b"\0"),
        png(13000, 13000, b"\0", depth=1, colour=0),
    ],
    ids=["jpeg", "largest jpeg", "png", "largest png", "one-bit png"],
)
def test_too_many_pixels_are_refused_by_the_header(data: bytes) -> None:
    assert failure(data, ImageLimits(max_bytes=10**9, max_pixels=100_000_000)) == "too_large"


def test_the_limits_are_those_given_and_not_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # Pillow warns from here on
    assert decode(WHOLE["png"]).shape == (32, 32, 3)
    assert failure(WHOLE["png"], ImageLimits(max_bytes=10**6, max_pixels=64 * 48 - 1)) == "too_large"
    assert failure(WHOLE["png"], ImageLimits(max_bytes=len(WHOLE["png"]) - 1, max_pixels=10**6)) == "too_large"
    decode_image(WHOLE["png"], TINY, ImageLimits(max_bytes=len(WHOLE["png"]), max_pixels=64 * 48))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # and refuses from twice that on
    assert failure(WHOLE["png"]) == "too_large"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 100), (100, 7), (8, 161), (210, 10), (1, 5000)])
def test_slivers_are_refused(width: int, height: int) -> None:
    assert failure(encoded(picture(width, height), "PNG")) == "bad_aspect"


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_known_range_are_refused(mode: str) -> None:
    assert failure(encoded(Image.new(mode, (40, 40)), "TIFF")) == "unsupported_mode"


def test_a_sixteen_bit_negative_is_refused() -> None:
    assert failure(grey16("TIFF", tiffinfo={262: 0})) == "unsupported_mode"


@pytest.mark.parametrize("file_format", ["BMP", "JPEG2000", "AVIF", "ICO", "PPM", "EPS"])
def test_image_formats_that_are_not_listed_are_not_allowed(file_format: str) -> None:
    assert failure(encoded(picture(64, 48), file_format)) == "not_allowed"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\r\n<!DOCTYPE html><html>", "HTML"),
        (b"\xef\xbb\xbf<html lang=en>", "HTML"),
        (b'{"error": "not found"}', "JSON"),
        (b"\xff\xfe<\0h\0t\0m\0l\0>\0", "UTF-16"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>', "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\3\4", "ZIP"),
        (b"BM is not always a bitmap", "42 4d"),
        (b"x", "78"),
        (b"\xff\xd8", "ff d8"),
        (bytes(5000), "00 00"),
    ],
)
def test_what_is_no_image_is_said_to_be_what_it_is(start: bytes, kind: str) -> None:
    with pytest.raises(PhotoFailure, match=kind) as caught:
        decode(start)
    assert caught.value.error_class == "not_an_image"


def test_no_bytes_are_empty() -> None:
    assert failure(b"") == "empty"


def test_broken_metadata_does_not_cost_the_image() -> None:
    plain = decode(WHOLE["jpeg"])
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\xff\xff\xff\xff"):
        np.testing.assert_array_equal(decode(encoded(picture(64, 48), exif=exif)), plain)
    np.testing.assert_array_equal(decode(encoded(picture(64, 48), icc_profile=b"garbage")), plain)


def test_damage_is_corrupt() -> None:
    data = WHOLE["png"]
    middle = len(data) // 2
    assert failure(data[:middle] + bytes(b ^ 255 for b in data[middle : middle + 8]) + data[middle + 8 :]) == "corrupt"
    bomb = (b"zTXt", b"note\0\0" + zlib.compress(bytes(5_000_000)))
    assert failure(png(64, 48, b"".join(b"\0" + bytes(192) for _ in range(48)), bomb)) == "corrupt"
    tiff = bytearray(WHOLE["tiff"])
    directory = struct.unpack_from("<I", tiff, 4)[0]
    tiff[directory : directory + 60] = bytes(60)
    assert failure(bytes(tiff)) == "corrupt"


SMALL = {name: data for name, data in WHOLE.items() if name != "tiff"} | {
    "cmyk": encoded(picture(32, 24).convert("CMYK")),
    "palette": encoded(picture(32, 24).convert("P"), "PNG", transparency=3),
    "16 bit": grey16("PNG"),
    "16 bit tiff": grey16("TIFF"),
    "animation": encoded(picture(32, 24), "WEBP", save_all=True, append_images=[picture(32, 24, 1)]),
    "apng": encoded(picture(32, 24), "PNG", save_all=True, append_images=[picture(32, 24, 1)]),
    "mpo": encoded(picture(32, 24), "MPO", save_all=True, append_images=[picture(32, 24, 1)]),
}


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    st.booleans(),
    st.floats(0, 1),
)
def test_damaged_bytes_give_a_failure_or_pixels_and_nothing_else(
    name: str, edits: list[tuple[float, int]], in_header: bool, keep: float
) -> None:
    data = bytearray(SMALL[name])
    for place, value in edits:
        data[int(place * (min(200, len(data)) if in_header else len(data)))] = value
    if keep < 0.5:
        del data[int(2 * keep * len(data)) :]
    try:
        pixels = decode_image(bytes(data), TINY, ImageLimits(max_bytes=10**6, max_pixels=100_000))
    except PhotoFailure as caught:
        assert caught.message
    else:
        assert pixels.shape == (32, 32, 3)
        assert pixels.dtype == np.uint8
