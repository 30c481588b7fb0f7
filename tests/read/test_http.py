import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate

import pytest

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import ImageRootError, PhotoFailure
from geotag_batch.read.http import HttpSource
from geotag_batch.read.urls import AllowedUrls
from tests.read.server import Handler, Server, running_server


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def images(server: Server) -> ImagesConfig:
    return ImagesConfig(
        root=f"{server.root}/images/", max_bytes=200_000, fetch_timeout=0.4, fetch_attempts=2, connections=4
    )


@pytest.fixture
def source(images: ImagesConfig) -> Iterator[HttpSource]:
    source = HttpSource(images)
    yield source
    source.close()


def failure(source: HttpSource, reference: str = "7.jpg") -> str:
    with pytest.raises(PhotoFailure) as caught:
        source.fetch(reference)
    assert caught.value.message
    return caught.value.error_class


def test_an_image_is_fetched_with_its_etag_as_signature(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/00001/7.jpg"] = lambda request: request.answer(200, b"seven", ETag='"v1"')
    image = source.fetch("00001/7.jpg")
    assert (image.data, image.signature) == (b"seven", '"v1"')
    assert source.signature("00001/7.jpg") == '"v1"'


def test_without_an_etag_length_and_date_are_the_signature(server: Server, source: HttpSource) -> None:
    date = "Wed, 01 Jul 2026 10:00:00 GMT"
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(200, b"seven", Last_Modified=date)
    assert source.fetch("7.jpg").signature == source.signature("7.jpg") == f"5-{date}"


def test_a_signature_is_asked_for_without_fetching_the_body(server: Server, source: HttpSource) -> None:
    methods = []

    def answer(request: Handler) -> None:
        methods.append(request.command)
        request.answer(405 if request.command == "HEAD" else 200, b"seven", ETag='"v1"')

    server.behaviours["/images/7.jpg"] = answer
    assert source.signature("7.jpg") == '"v1"'
    assert methods == ["HEAD", "GET"]  # this server knows no HEAD


def test_nothing_compressed_is_asked_for(server: Server, source: HttpSource) -> None:
    headers: list[str | None] = []

    def answer(request: Handler) -> None:
        headers.append(request.headers["Accept-Encoding"])
        request.answer(200, b"\x1f\x8b not to be unpacked", Content_Encoding="gzip")

    server.behaviours["/images/7.jpg"] = answer
    assert source.fetch("7.jpg").data == b"\x1f\x8b not to be unpacked"
    assert headers == ["identity"]


def test_one_connection_serves_many_images(server: Server, source: HttpSource) -> None:
    ports = set()

    def answer(request: Handler) -> None:
        ports.add(request.client_address[1])
        request.answer(200 if "7" in request.path else 404, b"x")

    for number in range(20):
        server.behaviours[f"/images/{number}.jpg"] = answer
        if "7" in str(number):
            source.fetch(f"{number}.jpg")
        else:
            assert failure(source, f"{number}.jpg") == "missing"
    assert len(ports) == 1


@pytest.mark.parametrize(
    ("status", "error_class", "attempts"),
    [
        *[(404, "missing", 1), (410, "missing", 1), (403, "fetch_error", 1), (204, "fetch_error", 1)],
        *[(500, "fetch_error", 2), (503, "fetch_error", 2), (429, "fetch_error", 2)],
    ],
)
def test_only_what_may_pass_is_tried_again(
    server: Server, source: HttpSource, status: int, error_class: str, attempts: int
) -> None:
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(status)
    assert failure(source) == error_class
    assert server.asked["/images/7.jpg"] == attempts


def first_then_seven(first: Callable[[Handler], None]) -> Callable[[Handler], None]:
    seen: list[Handler] = []

    def answer(request: Handler) -> None:
        seen.append(request)
        if len(seen) == 1:
            first(request)
        else:
            request.answer(200, b"seven")

    return answer


def stall(request: Handler) -> None:
    request.server.stopping.wait(5)


def stall_in_body(request: Handler) -> None:
    request.answer(200, b"se", Content_Length="5")
    stall(request)


def drip_body(request: Handler) -> None:
    request.answer(200, Content_Length="1000")
    request.drip(bytes(1000))


def drip_body_without_length(request: Handler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    request.drip(bytes(1000))


def drip_headers(request: Handler) -> None:
    request.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 1000)


def short_body(request: Handler) -> None:
    request.answer(200, b"se", Content_Length="5")
    request.close_connection = True


def short_chunks(request: Handler) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nse\r\n")
    request.close_connection = True


def nonsense(request: Handler) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    request.close_connection = True


TRANSIENT = [
    (stall, "fetch_timeout"),
    (stall_in_body, "fetch_timeout"),
    (drip_body, "fetch_timeout"),
    (drip_body_without_length, "fetch_timeout"),
    (drip_headers, "fetch_timeout"),
    (Handler.reset, "fetch_error"),
    (short_body, "fetch_error"),
    (short_chunks, "fetch_error"),
    (nonsense, "fetch_error"),
]


@pytest.mark.parametrize(("trouble", "error_class"), TRANSIENT)
def test_trouble_ends_within_the_time_allowed_and_is_tried_again(
    server: Server, images: ImagesConfig, trouble: Callable[[Handler], None], error_class: str
) -> None:
    server.behaviours["/images/7.jpg"] = trouble
    once = HttpSource(replace(images, fetch_attempts=1))
    started = time.monotonic()
    assert failure(once) == error_class
    assert time.monotonic() - started < 2.5
    once.close()

    server.behaviours["/images/8.jpg"] = first_then_seven(trouble)
    twice = HttpSource(images)
    assert twice.fetch("8.jpg").data == b"seven"
    assert server.asked["/images/8.jpg"] == 2
    twice.close()


@pytest.mark.parametrize(("status", "as_date"), [(429, False), (503, True)])
def test_a_pause_that_the_server_asks_for_is_kept(
    server: Server, source: HttpSource, status: int, as_date: bool
) -> None:
    pause = formatdate(time.time() + 2, usegmt=True) if as_date else "1"  # a date has no fractions of a second
    server.behaviours["/images/7.jpg"] = first_then_seven(lambda request: request.answer(status, Retry_After=pause))
    started = time.monotonic()
    assert source.fetch("7.jpg").data == b"seven"
    assert 0.9 < time.monotonic() - started < 3.9
    assert server.asked["/images/7.jpg"] == 2


def test_a_server_that_asks_for_a_long_pause_is_left_alone(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(429, Retry_After="3600")
    started = time.monotonic()
    assert failure(source) == "fetch_error"
    assert time.monotonic() - started < 1
    assert server.asked["/images/7.jpg"] == 1


def test_a_pause_in_no_known_form_is_the_usual_one(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/7.jpg"] = first_then_seven(lambda request: request.answer(429, Retry_After="soon"))
    assert source.fetch("7.jpg").data == b"seven"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_not_read_to_its_end(server: Server, source: HttpSource, announced: bool) -> None:
    sent = []

    def endless(request: Handler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 10000000000\r\n" * announced + b"\r\n")
        while not request.server.stopping.is_set():
            sent.append(request.wfile.write(bytes(100_000)))

    server.behaviours["/images/7.jpg"] = endless
    assert failure(source) == "too_large"
    assert server.asked["/images/7.jpg"] == 1
    assert sum(sent) < 50_000_000  # what the sockets took in before the connection was shut


def test_a_body_of_just_the_limit_is_fetched(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(200, bytes(200_000))
    assert len(source.fetch("7.jpg").data) == 200_000


def test_redirects_on_the_same_host_are_followed_three_times(server: Server, source: HttpSource) -> None:
    for number in range(10):
        server.behaviours[f"/images/{number}"] = lambda request: request.answer(
            302, Location=str(int(request.path.rpartition("/")[2]) + 1)
        )
    server.behaviours["/images/3"] = lambda request: request.answer(200, b"three", ETag='"3"')
    assert source.fetch("0").data == b"three"
    assert source.signature("0") == '"3"'
    assert failure(source, "4") == "fetch_error"
    assert sum(server.asked[f"/images/{number}"] for number in range(4, 10)) == 4


def test_a_redirect_loop_ends(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(301, Location="/images/7.jpg")
    assert failure(source) == "fetch_error"
    assert server.asked["/images/7.jpg"] == 4


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1/x",
        "http://example.invalid/x",
        "//example.invalid/x",
        "http://localhost/x",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1/other-port",
        "http://2130706433/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[broken/x",
        "gopher:x",
    ],
)
def test_redirects_to_other_hosts_and_schemes_are_refused(server: Server, source: HttpSource, location: str) -> None:
    server.behaviours["/images/7.jpg"] = lambda request: request.answer(302, Location=location)
    assert failure(source) == "outside_root"
    assert server.asked["/images/7.jpg"] == 1


def test_a_redirect_from_https_back_to_http_is_refused() -> None:
    urls = AllowedUrls(ImagesConfig(root="https://images.example"))
    assert urls.of_redirect(urls.root(), "https://images.example/7.jpg").url == "https://images.example/7.jpg"
    with pytest.raises(PhotoFailure, match="from https back to http"):
        urls.of_redirect(urls.root(), "http://images.example/7.jpg")


@pytest.mark.parametrize(
    "reference",
    [
        *["../secret.jpg", "a/../../secret.jpg", "%2e%2e/secret.jpg", "..\\secret.jpg", "/secret.jpg"],
        *["//example.invalid/x", "http://example.invalid/x.jpg", "http://user@example.invalid/x"],
        *["file:///etc/hostname", "ftp://127.0.0.1/x"],
    ],
)
def test_references_that_leave_the_root_are_refused_unasked(server: Server, source: HttpSource, reference: str) -> None:
    assert failure(source, reference) == "outside_root"
    with pytest.raises(PhotoFailure):
        source.signature(reference)
    assert not server.asked


def test_odd_characters_in_a_reference_reach_the_server(server: Server, source: HttpSource) -> None:
    for reference, path in (
        ("a b.jpg", "a%20b.jpg"),
        ("a#1.jpg", "a%231.jpg"),
        ("50%.jpg", "50%25.jpg"),
        ("a%20b.jpg", "a%20b.jpg"),
        ("photo?id=7", "photo?id=7"),
        ("café.jpg", "caf%C3%A9.jpg"),
    ):
        server.behaviours[f"/images/{path}"] = lambda request: request.answer(200, b"here")
        assert source.fetch(reference).data == b"here"


def test_urls_may_name_the_roots_host_and_the_hosts_allowed(server: Server, images: ImagesConfig) -> None:
    with running_server() as other:
        for each in (server, other):
            each.behaviours["/elsewhere/7.jpg"] = lambda request: request.answer(200, b"seven")
        server.behaviours["/moved/7.jpg"] = lambda request: request.answer(
            302, Location=f"{other.root}/elsewhere/7.jpg"
        )
        strict = HttpSource(images)
        allowing = HttpSource(replace(images, allow_hosts=(other.root.removeprefix("http://"),)))
        assert strict.fetch(f"{server.root}/elsewhere/7.jpg").data == b"seven"
        assert failure(strict, f"{other.root}/elsewhere/7.jpg") == "outside_root"
        assert failure(strict, f"{server.root}/moved/7.jpg") == "outside_root"
        assert not other.asked
        assert allowing.fetch(f"{other.root}/elsewhere/7.jpg").data == b"seven"
        assert allowing.fetch(f"{server.root}/moved/7.jpg").data == b"seven"
        strict.close()
        allowing.close()


def test_a_server_that_is_not_there_is_a_fetch_error() -> None:
    with running_server() as server:
        root = server.root
    source = HttpSource(ImagesConfig(root=root, fetch_timeout=1, fetch_attempts=2))
    assert failure(source) == "fetch_error"
    with pytest.raises(ImageRootError, match="does not answer") as caught:
        source.check_root()
    assert caught.value.hint is not None
    source.close()


@pytest.mark.parametrize(("status", "answers"), [(200, True), (302, True), (403, True), (404, True), (500, False)])
def test_the_root_answers_with_any_status_below_500(
    server: Server, source: HttpSource, status: int, answers: bool
) -> None:
    server.behaviours["/images/"] = lambda request: request.answer(status, Location="http://example.invalid/")
    if answers:
        source.check_root()
    else:
        with pytest.raises(ImageRootError, match="500"):
            source.check_root()


def test_a_root_that_stalls_does_not_answer(server: Server, source: HttpSource) -> None:
    server.behaviours["/images/"] = stall
    started = time.monotonic()
    with pytest.raises(ImageRootError):
        source.check_root()
    assert time.monotonic() - started < 3


def test_closing_gives_up_what_is_under_way(server: Server, images: ImagesConfig) -> None:
    source = HttpSource(replace(images, fetch_timeout=30, fetch_attempts=9))
    server.behaviours["/images/7.jpg"] = stall_in_body
    server.behaviours["/images/8.jpg"] = lambda request: request.answer(429, Retry_After="30")
    ended = []
    threads = [
        threading.Thread(target=lambda name=name: ended.append(failure(source, name))) for name in ("7.jpg", "8.jpg")
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    source.close()
    for thread in threads:
        thread.join(1)
    assert len(ended) == 2
    assert failure(source, "9.jpg") == "fetch_timeout"
    assert server.asked["/images/9.jpg"] == 0
