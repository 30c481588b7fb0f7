"""What kind of file some bytes are, told from the bytes alone, and whether such a file is all there.

Neither a file's name nor a server's Content-Type is trusted.
"""

import struct

from geotag_batch.errors import PhotoFailure

__all__ = ["check_whole", "ends_early", "image_format"]

_ALLOWED = (
    ("JPEG", 0, b"\xff\xd8\xff"),  # MPO too: a JPEG followed by others
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("WEBP", 8, b"WEBP"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
)
_NOT_ALLOWED = (
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL "),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("AVIF", 4, b"ftypavi"),
    ("HEIF", 4, b"ftyphe"),
    ("HEIF", 4, b"ftypmif1"),
    ("BMP", 6, b"\0\0\0\0"),  # with "BM" in front, see _is_bmp
    ("ICO", 0, b"\0\0\1\0"),
    ("Photoshop", 0, b"8BPS"),
    ("PostScript", 0, b"%!PS"),
    ("PostScript", 0, b"\xc5\xd0\xd3\xc6"),
    ("PNM", 0, b"P4\n"),
    ("PNM", 0, b"P5\n"),
    ("PNM", 0, b"P6\n"),
)
_NO_IMAGES = (
    ("PDF", b"%PDF"),
    ("gzip", b"\x1f\x8b"),
    ("ZIP", b"PK\3\4"),
    ("UTF-16 text", b"\xff\xfe"),
    ("UTF-16 text", b"\xfe\xff"),
    ("HTML", b"<!doctype html"),
    ("HTML", b"<html"),
    ("SVG", b"<svg"),
    ("XML", b"<?xml"),
    ("JSON", b"{"),
)


def image_format(data: bytes) -> str:
    """Return Pillow's name of the allowed format that `data` is in.

    Raises PhotoFailure: `empty`, `not_allowed` (another image format) or `not_an_image`.
    """
    if not data:
        raise PhotoFailure("empty", "the file has no bytes")
    for name, offset, magic in _ALLOWED:
        if data.startswith(magic, offset):
            return name
    for name, offset, magic in _NOT_ALLOWED:
        if data.startswith(magic, offset) and (name != "BMP" or data.startswith(b"BM")):
            raise PhotoFailure("not_allowed", f"{name} images are not allowed")
    text = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for name, start in _NO_IMAGES:
        if data.startswith(start) or text.startswith(start):
            raise PhotoFailure("not_an_image", f"the file is {name}, not an image")
    raise PhotoFailure("not_an_image", f"the bytes are of no known image format: they begin with {data[:8].hex(' ')}")


def check_whole(name: str, data: bytes) -> None:
    """Refuse what Pillow would read as if it were whole: a cut JPEG padded with zeros, a JPEG of grey from nothing.

    `name` is what `image_format` has returned. Bytes after the image's end are no fault. Raises PhotoFailure:
    `truncated`, or `corrupt` where a header promises more pixels than the bytes can hold.
    """
    if name == "JPEG":
        _check_jpeg(data)
    elif name == "PNG" and b"IEND" not in data:
        raise PhotoFailure("truncated", "the PNG ends without its end chunk")


def ends_early(name: str, data: bytes) -> bool:
    """Tell whether a file that cannot be decoded seems to have lost its end, by what its own header says."""
    if name == "WEBP":
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    if name == "TIFF":
        directory = int.from_bytes(data[4:8], "little" if data.startswith(b"II") else "big")
        return len(data) < directory + 2
    if name == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    return (b"IEND" if name == "PNG" else b"\xff\xda") not in data


_STANDALONE = {0x00, 0x01, *range(0xD0, 0xD9)}  # stuffing, TEM, RSTn, SOI: nothing that has a length follows
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOFn
_LEAST_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}
"""Bits that each 8 x 8 block takes at the very least, by kind of frame (ITU-T T.81): a sequential one's DC code and
end-of-block code, a progressive one's DC code. Arithmetic coding (other frames) has no such bound."""


def _check_jpeg(data: bytes) -> None:
    position, frame = 2, None
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in _FRAMES:
            frame = (marker, data[position + 4 : position + 2 + length])
        if marker == 0xDA:
            return _check_scans(data, position + 2 + length, frame)
        if marker == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 if marker in _STANDALONE else 2 + length
    raise PhotoFailure("truncated", "the JPEG ends before its first scan")


def _check_scans(data: bytes, start: int, frame: tuple[int, bytes] | None) -> None:
    if data.find(b"\xff\xd9", start) < 0:
        raise PhotoFailure("truncated", "the JPEG ends without its end marker")
    if frame is None:
        raise PhotoFailure("corrupt", "the JPEG has no frame header")
    least = _LEAST_BITS.get(frame[0], 0) * _count_blocks(frame[1]) // 8
    if len(data) - start < least:
        raise PhotoFailure("corrupt", f"the JPEG's header promises at least {least} bytes of pixels, more than it has")


def _count_blocks(frame: bytes) -> int:
    """Return how many 8 x 8 blocks a frame header announces, all components together."""
    try:
        height, width, count = struct.unpack_from(">xHHB", frame)
        samplings = [frame[6 + 3 * i + 1] for i in range(count)]
    except (struct.error, IndexError) as error:
        raise PhotoFailure("corrupt", "the JPEG's frame header is cut short") from error
    across = [sampling >> 4 for sampling in samplings]
    down = [sampling & 15 for sampling in samplings]
    if not samplings or not all((height, width, *across, *down)):
        raise PhotoFailure("corrupt", f"the JPEG's header says {width} x {height} pixels")
    return sum(
        -(-width * h // (8 * max(across))) * -(-height * v // (8 * max(down)))
        for h, v in zip(across, down, strict=True)
    )
