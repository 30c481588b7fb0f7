"""The whole job with its images on a web server."""

import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geotag_batch.config import set_key
from geotag_batch.errors import ImageRootError
from tests.run.conftest import Archive


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(archive: Callable[[int], Archive]) -> Iterator[tuple[Archive, http.server.ThreadingHTTPServer]]:
    """Return an archive of 30 photos whose images are served on loopback, and the server."""
    made = archive(30)
    folder: Path = made.workspace.root / "images"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        set_key(made.workspace, "images.root", f"http://127.0.0.1:{server.server_port}")
        set_key(made.workspace, "images.fetch_attempts", 1)
        yield made, server
        server.shutdown()


def test_photos_are_fetched_tagged_and_looked_at_again_on_request(
    served: tuple[Archive, http.server.ThreadingHTTPServer],
) -> None:
    made, _ = served
    made.image(5).unlink()
    made.image(6).write_text("<html>gone</html>")
    record = made.backfill()
    assert (record.predicted, record.failures) == (28, {"missing": 1, "not_an_image": 1})
    assert made.backfill(check_images=True).photos == 0
    made.draw(9, shade=99)
    os.utime(made.image(9), (1e9, 1e9))
    again = made.backfill(check_images=True)
    assert (again.photos, again.images_encoded) == (1, 1)


def test_a_server_that_is_down_marks_no_photo_as_failed(
    served: tuple[Archive, http.server.ThreadingHTTPServer],
) -> None:
    made, server = served
    server.shutdown()
    server.server_close()
    with pytest.raises(ImageRootError):
        made.backfill()
    assert not list(made.workspace.failures.rglob("*.parquet"))
