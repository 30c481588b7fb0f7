"""What runs in a decoding process: read a local file or take fetched bytes, decode, send back; and end with the parent.

Nothing here may import torch: a decoding process would take a second longer to start and half a gigabyte more.
"""

import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from geotag_batch.errors import PhotoFailure
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.images import FetchedImage, ImageLimits, decode_image
from geotag_batch.read.local import LocalSource

__all__ = ["DecodeJob", "DecodeSettings", "LoadedImage", "serve"]


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """What a decoding process must know; `memory` is in bytes."""

    files: LocalSource | None
    preprocess: Preprocess
    limits: ImageLimits
    memory: int
    scaled: bool = False


@dataclass(frozen=True, slots=True)
class DecodeJob:
    """One image to decode: a reference to a local file, or its bytes."""

    gridimage_id: int
    image: str | FetchedImage


@dataclass(frozen=True, slots=True, eq=False)
class LoadedImage:
    """What has become of one image: `pixels`, uint8 (size, size, 3), or a `failure`; one of them is None.

    `signature` is that of the image looked at, None if there was none to look at.
    """

    gridimage_id: int
    pixels: NDArray[np.uint8] | None
    signature: str | None
    failure: PhotoFailure | None

    @classmethod
    def failed(cls, gridimage_id: int, failure: PhotoFailure) -> "LoadedImage":
        """Return the outcome of an image that cannot be used."""
        return cls(gridimage_id, None, failure.image_signature, failure)


def serve(connection: Connection, settings: DecodeSettings) -> None:
    """Answer each list of DecodeJobs with one LoadedImage a job, in order, until the connection closes.

    Sends None first, when ready.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group, and the parent decides
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _limit_memory(settings.memory)
    Image.MAX_IMAGE_PIXELS = settings.limits.max_pixels  # else Pillow's own limit would bound a higher configured one
    try:
        connection.send(None)
        while True:
            jobs: Sequence[DecodeJob] = connection.recv()
            for job in jobs:
                connection.send(_load(job, settings))
    except (EOFError, ConnectionError):
        return  # the parent is done, or gone


def _load(job: DecodeJob, settings: DecodeSettings) -> LoadedImage:
    signature = None
    try:
        image = job.image
        if isinstance(image, str):
            assert settings.files is not None, "a reference came to a process that has no folder of images"
            image = settings.files.fetch(image)
        signature = image.signature
        pixels = decode_image(image.data, settings.preprocess, settings.limits, scaled=settings.scaled)
    except MemoryError:  # a file too large for what is left
        return LoadedImage.failed(
            job.gridimage_id, PhotoFailure("decode_memory", "too little memory for the file", image_signature=signature)
        )
    except PhotoFailure as failure:
        failure.image_signature = failure.image_signature or signature
        return LoadedImage.failed(job.gridimage_id, failure)
    return LoadedImage(job.gridimage_id, pixels, signature, None)


def _exit_with_parent() -> None:
    """End when the parent does, however it ends: under forkserver no signal tells, and a decoder may be in a loop."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _limit_memory(more: int) -> None:
    """Let the process take `more` bytes of address space than it has now; leave no core file when a decoder aborts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere address space is not limited, or not per process
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = pages * resource.getpagesize() + more
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
