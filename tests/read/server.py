"""A real HTTP server on this machine that misbehaves as its tests ask, and counts what it is asked."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the behaviour that the test gave for its path."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        """Answer, and count."""
        self.server.asked[self.path] += 1
        behaviour = self.server.behaviours.get(self.path, self.server.fallback)
        if behaviour is None:
            self.answer(404, b"no such image")
        else:
            behaviour(self)

    def do_HEAD(self) -> None:
        """Answer like GET; `answer` leaves the body out."""
        self.do_GET()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; underscores in header names stand for hyphens."""
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self) -> None:
        """Break the connection off so that the client sees a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.rfile.close()
        self.connection.close()

    def drip(self, data: bytes) -> None:
        """Send a byte every twentieth of a second until the client has had enough."""
        for byte in data:
            if self.server.stopping.is_set():
                return
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def log_message(self, *args: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    """`behaviours` by path, `fallback` for other paths; `asked` counts requests by path."""

    daemon_threads = True

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: dict[str, Callable[[Handler], None]] = {}
        self.fallback: Callable[[Handler], None] | None = None
        self.asked: Counter[str] = Counter()
        self.stopping = Event()
        self.root = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent: clients that go away are what these tests are about."""


@contextmanager
def running_server() -> Iterator[Server]:
    """Serve for the length of a `with` block."""
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            server.shutdown()
            thread.join()
