"""Bytes to pixels: one image decoded, mended, resized and cropped as its encoder wants it, with Pillow and NumPy alone.

Nothing is guessed: what cannot be decoded whole and faithfully is a PhotoFailure.
"""

import io
import math
import struct
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import (
    GifImagePlugin,
    Image,
    ImageChops,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from geotag_batch.errors import PhotoFailure
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.formats import check_whole, ends_early, image_format
from geotag_batch.read.jpeg import ends_in_grey, lengthened

__all__ = ["FetchedImage", "ImageLimits", "decode_image"]

_PLUGINS = (GifImagePlugin, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Imported here, or Image.open would import all that Pillow knows as soon as it meets a TIFF."""


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image file's bytes, and its signature: what tells this version of it from a later one."""

    data: bytes
    signature: str


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The most bytes and pixels that an image may have."""

    max_bytes: int
    max_pixels: int


def decode_image(
    data: bytes, preprocess: Preprocess, limits: ImageLimits, *, scaled: bool = False
) -> NDArray[np.uint8]:
    """Return an image file's pixels, uint8 (size, size, 3), as the encoder's own transform would make them.

    With resize_mode "inside" they are (height, width, 3).

    From RGB on this is torchvision's Resize and CenterCrop on a PIL image, to one grey level. Before it only what would
    turn to nonsense is mended: EXIF orientation is applied, 16 bits are scaled to 8, transparency is laid over white,
    the first frame of an animation is taken, and other colour spaces are converted.

    With `scaled` a JPEG is decoded at the half, quarter or eighth of its size that still covers the encoder's square,
    by libjpeg, which is faster and gives other pixels.

    Not for use by several threads at a time: Python's warning filters, which it sets, belong to the whole process.
    Raises PhotoFailure with any class of stage `image` that is about an image's bytes; nothing else.
    """
    if len(data) > limits.max_bytes:
        raise PhotoFailure("too_large", f"{len(data)} bytes, more than images.max_bytes = {limits.max_bytes}")
    name = image_format(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata and of size; the size is decided here
        pixels = limits.max_pixels if name == "WEBP" else 0  # opening a WebP sets up its decoder
        try:
            image = Image.open(io.BytesIO(data), formats=[name])
            pixels = image.width * image.height
            _check_size(*image.size, limits)
            check_whole(name, data)
            if scaled:
                image.draft(None, (preprocess.size, preprocess.size))
            image.load()
            if name == "JPEG" and ends_in_grey(image):
                _check_end(image, data)
            return _fit(_to_rgb(image), preprocess)
        except PhotoFailure:
            raise
        except Exception as error:  # Pillow raises nearly any class on bytes made or broken to confuse it
            raise _failure(error, name, data, pixels) from error


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise PhotoFailure("too_large", f"{width} x {height} pixels, more than images.max_pixels = {limits.max_pixels}")
    if min(width, height) < 8:
        raise PhotoFailure("bad_aspect", f"{width} x {height} pixels: a side of less than 8")
    if max(width, height) > 20 * min(width, height):
        raise PhotoFailure("bad_aspect", f"{width} x {height} pixels: one side more than 20 times the other")


def _check_end(image: Image.Image, data: bytes) -> None:
    """Refuse a JPEG whose pixels are not all its own, though an end marker stands at its end."""
    other = Image.open(io.BytesIO(lengthened(data)), formats=["JPEG"])
    other.draft(None, image.size)  # decoded at the same scale
    other.load()
    if other.size != image.size or ImageChops.difference(image, other).getbbox() is not None:
        raise PhotoFailure("truncated", "the JPEG's data end before its pixels do, though an end marker follows")


def _failure(error: Exception, name: str, data: bytes, pixels: int) -> PhotoFailure:
    text = f"{name}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return PhotoFailure("decode_memory", text)
    if isinstance(error, Image.DecompressionBombError):
        return PhotoFailure("too_large", text)
    if "truncated" in str(error).lower() or ends_early(name, data):
        return PhotoFailure("truncated", text)
    if _is_short_of_memory(pixels):
        return PhotoFailure("decode_memory", f"{text} (or too little memory for {pixels} pixels)")
    return PhotoFailure("corrupt", text)


def _is_short_of_memory(pixels: int) -> bool:
    """Tell whether memory may have been the trouble: libjpeg and libwebp report too little of it as broken data."""
    try:
        np.empty(20 * pixels, np.uint8)  # the most that was seen to be needed, by WebP; reserved, not touched
    except MemoryError:
        return True
    return False


_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the transposition that undoes it; 1 and anything unknown need none."""

_EXIF_ERRORS = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error
)  # fmt: skip


def _to_rgb(image: Image.Image) -> Image.Image:
    transposition = _transposition(image)
    image = _narrow(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != "RGB":  # Pillow would copy it
        image = image.convert("RGB")
    return image if transposition is None else image.transpose(transposition)


def _transposition(image: Image.Image) -> Image.Transpose | None:
    try:
        return _UPRIGHT.get(image.getexif().get(0x0112, 1))  # Pillow has turned a TIFF already, and taken the tag away
    except _EXIF_ERRORS:  # broken metadata says nothing about the pixels
        return None


def _narrow(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits, where Pillow's own conversion would clip it to white."""
    if image.mode in ("I", "F"):
        raise PhotoFailure("unsupported_mode", f"pixels of mode {image.mode} have no known range")
    if not image.mode.startswith("I;16"):
        return image
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits, meaning = image.tag_v2.get(258), image.tag_v2.get(262)  # BitsPerSample, PhotometricInterpretation
        if (bits, meaning) != ((16,), 1):
            raise PhotoFailure("unsupported_mode", f"grey TIFF of {bits} bits, photometric interpretation {meaning}")
    wide = np.asarray(image)
    narrow = (wide >> 8).astype(np.uint8)
    if "transparency" in image.info:
        narrow[wide == image.info["transparency"]] = 255
    return Image.fromarray(narrow)


_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def _fit(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Resize and crop an RGB image as torchvision does (transforms.functional: resize, center_crop).

    Only the square that the crop keeps is resampled, which gives the same pixels to within one grey level: the kept
    square's corners are rounded to float32 on the way. Pillow resamples rows before columns unless a side is at least
    twice the other; such an image is resampled whole, for in the other order the two roundings differ.
    """
    size, (width, height) = preprocess.size, image.size
    method = _RESAMPLING[preprocess.interpolation]
    if preprocess.resize_mode == "squash":
        return np.array(image.resize((size, size), method))
    if preprocess.resize_mode == "inside":
        scale = min(1.0, size / max(width, height))
        return np.array(image.resize((max(1, round(scale * width)), max(1, round(scale * height))), method))
    wide, high = (int(size * width / height), size) if width > height else (size, int(size * height / width))
    left, top = round((wide - size) / 2), round((high - size) / 2)
    if max(width, height) >= 2 * min(width, height):
        return np.array(image.resize((wide, high), method).crop((left, top, left + size, top + size)))
    across, down = width / wide, height / high
    margin = math.ceil(2 * max(down, 1.0)) + 1  # rows that the bicubic kernel reaches beyond the square
    first = max(0, math.floor(top * down) - margin)
    last = min(height, math.ceil((top + size) * down) + margin)
    rows = image.crop((0, first, width, last)) if last - first < height else image
    right, bottom = min((left + size) * across, width), min((top + size) * down - first, last - first)
    columns = rows.resize((size, last - first), method, box=(left * across, 0, right, last - first))
    return np.array(columns.resize((size, size), method, box=(0, top * down - first, size, bottom)))
