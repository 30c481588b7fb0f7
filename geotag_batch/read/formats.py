"""What kind of file some bytes are, told from the bytes alone, and whether such a file is all there.

Neither a file's name nor a server's Content-Type is trusted.
"""

from geotag_batch.errors import PhotoFailure
from geotag_batch.read.jpeg import check_jpeg, has_end

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
        check_jpeg(data)
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
    return b"IEND" not in data if name == "PNG" else not has_end(data)
