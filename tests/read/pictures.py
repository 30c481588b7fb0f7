"""Image files for tests, made on the spot."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from geotag_batch.preprocess import Preprocess

TINY = Preprocess(size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return an RGB image with large shapes and fine grain, different for each seed and not symmetric."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    shapes = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    grain = random.integers(-20, 21, (height, width, 3), dtype=np.int16)
    return Image.fromarray((shapes + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    """Return `image` as a file's bytes."""
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def png(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes], depth: int = 8, colour: int = 2) -> bytes:
    """Return a PNG whose header says what it is told to, whatever `rows` (each with its filter byte) hold."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    every = ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in every
    )


def jpeg_claiming(width: int, height: int, **options: object) -> bytes:
    """Return a small whole JPEG whose frame header claims another size."""
    data = bytearray(encoded(picture(64, 48), "JPEG", **options))
    frame = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def scan_bomb(scans: int) -> bytes:
    """Return a progressive JPEG of 16 megapixels in which the last scan, a few kB at most, comes `scans` times more."""
    data = encoded(Image.new("L", (4000, 4000), 90), progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]
