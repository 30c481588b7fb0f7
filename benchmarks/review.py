"""How fast `geotag review` answers over many predictions: python -m benchmarks.review [PHOTOS] [FOLDER].

A workspace of that many photos (100,000 if not said) is made, a server started on it as a user would, and asked as a
browser would: the first page, then one page after another, pictures left aside, then decisions one after another.
"""

import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.large import make_large
from geotag_batch.workspace import Workspace

_PAGES, _DECISIONS = 50, 50
_FILTERS = (
    "?tag=Coastal",
    "?square=TQ",
    "?contributor=Contributor+12",
    "?tag=Coastal&low=0.3&high=0.7",
    "?order=newest",
)


def main(photos: int, folder: Path) -> None:
    """Make the workspace, measure, print."""
    workspace = Workspace(folder.resolve()) if (folder / "geotag.toml").exists() else make_large(folder, photos)
    began = time.monotonic()
    with _serve(workspace) as (process, host):
        print(
            f"{photos:,} predictions: ready after {time.monotonic() - began:.1f} s, {_memory(process.pid)} MB resident"
        )
        seconds, page = _timed(host, "/")
        print(f"first page: {1000 * seconds:.0f} ms, {len(page) / 1000:.0f} kB")
        turns = []
        for _ in range(_PAGES):
            following = re.search(r'id="next" href="([^"]+)"', page)
            assert following is not None
            address = following.group(1).replace("&amp;", "&")
            seconds, page = _timed(host, address)
            turns.append(1000 * seconds)
        print(f"next page, {_PAGES} of them: median {statistics.median(turns):.0f} ms, longest {max(turns):.0f} ms")
        for asked in _FILTERS:
            seconds, _ = _timed(host, f"/{asked}")
            print(f"{asked}: {1000 * seconds:.0f} ms")
        decided = [1000 * seconds for seconds in _decide(host, page)]
        spread = f"median {statistics.median(decided):.0f} ms, longest {max(decided):.0f} ms"
        print(f"{_DECISIONS} decisions, each until it is durable: {spread}")
        print(f"memory at the end: {_memory(process.pid)} MB resident")


@contextmanager
def _serve(workspace: Workspace) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, "-m", "geotag_batch.jobs", "review", "-C", str(workspace.root), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, next(line.split("/")[2] for line in process.stdout if "http://" in line)
        finally:
            process.terminate()


def _decide(host: str, page: str) -> Iterator[float]:
    """Reject a tag of the page's photos, again and again; yield the seconds that each took."""
    photos = [(int(photo), run) for photo, run in re.findall(r'data-photo="(\d+)"[^>]*data-run="([^"]+)"', page)]
    head = re.search(r'data-head="([^"]+)"', page)
    assert head is not None
    tags = ("Coastal", "Paths", "Canals")
    for number in range(_DECISIONS):
        photo, run = photos[number % len(photos)]
        changes = [{"tag": tags[number // len(photos)], "decision": "reject"}]
        step = {"photo": photo, "head": head.group(1), "run": run, "seen": None, "reviewer": "ann", "changes": changes}
        headers = {"Origin": f"http://{host}", "Content-Type": "application/json"}
        seconds, _ = _timed(host, "/decisions", json.dumps(step), headers)
        yield seconds


def _timed(host: str, path: str, body: str | None = None, headers: dict[str, str] | None = None) -> tuple[float, str]:
    """Ask once; return the seconds until the whole answer was there, and the answer."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET" if body is None else "POST", path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    seconds = time.monotonic() - began
    connection.close()
    assert answer.status == 200, text
    return seconds, text


def _memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found.group(1)) // 1000 if found else 0


if __name__ == "__main__":
    wanted = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as made:
        main(wanted, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(made) / "archive")
