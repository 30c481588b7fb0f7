"""Images from an http(s) server: bounded in bytes and in time, repeated where trouble is likely to pass.

Only hosts that the configuration names are ever asked, whatever a reference or a redirect says.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import responses

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
    wait_random,
)
from urllib3.exceptions import (
    HTTPError,
    InvalidHeader,
    LocationValueError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout, Url

from geotag_batch import __version__
from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ImageRootError, PhotoFailure
from geotag_batch.read.deadline import Attempt, connection_pool
from geotag_batch.read.images import FetchedImage
from geotag_batch.read.urls import AllowedUrls

__all__ = ["HttpSource"]

_REDIRECTS = {301, 302, 303, 307, 308}
_MOST_REDIRECTS = 3
_CONNECT_TIMEOUT = 5.0  # seconds; a connection under way cannot be given up sooner when the job is stopped
_PATIENCE = 60.0  # seconds; a server that asks for a longer pause is left alone until the next run
_BLOCK = 65536


class HttpSource:
    """Reads images below the URL `images.root`, with up to `images.connections` connections kept open.

    A reference is a path relative to the root, or a URL of the root's host or one of `images.allow_hosts`.
    """

    def __init__(self, images: ImagesConfig) -> None:
        """Prepare; nothing is fetched yet. Raises ConfigError if the root is no URL."""
        self._images = images
        self._urls = AllowedUrls(images)
        self._closed = threading.Event()
        self._attempts: set[Attempt] = set()
        self._pool = connection_pool(
            images.connections,
            Timeout(connect=min(_CONNECT_TIMEOUT, images.fetch_timeout), read=images.fetch_timeout),
            {"User-Agent": f"geotag-batch/{__version__}", "Accept-Encoding": "identity"},
        )
        self._stop = stop_after_attempt(images.fetch_attempts) | stop_when_event_set(self._closed)
        self._retrying = Retrying(
            retry=retry_if_exception_type(_TransientFailure),
            stop=self._stop,
            wait=_pause,
            sleep=sleep_using_event(self._closed),
            reraise=True,
        )

    def check_root(self) -> None:
        """Raise ImageRootError unless the server answers; any status below 500 is an answer."""
        try:
            self._retrying.copy(stop=self._stop | stop_after_delay(self._images.fetch_timeout))(self._ask_root)
        except PhotoFailure as failure:
            raise ImageRootError(
                f"image root {self._images.root} does not answer: {failure.message}",
                hint="check the network and the server, or set images.root in geotag.toml",
            ) from failure

    def signature(self, reference: str) -> str:
        """Return an image's ETag, or "{length}-{last-modified}" where there is none. Raises PhotoFailure."""
        signature: str = self._retrying(self._ask_signature, self._urls.of_reference(reference))
        return signature

    def fetch(self, reference: str) -> FetchedImage:
        """Fetch an image. Raises PhotoFailure (missing, outside_root, too_large, fetch_timeout, fetch_error)."""
        image: FetchedImage = self._retrying(self._fetch, self._urls.of_reference(reference))
        return image

    def close(self) -> None:
        """Give up what is under way; threads that wait for it get a PhotoFailure."""
        self._closed.set()
        for attempt in tuple(self._attempts):
            attempt.give_up()
        self._pool.clear()

    def _ask_root(self) -> None:
        with self._attempt():
            response = self._request("GET", self._urls.root())
            response.close()
            if response.status >= 500:
                _check_status(response)

    def _ask_signature(self, url: Url) -> str:
        with self._attempt():
            response = self._follow("HEAD", url)
            if response.status in (405, 501):  # a server that knows no HEAD
                response = self._follow("GET", url)
            response.close()
            _check_status(response)
            return _signature(response)

    def _fetch(self, url: Url) -> FetchedImage:
        with self._attempt():
            response = self._follow("GET", url)
            try:
                if response.status != 200:
                    response.read(
                        _BLOCK, decode_content=False
                    )  # a connection whose answer has been read can be used again
                _check_status(response)
                return FetchedImage(self._read(response), _signature(response))
            finally:
                response.close()

    def _read(self, response: BaseHTTPResponse) -> bytes:
        most, body = self._images.max_bytes, bytearray()
        if (response.length_remaining or 0) > most:
            raise PhotoFailure("too_large", f"{response.length_remaining} bytes, more than images.max_bytes = {most}")
        for block in response.stream(_BLOCK, decode_content=False):
            body += block
            if len(body) > most:
                raise PhotoFailure("too_large", f"more than images.max_bytes = {most} bytes")
        return bytes(body)

    def _follow(self, method: str, url: Url) -> BaseHTTPResponse:
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._request(method, url)
            if response.status not in _REDIRECTS:
                return response
            response.close()
            url = self._urls.of_redirect(url, response.headers.get("location", ""))
        raise PhotoFailure("fetch_error", f"redirected more than {_MOST_REDIRECTS} times, lastly to {url}")

    def _request(self, method: str, url: Url) -> BaseHTTPResponse:
        return self._pool.urlopen(method, url.url, redirect=False, preload_content=False)

    @contextmanager
    def _attempt(self) -> Iterator[None]:
        """Bound everything inside by one deadline, and turn its errors into PhotoFailures."""
        attempt = Attempt(self._images.fetch_timeout)
        self._attempts.add(attempt)
        try:
            if self._closed.is_set():
                raise PhotoFailure("fetch_timeout", "fetching was given up")
            with attempt:
                yield
        except (HTTPError, ValueError) as error:  # urllib3 lets a chunk of negative length through to the socket
            raise self._out_of_time() if attempt.over else _failure(error) from error
        finally:
            self._attempts.discard(attempt)
        if attempt.over:  # a body without a length looks complete when its connection is shut
            raise self._out_of_time()

    def _out_of_time(self) -> PhotoFailure:
        limit = self._images.fetch_timeout
        return _TransientFailure("fetch_timeout", f"not finished within images.fetch_timeout = {limit:g} s")


class _TransientFailure(PhotoFailure):
    """A failure that another attempt may mend, after `pause` seconds if the server asked for a pause."""

    pause: float | None = None


def _check_status(response: BaseHTTPResponse) -> None:
    status = response.status
    text = f"the server answered {status} {responses.get(status, '')}".rstrip()
    if status in (404, 410):
        raise PhotoFailure("missing", text)
    if status == 429 or status >= 500:
        failure = _TransientFailure("fetch_error", text)
        with suppress(InvalidHeader, ValueError, OverflowError):  # urllib3 takes years and figures of any length
            failure.pause = Retry.DEFAULT.get_retry_after(response)
        if failure.pause is not None and failure.pause > _PATIENCE:
            raise PhotoFailure("fetch_error", f"{text} and asked for {failure.pause:.0f} seconds without requests")
        raise failure
    if status != 200:
        raise PhotoFailure("fetch_error", text)


_backoff = wait_exponential(multiplier=0.25, max=10) + wait_random(0, 0.25)


def _pause(state: RetryCallState) -> float:
    failure = state.outcome.exception() if state.outcome is not None else None
    asked = failure.pause if isinstance(failure, _TransientFailure) else None
    return _backoff(state) if asked is None else asked


def _signature(response: BaseHTTPResponse) -> str:
    headers = response.headers
    return headers.get("etag") or f"{headers.get('content-length', '')}-{headers.get('last-modified', '')}"


def _failure(error: Exception) -> PhotoFailure:
    if isinstance(error, HTTPTimeoutError) and not isinstance(error, NewConnectionError):
        return _TransientFailure("fetch_timeout", "the server did not answer in time")
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SSLError | LocationValueError):
        return PhotoFailure("fetch_error", text)
    return _TransientFailure("fetch_error", text)
