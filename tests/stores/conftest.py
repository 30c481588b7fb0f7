"""One S3 server for all tests of a process, a bucket for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from geotag_batch.locations import seen_schemes
from geotag_batch.store import open_store
from tests.run.conftest import archive  # noqa: F401  a fixture
from tests.stores.server import Server, environment, serve

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return the server, which takes a second to start."""
    with serve() as found:
        yield found


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the name of an empty bucket, to which the environment leads."""
    name = f"archive-{next(_numbers)}"
    server.client.create_bucket(Bucket=name)
    for variable, value in environment(server.url).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("GEOTAG_SCRATCH", str(tmp_path / "scratch"))
    open_store.cache_clear()
    seen_schemes.clear()  # as in a process of its own
    return name
