"""Archives to review, servers over them, and a browser."""

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from geotag_batch.workspace import Workspace
from tests.review.archive import make_review_archive


@dataclass(slots=True)
class Server:
    """A `geotag review` process and where it listens."""

    process: "subprocess.Popen[str]"
    workspace: Workspace
    address: str

    @property
    def host(self) -> str:
        """Return host and port."""
        return self.address.split("/")[2]

    def ask(
        self, path: str, body: object = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request with just these headers; return status, headers (lower case) and body."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        data = None if body is None else json.dumps(body)
        connection.request(method or ("GET" if data is None else "POST"), path, data, headers or {})
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def decide(self, **step: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401
        """Send a step as the page does; return status and JSON."""
        page = {"Origin": f"http://{self.host}", "Content-Type": "application/json"}
        status, _, body = self.ask("/decisions", step, page)
        return status, json.loads(body)

    def step(self, photo: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return a step on a photo as the page would send it after being loaded now."""
        _, _, body = self.ask(f"/?state=all&photo={photo}")
        text = body.decode()
        head, run, seen = (_attribute(text, name) for name in ("head", "run", "seen"))
        step = {"photo": photo, "head": head, "run": run, "seen": seen or None, "reviewer": "ann"}
        return step | {"changes": [{"tag": "Coastal", "decision": "add"}]} | more


def _attribute(text: str, name: str) -> str:
    found = re.search(rf'data-{name}="([^"]*)"', text)
    assert found is not None
    return found.group(1)


def start_server(workspace: Workspace, *options: str) -> Server:
    """Start `geotag review` on a free port and return when it answers."""
    command = [sys.executable, "-m", "geotag_batch.jobs", "review", "-C", str(workspace.root), "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = []
    for line in process.stdout or ():
        told.append(line)
        if "http://" in line:
            return Server(process, workspace, line.split()[-1])
    raise AssertionError("".join(told))


def end_server(server: Server) -> None:
    """Stop it as Ctrl-C does."""
    server.process.terminate()
    server.process.communicate(timeout=20)


@pytest.fixture(scope="session")
def review_archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Workspace]:
    """Return a function that makes an archive of so many predictions."""
    return lambda count: make_review_archive(tmp_path_factory.mktemp("review") / "archive", count)


@pytest.fixture(scope="module")
def server(review_archive: Callable[[int], Workspace]) -> Iterator[Server]:
    """Serve an archive of 300 photos to all tests of a module."""
    started = start_server(review_archive(300), "--reviewer", "ann")
    yield started
    end_server(started)


def decided(workspace: Workspace) -> list[tuple[Any, ...]]:
    """Return what is decided now: photo, tag, decision, reviewer; read by a plain DuckDB."""
    files = f"{workspace.root}/decisions/*.parquet"
    if not list(Path(workspace.root, "decisions").glob("*.parquet")):
        return []
    with duckdb.connect() as connection:
        return connection.execute(
            f"""
            SELECT gridimage_id, tag, decision, reviewer
            FROM (FROM '{files}' QUALIFY decision_id = max(decision_id) OVER (PARTITION BY gridimage_id, tag))
            WHERE decision <> 'withdraw' ORDER BY ALL
            """
        ).fetchall()
