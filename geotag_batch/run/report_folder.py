"""A folder of figures, tables and pages that a command draws for people; each file is written whole or not at all."""

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from geotag_batch import atomic
from geotag_batch.draw.figure import figure_png
from geotag_batch.errors import StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ReportFolder"]


class ReportFolder:
    """Files in `folder`, which may be anywhere; what is there under the same name is replaced.

    Used as a context, so that nothing of what was staged is left behind. Its methods raise StorageError if the disk
    refuses, and return the path of the file.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder; it is made when the first file is written."""
        self.folder = folder
        self._staging = folder / ".staging"

    def __enter__(self) -> "ReportFolder":
        """Return the folder."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the staging folder."""
        try:
            if self._staging.is_dir():
                self._staging.rmdir()
        except OSError as reason:
            raise StorageError(
                f"cannot remove {self._staging}: {reason.strerror}", hint="remove it by hand"
            ) from reason

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write one file; `name` may hold folders."""
        path = self.folder / name
        atomic.write_bytes(data, path, self._staging, replace=True)
        return path

    def write_text(self, name: str, text: str) -> Path:
        """Write text as UTF-8, a newline at its end."""
        return self.write_bytes(name, f"{text.rstrip()}\n".encode())

    def write_json(self, name: str, document: Any) -> Path:  # noqa: ANN401
        """Write a JSON document for people and programs."""
        return self.write_text(name, json.dumps(document, indent=1, ensure_ascii=False))

    def write_figure(self, name: str, figure: "Figure") -> Path:
        """Write a figure as PNG."""
        return self.write_bytes(name, figure_png(figure))
