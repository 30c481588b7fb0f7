"""`geotag review` as a server: where it listens, who may use it, until it is stopped."""

import getpass
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn

from geotag_batch.config import Config
from geotag_batch.errors import ConfigError
from geotag_batch.review.access import Access, Guard, is_loopback
from geotag_batch.review.app import ReviewApp
from geotag_batch.review.deciding import check_reviewer
from geotag_batch.review.filters import Filter
from geotag_batch.workspace import Workspace

__all__ = ["Listening", "login_name", "serve_review"]


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen. A host that other machines reach has a token, made up if none is given; `names` are its others.

    Port 0 takes one that is free.
    """

    host: str = "127.0.0.1"
    port: int = 8020
    token: str | None = None
    names: tuple[str, ...] = ()


def serve_review(
    workspace: Workspace,
    config: Config,
    listening: Listening,
    asked: Filter,
    reviewer: str | None,
    tell: Callable[[str], None],
) -> None:
    """Serve the review page until SIGINT or SIGTERM; `tell` its address once it answers.

    `asked` is what the address that is told shows first. Without a `reviewer` the login name is taken, but not where
    others come from other machines. Raises HeadError if nothing is predicted, ConfigError if it cannot listen there;
    CatalogueError, StorageError.
    """
    local = is_loopback(listening.host)
    name = check_reviewer(reviewer) if reviewer is not None else (login_name() if local else "")
    token = listening.token or (None if local else secrets.token_urlsafe(24))
    with _listen(listening) as listener:
        port = int(listener.getsockname()[1])
        names = {"localhost", "127.0.0.1", "::1", listening.host, *listening.names}
        if not local:
            names |= {socket.gethostname(), socket.getfqdn()}
        access = Access(port, frozenset(each.lower() for each in names), numbers=not local, token=token)
        app = ReviewApp(workspace, config, name)
        try:
            head, counts = app.prepare(asked)
            tell(f"{counts.waiting:,} of {counts.photos:,} photos are waiting, predicted by {head}")
            tell(f"review them at http://{_address(listening.host, port)}/{asked.query(token=token)}")
            uvicorn.Server(
                uvicorn.Config(
                    Guard(app.asgi, access),
                    lifespan="off",
                    ws="none",
                    log_level="warning",
                    access_log=False,  # it would hold the token
                    server_header=False,
                    proxy_headers=False,
                    timeout_graceful_shutdown=3,
                )
            ).run(sockets=[listener])
        finally:
            app.close()


def login_name() -> str:
    """Return who is logged in; empty if the system does not say."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _listen(listening: Listening) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(listening.host, listening.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {listening.host} port {listening.port}: {_reason(error)}",
            hint="name another with --port, or --port 0 for one that is free",
        ) from error


def _reason(error: OSError) -> str:
    """Return the system's words alone; Python adds the address, and a resolver has numbers of its own."""
    own = isinstance(error, socket.gaierror) or error.errno is None
    return str(error.strerror or error) if own else os.strerror(error.errno or 0)


def _address(host: str, port: int) -> str:
    """Return what stands in an address that this machine can open."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)
    return f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
