"""Who may use the review page: one ASGI layer around the application, before anything else is looked at.

The Host header must be this server's (a name that was rebound to 127.0.0.1 is somebody else's page), a token must be
known where one is asked for, and what changes something must come from a page of this server.
"""

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Guard", "is_loopback"]

_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_A_MONTH = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """What is let in: requests to one of `names` at `port`, or to any address by number if `numbers`.

    A number cannot be rebound to another machine. With a `token` it must come along once, and as a cookie from then on.
    """

    port: int
    names: frozenset[str]
    numbers: bool = False
    token: str | None = None

    @property
    def cookie(self) -> str:
        """Return the cookie's name: cookies are shared by all ports of a machine."""
        return f"geotag-review-{self.port}"

    def takes_host(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        name, port = _split_host(host)
        if port not in (None, self.port):
            return False
        return name in self.names or (self.numbers and _is_number(name))

    def knows(self, token: str | None) -> bool:
        """Return whether this is the token; takes as long for a wrong one as for the right one."""
        if self.token is None:
            return True
        return token is not None and hmac.compare_digest(token.encode(), self.token.encode())


class Guard:
    """Lets through to `app` what `access` allows, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand before `app`."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # no WebSockets here
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope))
        await (self._app if refusal is None else refusal)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        access, headers = self._access, request.headers
        if not access.takes_host(headers.get("host", "")):
            return _refuse(
                421, "This server does not answer to that name. Open the address that geotag review printed."
            )
        if not access.knows(request.cookies.get(access.cookie)):
            if request.method in _SAFE and access.knows(request.query_params.get("token")):
                return self._remember(request)
            return _refuse(401, "This page needs its token. Open the address that geotag review printed.")
        if request.method not in _SAFE and not _is_from_here(headers):
            return _refuse(403, "Decisions are taken from this server's own page only.")
        return None

    def _remember(self, request: Request) -> Response:
        """Keep the token in a cookie, and take it out of the address."""
        rest = urlencode([pair for pair in parse_qsl(request.url.query) if pair[0] != "token"])
        answer = RedirectResponse(request.url.path + (f"?{rest}" if rest else ""), 303)
        token = self._access.token or ""
        answer.set_cookie(self._access.cookie, token, max_age=_A_MONTH, httponly=True, samesite="lax")
        return answer


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on `host`."""
    return host == "localhost" or (_is_number(host) and ipaddress.ip_address(host).is_loopback)


def _is_from_here(headers: Headers) -> bool:
    """Return whether a page of this very server sent the request; browsers say so, and no other page can lie."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is None and site is None:
        return False
    own = origin is None or origin in (f"http://{headers['host']}", f"https://{headers['host']}")
    return own and site in (None, "same-origin")


def _split_host(host: str) -> tuple[str, int | None]:
    """Return name (lower case, an IPv6 address without brackets) and port of a Host header."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    if port and not (port.isascii() and port.isdigit()):
        return "", None
    return name.strip("[]").lower(), int(port) if port else None


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status)
