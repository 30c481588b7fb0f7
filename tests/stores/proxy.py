"""A proxy before the S3 server that gives the answers, or the silence, that a test asks for."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["Fault", "Proxy", "proxied"]


@dataclass(slots=True)
class Fault:
    """What happens to requests of `method` whose path contains `part`, the first `times` of them.

    `status` and `code` are answered instead of the server's answer; `cut` sends half of the body and closes; `lost`
    lets the request through and closes without an answer; `before` is called, then the request goes on.
    """

    method: str
    part: str
    times: int = 10**9
    status: int | None = None
    code: str = ""
    cut: bool = False
    lost: bool = False
    before: Callable[[], None] | None = None
    seen: int = 0


@dataclass(slots=True)
class Proxy:
    """A proxy at `url` with the faults that are in force; `bucket` is the one that it is for."""

    url: str = ""
    bucket: str = ""
    faults: list[Fault] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and body's length of each answer that came from the server."""

    def inject(self, method: str, part: str, **how: object) -> Fault:
        """Put a fault in force and return it; `seen` counts what it has met."""
        fault = Fault(method, part, **how)  # type: ignore[arg-type]
        self.faults.append(fault)
        return fault

    def fault_of(self, method: str, path: str) -> Fault | None:
        """Return what is to happen to a request."""
        for fault in self.faults:
            if fault.method == method and fault.part in path and fault.seen < fault.times:
                fault.seen += 1
                return fault
        return None


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """Run a proxy before `target` for the length of a `with` block."""
    proxy = Proxy()
    host = urlsplit(target).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            return

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = proxy.fault_of(self.command, self.path)
            proxy.authorizations.add(self.headers.get("authorization", ""))
            if fault is not None and fault.before is not None:
                fault.before()
            if fault is not None and fault.status is not None:
                self._answer(fault.status, {}, f"<Error><Code>{fault.code}</Code></Error>".encode())
                return
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            data, length = response.read(), response.headers.get("content-length")
            connection.close()
            proxy.requests.append((self.command, self.path, len(data)))
            if fault is not None and fault.lost:
                self.close_connection = True
                return
            headers = {name: value for name, value in response.headers.items() if name.lower() not in _OWN}
            if self.command == "HEAD":
                headers["content-length"] = length or "0"
            self._answer(response.status, headers, data, cut=fault is not None and fault.cut)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_one

        def _answer(self, status: int, headers: dict[str, str], data: bytes, *, cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in headers:
                self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_OWN = {"content-length", "transfer-encoding", "connection", "date", "server"}
