"""Which URLs may be asked for images: those of the root's host and of the hosts that the configuration allows.

URLs are taken apart by the parser that the connection uses, so that both see the same host.
"""

import re
from urllib.parse import unquote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ConfigError, PhotoFailure

__all__ = ["AllowedUrls", "is_url"]

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|(file|data):", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


def is_url(reference: str) -> bool:
    """Tell a URL from a relative path (which may well have a colon in it)."""
    return _URL.match(reference) is not None


class AllowedUrls:
    """References and redirects become URLs here, or PhotoFailures of class `outside_root`."""

    def __init__(self, images: ImagesConfig) -> None:
        """Take root and allowed hosts from the configuration. Raises ConfigError if one of them names no host."""
        self._root = images.root.rstrip("/")
        self._origins: set[tuple[str | None, int]] = set()
        for text in (images.root, *(f"//{entry}" for entry in images.allow_hosts)):
            self._allow(text)

    def root(self) -> Url:
        """Return the root's own URL."""
        return parse_url(f"{self._root}/")

    def of_reference(self, reference: str) -> Url:
        """Return the URL of a reference: a path relative to the root, or a URL."""
        if is_url(reference):
            return self._check(reference)
        path = unquote(reference).replace("\\", "/")
        if path.startswith("/") or ".." in path.split("/"):
            raise PhotoFailure("outside_root", f"{reference!r} leads out of the image root")
        return self._check(f"{self._root}/{reference.replace('#', '%23')}")

    def of_redirect(self, url: Url, location: str) -> Url:
        """Return where `url` is redirected to."""
        try:
            target = self._check(urljoin(url.url, location))
        except ValueError as error:
            raise PhotoFailure("outside_root", f"redirected to {location!r}, which is no URL") from error
        if (url.scheme, target.scheme) == ("https", "http"):
            raise PhotoFailure("outside_root", f"redirected to {location!r}, from https back to http")
        return target

    def _allow(self, text: str) -> None:
        hint = "images.root is a folder or an http(s) URL; images.allow_hosts has hosts, or host:port"
        try:
            url = parse_url(text)
        except LocationParseError as error:
            raise ConfigError(f"images: {text!r} names no host", hint=hint) from error
        if not url.host:
            raise ConfigError(f"images: {text!r} names no host", hint=hint)
        if url.port is None or url.port == _PORTS.get(url.scheme or ""):
            self._origins |= {(url.host, port) for port in _PORTS.values()}  # http may send on to https
        else:
            self._origins.add((url.host, url.port))

    def _check(self, text: str) -> Url:
        try:
            url = parse_url(text)
        except LocationParseError as error:
            raise PhotoFailure("outside_root", f"{text!r} is no URL") from error
        if url.scheme not in _PORTS or (url.host, url.port or _PORTS[url.scheme]) not in self._origins:
            raise PhotoFailure("outside_root", f"{text!r} names a host or scheme that is not allowed")
        return url
