"""Image files below a folder. Nothing outside it is opened, and nothing that is no plain file."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from geotag_batch.errors import ImageRootError, PhotoFailure
from geotag_batch.read.images import FetchedImage
from geotag_batch.read.urls import is_url

__all__ = ["LocalSource"]

_ABSENT = {errno.ENOENT, errno.ENOTDIR}


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Reads images below `root`; a reference is a path relative to it. Small, to travel to decoding processes."""

    root: Path
    max_bytes: int

    def check_root(self) -> None:
        """Raise ImageRootError unless the root is a folder that can be read and is not empty."""
        hint = "mount the disk, or set images.root in geotag.toml"
        try:
            with os.scandir(self.root) as entries:
                empty = next(entries, None) is None
        except OSError as error:
            raise ImageRootError(f"image root {self.root} cannot be read: {error.strerror}", hint=hint) from error
        if empty:
            raise ImageRootError(f"image root {self.root} is empty", hint=hint)

    def signature(self, reference: str) -> str:
        """Return "{size}-{mtime_ns}" of a file. Raises PhotoFailure."""
        try:
            return _signature(_stat_file(self._resolve(reference)))
        except OSError as error:
            raise _failure(error) from error

    def fetch(self, reference: str) -> FetchedImage:
        """Read a file. Raises PhotoFailure: `missing`, `not_a_file`, `outside_root`, `too_large`, `io_error`."""
        try:
            path = self._resolve(reference)
            _stat_file(path)  # opening a device may do something; a file that is swapped in between does not block
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                status = _stat_file(file.fileno())
                signature = _signature(status)
                if status.st_size > self.max_bytes:
                    raise PhotoFailure(
                        "too_large",
                        f"{status.st_size} bytes, more than images.max_bytes = {self.max_bytes}",
                        image_signature=signature,
                    )
                data = file.read(status.st_size + 1)
        except OSError as error:
            raise _failure(error) from error
        if len(data) != status.st_size:
            raise PhotoFailure("io_error", "the file changed while it was read", image_signature=signature)
        return FetchedImage(data, signature)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _resolve(self, reference: str) -> str:
        """Return the real path of `reference`, all symbolic links followed, which must lie below the real root."""
        if is_url(reference):
            raise PhotoFailure("outside_root", f"{reference!r} is a URL, and the image root is a folder")
        try:
            root = os.path.realpath(self.root)
            path = os.path.realpath(os.path.join(root, reference))
        except ValueError as error:  # a NUL, or text that no file name can hold
            raise PhotoFailure("missing", f"{reference!r} cannot be the name of a file") from error
        if os.path.isabs(reference) or os.path.commonpath((root, path)) != root:
            raise PhotoFailure("outside_root", f"{reference!r} leads out of the image root")
        return path


def _stat_file(file: str | int) -> os.stat_result:
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a FIFO, device or socket"
        raise PhotoFailure("not_a_file", f"{kind} stands where the image should")
    return status


def _signature(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _failure(error: OSError) -> PhotoFailure:
    if error.errno in _ABSENT:
        return PhotoFailure("missing", "no such file")
    return PhotoFailure("io_error", error.strerror or str(error))
