"""HTTP connections under one deadline for all that an attempt does with them.

A socket's own time-out starts anew with each byte, so a slow drip would never end. Here a timer, or another thread
that wants to stop, shuts the connection, and whatever was waiting for it goes on with an error.
"""

import socket
import threading
from contextlib import suppress

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Timeout

__all__ = ["Attempt", "connection_pool"]

_current = threading.local()


class Attempt:
    """What the current thread does in a `with` block: over after `seconds`, or when given up."""

    def __init__(self, seconds: float) -> None:
        """Prepare; the time runs from the start of the `with` block."""
        self.over = False
        self._timer = threading.Timer(seconds, self.give_up)
        self._timer.daemon = True
        self._socket: socket.socket | None = None

    def __enter__(self) -> None:
        """Start the clock."""
        _current.attempt = self
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        """Stop the clock."""
        self._timer.cancel()
        _current.attempt = None

    def give_up(self) -> None:
        """Set `over` and shut the connection; for any thread."""
        self.over = True
        if self._socket is not None:
            with suppress(OSError):  # closed already
                # Not SSLSocket's own: that drops the TLS state while another thread is reading.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def use(self, connected: socket.socket | None) -> None:
        """Name the socket to shut."""
        self._socket = connected
        if self.over:
            self.give_up()


class _HTTPConnection(HTTPConnection):
    def request(self, *args: object, **kwargs: object) -> None:
        super().request(*args, **kwargs)  # type: ignore[arg-type]
        _current.attempt.use(self.sock)


class _HTTPSConnection(HTTPSConnection):
    def request(self, *args: object, **kwargs: object) -> None:
        super().request(*args, **kwargs)  # type: ignore[arg-type]
        _current.attempt.use(self.sock)


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def connection_pool(connections: int, timeout: Timeout, headers: dict[str, str]) -> urllib3.PoolManager:
    """Return a pool that keeps up to `connections` to a host open, retries nothing, and is for use in an Attempt."""
    pool = urllib3.PoolManager(maxsize=connections, timeout=timeout, headers=headers, retries=False)
    pool.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return pool
