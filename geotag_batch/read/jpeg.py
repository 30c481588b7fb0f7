"""Whether a JPEG is all there: libjpeg fills what is missing with grey and says nothing that Pillow would pass on.

What shows in the markers is found in `check_jpeg`, before decoding. A scan that was cut and given an end marker all the
same shows in the pixels alone: the last of them is then middle grey (`ends_in_grey`), and other bytes at the place of
the cut give other pixels (`lengthened`), which they do not in a JPEG that is whole.

Not found: a loss within the last 8 or 16 pixels' square, damage that still reads as pixels, and an image that was
saved again after its loss.
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from geotag_batch.errors import PhotoFailure

__all__ = ["check_jpeg", "ends_in_grey", "has_end", "lengthened"]

_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
"""All that a length follows, and the end; among entropy-coded bytes there is none (ITU-T T.81, B.1.1)."""

_EOI, _SOS, _DRI = 0xD9, 0xDA, 0xDD
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOFn
_PROGRESSIVE = {0xC2, 0xCA}
_LEAST_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}
"""Bits that each 8 x 8 block takes at the very least, by kind of frame (T.81): a sequential one's DC code and
end-of-block code, a progressive one's DC code. Arithmetic coding (other frames) has no such bound."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """A marker, where it stands, and what it holds."""

    marker: int
    start: int
    content: bytes


def _segments(data: bytes) -> Iterator[_Segment]:
    """Yield the segments of the first image, to its end marker."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, start = data[found.start() + 1], found.start()
        if marker == _EOI:
            yield _Segment(marker, start, b"")
            return
        position = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        yield _Segment(marker, start, data[start + 4 : position])


def has_end(data: bytes) -> bool:
    """Tell whether an end marker closes the first image of a JPEG."""
    return any(segment.marker == _EOI for segment in _segments(data))


def check_jpeg(data: bytes) -> None:
    """Refuse a JPEG that lost its end or a scan, or promises more than it holds. Raises PhotoFailure."""
    frame: _Segment | None = None
    scans: list[_Segment] = []
    for segment in _segments(data):
        if segment.marker in _FRAMES and frame is None:
            frame = segment
        elif segment.marker == _SOS:
            scans.append(segment)
        elif segment.marker == _EOI and scans:
            break
    else:
        at = "without its end marker" if scans else "before its first scan"
        raise PhotoFailure("truncated", f"the JPEG ends {at}")
    if frame is None:
        raise PhotoFailure("corrupt", "the JPEG has no frame header")
    least = _LEAST_BITS.get(frame.marker, 0) * _count_blocks(frame.content) // 8
    if len(data) - scans[0].start < least:
        raise PhotoFailure("corrupt", f"the JPEG's header promises at least {least} bytes of pixels, more than it has")
    _check_scans(frame, scans)


def _check_scans(frame: _Segment, scans: list[_Segment]) -> None:
    """Refuse a JPEG in which a component, or a bit of a progressive one's coefficients, never comes."""
    missing = {component: set(range(64)) for component in frame.content[6::3]}
    for scan in scans:
        count = scan.content[0] if scan.content else 0
        if len(scan.content) < 2 * count + 4:
            raise PhotoFailure("corrupt", "the JPEG's scan header is cut short")
        first, last, bits = scan.content[2 * count + 1 : 2 * count + 4]
        if frame.marker not in _PROGRESSIVE:
            first, last, bits = 0, 63, 0
        if bits & 15 == 0:  # the last bit of these coefficients
            for component in scan.content[1 : 2 * count : 2]:
                missing.get(component, set()).difference_update(range(first, last + 1))
    if any(missing.values()):
        raise PhotoFailure("truncated", f"the JPEG ends after {len(scans)} scans, before its last one")


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


def ends_in_grey(image: Image.Image) -> bool:
    """Tell whether the last pixel of a decoded JPEG is what libjpeg puts where its data ends.

    That is a block without coefficients, brightness 128; its colour may have been blended with its neighbours'. One
    photo in fifty ends so by chance.
    """
    value = image.getpixel((image.width - 1, image.height - 1))
    if isinstance(value, tuple):
        red, green, blue = value[:3]
        value = value[3] if image.mode == "CMYK" else 0.299 * red + 0.587 * green + 0.114 * blue
    return value is not None and 126 <= value <= 130


def lengthened(data: bytes) -> bytes:
    """Return a JPEG with other bytes before its end marker: the same picture, unless its data end too soon."""
    noise = hashlib.shake_128(b"no picture").digest(256).replace(b"\xff", b"\x7f")
    segments = list(_segments(data))
    if any(segment.marker == _DRI for segment in segments):  # at a restart the decoder skips to the next marker
        noise += b"".join(b"\xff" + bytes([0xD0 + number]) + noise for number in range(8))
    end = segments[-1].start
    return data[:end] + noise + data[end:]
