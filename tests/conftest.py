"""What every test shares: where the real files are, and an empty workspace."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from geotag_batch.config import default_toml
from geotag_batch.workspace import Workspace

if TYPE_CHECKING:
    from tests.stores.server import Server

settings.register_profile("unhurried", deadline=None)  # how long a case takes says how busy the machine is
settings.load_profile("unhurried")


_CLUSTER = ("tests/run/test_engines.py", "tests/stores/test_cluster.py")
"""What needs a Ray cluster: one process has it, since two on a machine take each other's nodes for theirs."""


class _OneCluster(LoadScopeScheduling):  # type: ignore[misc]
    """Hands out test by test, and the tests of a cluster together."""

    def _split_scope(self, nodeid: str) -> str:
        return "cluster" if nodeid.startswith(_CLUSTER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:  # noqa: ANN401
    """Take the place of `--dist loadgroup`, whose marks pytest 9 does not let through."""
    return _OneCluster(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real heads, photos and golden vectors, or skip naming what is missing."""
    folder = Path(os.environ.get("GEOTAG_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "geograph"
    if not folder.is_dir():
        pytest.skip(f"needs the real Geograph files in {folder} (set GEOTAG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def cluster_server() -> Iterator["Server"]:
    """Return the S3 server that the cluster's workers know."""
    from tests.stores.server import serve  # noqa: PLC0415  few tests need it

    with serve() as found:
        yield found


@pytest.fixture(scope="session")
def cluster(cluster_server: "Server") -> Iterator[Any]:
    """Return a Ray cluster of one node with two cores, which all tests that need one share."""
    from tests.run.ray_cluster import ray_cluster  # noqa: PLC0415
    from tests.stores.server import environment  # noqa: PLC0415

    with ray_cluster(nodes=0, head_cores=2, variables=environment(cluster_server.url)) as made:
        yield made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an empty workspace with the default configuration."""
    root = tmp_path / "archive"
    root.mkdir()
    (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
    return Workspace(root.resolve())
