"""Image files that are damaged, no images, not allowed, or merely unusual."""

import base64
import gzip
import os
import socket
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.corpus.cases import GOOD, Case, Impossible
from tests.read.pictures import encoded, jpeg_claiming, picture, png

__all__ = ["IMAGES"]

LARGE = encoded(picture(640, 480, seed=3))
PROGRESSIVE = encoded(picture(320, 240, seed=4), progressive=True)
WITH_EXIF = encoded(picture(64, 48), exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")

ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9lnN+gXz/"
    "2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/yQARCAAQABgDASIAAhEBAxEB/8wA"
    "CgAQEAUBEBEF/9oADAMBAAIRAxEAPwDOs5wP4MPUg4uwnPHZPlqpYpCn0mdhVNLNMFcejaQuxB4IqFaqKOfx20YS25E03u6Jdkg9ZNF9w9ujoRZSPJNmAk+9"
    "+/yVMAZbY+lhev8AwzLC8dYRh6w5lmrsmD7g/9k="
)
"""picture(24, 16) as jpegtran -arithmetic writes it; Pillow writes no such files."""


def markers(data: bytes) -> Iterator[tuple[str, int]]:
    """Yield name and place of each marker of a JPEG up to its first scan."""
    names = {0xE0: "APP0", 0xE1: "APP1", 0xDB: "DQT", 0xC0: "SOF0", 0xC4: "DHT", 0xDA: "SOS"}
    position = 2
    while True:
        marker = data[position + 1]
        yield names[marker], position
        if marker == 0xDA:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def cut() -> Iterator[Case]:
    """Yield files that end too soon, or claim more than they hold."""
    yield image("JPEG cut after its first marker", "not_an_image", GOOD[:2])
    yield image("JPEG of three bytes", "truncated", GOOD[:3])
    seen: dict[str, int] = {}
    for name, place in markers(WITH_EXIF):
        seen[name] = seen.get(name, 0) + 1
        if place == 2:
            continue  # the case above
        yield image(f"JPEG cut before {name} {seen[name]}", "truncated", WITH_EXIF[:place])
        yield image(f"JPEG cut within {name} {seen[name]}", "truncated", WITH_EXIF[: place + 3])
    yield image("JPEG cut in the middle of its scan", "truncated", LARGE[: len(LARGE) // 2])
    yield image("JPEG without its end marker", "truncated", LARGE[:-2])
    yield image("JPEG cut in half, filled up with zeros", "truncated", LARGE[: len(LARGE) // 2] + bytes(9999))
    for percent in (10, 50, 95):
        part = LARGE[: len(LARGE) * percent // 100]
        yield image(f"JPEG cut at {percent} %, end marker behind", "truncated", part + b"\xff\xd9")
    restarts = encoded(picture(640, 480), restart_marker_rows=1)
    yield image("the same with restart markers", "truncated", restarts[: len(restarts) // 2] + b"\xff\xd9")
    at = restarts.index(b"\xff\xd3")
    yield image("the same, cut just at a restart", "truncated", restarts[:at] + b"\xff\xd9")
    scans = [place for place in range(len(PROGRESSIVE)) if PROGRESSIVE.startswith(b"\xff\xda", place)]
    for number, place in enumerate(scans[1:], 1):
        yield image(
            f"progressive JPEG of {len(scans)} scans cut after {number}, end marker behind",
            "truncated",
            PROGRESSIVE[:place] + b"\xff\xd9",
        )
    for file_format in ("PNG", "GIF", "WEBP", "TIFF"):
        data = encoded(picture(64, 48), file_format)
        yield image(f"{file_format} cut in half", "truncated", data[: len(data) // 2])
    yield image("JPEG whose header says 3000 x 3000, of 2 kB", "corrupt", jpeg_claiming(3000, 3000))
    yield image("progressive JPEG likewise", "corrupt", jpeg_claiming(3000, 3000, progressive=True))
    yield image("JPEG whose header says 0 x 0", "corrupt", jpeg_claiming(0, 0))
    yield image("PNG with a wrong checksum", "corrupt", damaged_png())
    yield image("PNG with a 5 MB comment in 5 kB", "corrupt", png_with_bomb())
    yield image("PNG without pixels", "truncated", png(64, 48, b""))


def damaged_png() -> bytes:
    """Return a PNG with one wrong byte in its pixels."""
    data = bytearray(encoded(picture(64, 48), "PNG"))
    data[len(data) // 2] ^= 255
    return bytes(data)


def png_with_bomb() -> bytes:
    """Return a PNG whose compressed comment is huge."""
    rows = b"".join(b"\0" + bytes(192) for _ in range(48))
    return png(64, 48, rows, (b"zTXt", b"note\0\0" + zlib.compress(bytes(5_000_000))))


def other_kinds() -> Iterator[Case]:
    """Yield what is no image, and images that are not allowed, all of them named .jpg."""
    for name, data in (
        ("HTML", b"<!DOCTYPE html><html><script>alert(1)</script></html>"),
        ("HTML in UTF-16", "\ufeff<html></html>".encode("utf-16")),
        ("text", b"no such photo\n"),
        ("JSON", b'{"error": "not found"}'),
        ("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("SVG with a script", b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'),
        ("a JPEG in gzip", gzip.compress(GOOD)),
        ("a ZIP archive", b"PK\3\4" + bytes(100)),
        ("5,000 zero bytes", bytes(5000)),
        ("a Python pickle", b"\x80\x04\x95" + bytes(50)),
    ):
        yield image(f"{name} named .jpg", "not_an_image", data)
    yield image("no bytes at all", "empty", b"")
    yield image("one byte", "not_an_image", b"\xff")
    for file_format in ("PNG", "WEBP", "GIF", "TIFF"):
        yield image(f"{file_format} named .jpg", "tagged", encoded(picture(64, 48), file_format))
    for file_format in ("BMP", "ICO", "JPEG2000", "AVIF", "PPM", "EPS"):
        yield image(f"{file_format} named .jpg", "not_allowed", encoded(picture(64, 48), file_format))
    yield image("HEIC named .jpg", "not_allowed", b"\0\0\0\x18ftypheic" + bytes(200))
    yield image("JPEG XL named .jpg", "not_allowed", b"\xff\x0a" + bytes(200))
    yield image("Photoshop named .jpg", "not_allowed", b"8BPS\0\1" + bytes(200))


def unusual() -> Iterator[Case]:
    """Yield images that are fine, though few are like them, and those without a faithful RGB form."""
    colour = picture(64, 48)
    grey = colour.convert("L")
    wide = np.asarray(grey).astype(np.uint16) * 257
    ycck = bytearray(encoded(colour.convert("CMYK")))
    ycck[ycck.index(b"Adobe") + 11] = 2
    for name, data in (
        ("CMYK JPEG", encoded(colour.convert("CMYK"))),
        ("YCCK JPEG", bytes(ycck)),
        ("CMYK TIFF", encoded(colour.convert("CMYK"), "TIFF")),
        ("grey JPEG", encoded(grey)),
        ("progressive JPEG", PROGRESSIVE),
        ("progressive JPEG with its last scan 500 times", small_scan_bomb()),
        ("JPEG in arithmetic coding", ARITHMETIC),
        ("16-bit grey PNG", encoded(Image.fromarray(wide), "PNG")),
        ("16-bit grey TIFF", encoded(Image.fromarray(wide), "TIFF")),
        ("16-bit colour PNG", png16(colour)),
        ("1-bit PNG", encoded(colour.convert("1"), "PNG")),
        ("palette PNG with transparency", encoded(colour.convert("P"), "PNG", transparency=3)),
        ("PNG with alpha", encoded(colour.convert("RGBA"), "PNG")),
        ("grey PNG with alpha", encoded(colour.convert("LA"), "PNG")),
        ("animated GIF", frames("GIF")),
        ("animated WebP", frames("WEBP")),
        ("animated PNG", frames("PNG")),
        ("multi-picture JPEG (MPO)", frames("MPO")),
        ("TIFF of three pages", frames("TIFF")),
        ("JPEG turned by EXIF", WITH_EXIF),
        ("JPEG with an EXIF orientation of 99", encoded(colour, exif=orientation(99))),
        ("JPEG with broken EXIF", encoded(colour, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")),
        ("JPEG whose EXIF points to itself", encoded(colour, exif=exif_loop())),
        ("JPEG with a broken ICC profile", encoded(colour, icc_profile=b"garbage")),
        ("JPEG with a megabyte of ICC profile", encoded(colour, icc_profile=bytes(1_000_000))),
        ("JPEG with a ZIP archive behind it", GOOD + b"PK\3\4" + bytes(1000)),
        ("JPEG of one flat middle grey", encoded(Image.new("RGB", (640, 480), (128, 128, 128)))),
    ):
        yield image(name, "tagged", data)
    yield image("float TIFF", "unsupported_mode", encoded(Image.new("F", (40, 40)), "TIFF"))
    yield image("32-bit integer TIFF", "unsupported_mode", encoded(Image.new("I", (40, 40)), "TIFF"))
    yield image("16-bit negative TIFF", "unsupported_mode", encoded(Image.fromarray(wide), "TIFF", tiffinfo={262: 0}))


def small_scan_bomb() -> bytes:
    """Return a small progressive JPEG with very many scans."""
    last = PROGRESSIVE.rindex(b"\xff\xda")
    return PROGRESSIVE[:-2] + PROGRESSIVE[last:-2] * 500 + PROGRESSIVE[-2:]


def png16(colour: Image.Image) -> bytes:
    """Return a PNG of 16 bits a channel."""
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in np.asarray(colour))
    return png(*colour.size, rows, depth=16)


def frames(file_format: str) -> bytes:
    """Return a file of three images."""
    others = [picture(40, 40, seed) for seed in (1, 2)]
    return encoded(picture(40, 40), file_format, save_all=True, append_images=others)


def orientation(value: int) -> Image.Exif:
    """Return EXIF that holds an orientation."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def exif_loop() -> bytes:
    """Return EXIF whose directory names itself as the next one."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + struct.pack("<I", 8)


def sizes() -> Iterator[Case]:
    """Yield images that are too small, too long or too large, or say so."""
    for width, height in ((1, 1), (1, 20000), (20000, 1), (7, 100), (8, 161)):
        yield image(f"{width} x {height} pixels", "bad_aspect", encoded(Image.new("RGB", (width, height)), "PNG"))
    for name, data in (
        ("JPEG of 9000 x 9000 by its header", jpeg_claiming(9000, 9000)),
        ("JPEG of 65500 x 65500 by its header", jpeg_claiming(65500, 65500)),
        ("PNG of 20000 x 20000", png(20000, 20000, b"\0")),
        ("PNG of 2147483647 x 2147483647", png(2**31 - 1, 2**31 - 1, b"\0")),
        ("1-bit PNG of 13000 x 13000", png(13000, 13000, b"\0", depth=1, colour=0)),
        ("GIF of 65535 x 65535", resized_gif()),
    ):
        yield image(name, "too_large", data)
    yield Case("image", "a sparse file of 60 MB", "too_large", lambda path: sparse(path, 60_000_000))


def resized_gif() -> bytes:
    """Return a GIF whose screen and frame claim the most that the format can say."""
    data = bytearray(encoded(picture(40, 40), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    frame = data.index(b",\0\0\0\0(\0(\0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def sparse(path: Path, size: int) -> None:
    """Make a file of so many zero bytes that takes no room."""
    with path.open("wb") as file:
        file.truncate(size)


def no_files() -> Iterator[Case]:
    """Yield what stands where a file should."""
    for name, expected, make in (
        ("a folder", "not_a_file", os.mkdir),
        ("a FIFO", "not_a_file", os.mkfifo),
        ("a socket", "not_a_file", listen),
        ("a device", "not_a_file", make_device),
        ("a link to itself", "io_error", lambda path: path.symlink_to(path.name)),
        ("a link to nothing", "missing", lambda path: path.symlink_to("nothing.jpg")),
        ("a link to a good photo beside it", "tagged", link_beside),
        ("a link out of the image root", "outside_root", lambda path: path.symlink_to("/etc/hostname")),
        ("a link to /dev/zero", "outside_root", lambda path: path.symlink_to("/dev/zero")),
        ("a file that may not be read", "io_error", make_unreadable),
    ):
        yield Case("image", name, expected, make)


def listen(path: Path) -> None:
    """Make a socket; its path may be longer than a socket's address may be."""
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def make_device(path: Path) -> None:
    """Make a device like /dev/zero."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError as error:
        raise Impossible("needs the right to make devices") from error


def link_beside(path: Path) -> None:
    """Make a good photo, and a link to it."""
    path.with_suffix(".good.jpg").write_bytes(GOOD)
    path.symlink_to(path.with_suffix(".good.jpg").name)


def make_unreadable(path: Path) -> None:
    """Make a file that only root could read."""
    if os.geteuid() == 0:
        raise Impossible("root may read everything")
    path.write_bytes(GOOD)
    path.chmod(0)


def image(name: str, expected: str, data: bytes) -> Case:
    """Return a case of a file of so many bytes."""
    make: Callable[[Path], object] = lambda path: path.write_bytes(data)  # noqa: E731
    return Case("image", name, expected, make)


IMAGES = (*cut(), *other_kinds(), *unusual(), *sizes(), *no_files())
