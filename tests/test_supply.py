"""The bill of materials is that of the pinned set, and an audit is green only where something was looked up."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.audit import audit
from tests.sbom import SBOM, bill_of_materials, pinned


def test_the_bill_of_materials_lists_exactly_the_pinned_versions() -> None:
    document = json.loads(SBOM.read_text(encoding="utf-8"))
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    listed = {part["name"]: part["version"] for part in document["components"]}
    assert listed == pinned(), "sbom.cdx.json is stale: run `make sbom`"
    assert {part["purl"] for part in document["components"]} == {f"pkg:pypi/{n}@{v}" for n, v in listed.items()}


def test_the_bill_of_materials_names_no_machine_and_can_be_made_again() -> None:
    text = SBOM.read_text(encoding="utf-8")
    assert not re.search(
        r"/(root|work|home|opt|usr)/|file://|://[^ \"]*(index|simple|pypi\.)|timestamp|serialNumber", text
    )
    made = json.loads(bill_of_materials())
    assert made["components"] == json.loads(text)["components"]


class _Osv(BaseHTTPRequestHandler):
    """Answers as OSV does: one package has a vulnerability."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {
            "id": "PYSEC-1",
            "summary": "bad",
            "aliases": [],
            "affected": [{"package": asked["package"], "ranges": []}],
        }
        body = json.dumps({"vulns": [found]} if asked["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def osv() -> Iterator[tuple[str, ...]]:
    """Return pip-audit's options that name a service of our own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Osv)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "-s", "osv", "--osv-url", f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_known_vulnerability_fails_and_none_passes(osv: tuple[str, ...], tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("pillow==1.0\nclick==8.5.1\n")
    code, text = audit(pins, osv)
    assert (code, "pillow 1.0: PYSEC-1" in text) == (1, True)
    pins.write_text("click==8.5.1\n")
    assert audit(pins, osv) == (0, "pip-audit: no known vulnerability in 1 pinned packages")


def test_a_service_that_cannot_be_reached_is_said_and_is_no_failure(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("click==8.5.1\n")
    code, text = audit(pins, ("-s", "osv", "--osv-url", "http://127.0.0.1:9/"))
    assert (code, text.startswith("pip-audit: NOT CHECKED, the service cannot be reached")) == (0, True)
    pins.write_text("this is no list of pins\n")
    assert audit(pins)[0] == 1
