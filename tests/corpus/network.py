"""A server that misbehaves in every known way, asked for its images by a real run; and image roots that go away."""

import gzip
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from geotag_batch.config import load_config, set_key
from geotag_batch.errors import ImageRootError
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.plan import Selection
from tests.corpus.cases import GOOD
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed, Trial
from tests.read.pictures import encoded, picture
from tests.read.server import Handler, Server, running_server

__all__ = ["ANSWERS", "Answer", "network_faults", "roots_gone"]

Behaviour = Callable[[Handler], None]
Trouble = Callable[[Trial], AbstractContextManager[None]]
_HEADERS = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server does when it is asked for an image, what becomes of the photo, and how often it is asked."""

    name: str
    behave: Behaviour
    expected: str
    asked: int


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status."""
    return lambda request: request.answer(code, b"", **headers)


def once(first: Behaviour) -> Behaviour:
    """Misbehave at the first request alone."""
    seen: list[int] = []

    def behave(request: Handler) -> None:
        seen.append(1)
        first(request) if len(seen) == 1 else request.answer(200, GOOD)

    return behave


def raw(*parts: bytes, then: Behaviour | None = None) -> Behaviour:
    """Send bytes as they are, then close, or do something else."""

    def behave(request: Handler) -> None:
        request.close_connection = True
        for part in parts:
            request.wfile.write(part)
        if then is not None:
            then(request)

    return behave


def stall(request: Handler) -> None:
    """Say nothing until the client has had enough."""
    request.server.stopping.wait(5)


def endless(data: bytes) -> Behaviour:
    """Send the same for ever."""

    def behave(request: Handler) -> None:
        while not request.server.stopping.is_set():
            request.wfile.write(data)

    return behave


def drip(request: Handler) -> None:
    """Send a byte now and then."""
    request.drip(bytes(1000))


_CHUNKED = _HEADERS + b"Transfer-Encoding: chunked\r\n\r\n"
_LENGTH = _HEADERS + b"Content-Length: %d\r\n\r\n"

ANSWERS = (
    Answer("the image", lambda request: request.answer(200, GOOD), "tagged", 1),
    Answer("404", status(404), "missing", 1),
    Answer("410", status(410), "missing", 1),
    Answer("403", status(403), "fetch_error", 1),
    Answer("204", status(204), "fetch_error", 1),
    Answer("500 each time", status(500), "fetch_error", 2),
    Answer("500 once", once(status(500)), "tagged", 2),
    Answer("503 once", once(status(503)), "tagged", 2),
    Answer("429 once, Retry-After 1", once(status(429, Retry_After="1")), "tagged", 2),
    Answer("429, Retry-After an hour", status(429, Retry_After="3600"), "fetch_error", 1),
    Answer("429, Retry-After in 99999", status(429, Retry_After="Wed, 01 Jan 99999 00:00:00 GMT"), "fetch_error", 2),
    Answer("429, Retry-After of 5,000 figures", status(429, Retry_After="9" * 5000), "fetch_error", 2),
    Answer("stalls before its answer", stall, "fetch_timeout", 2),
    Answer("stalls in its headers", raw(_HEADERS, then=stall), "fetch_timeout", 2),
    Answer("stalls in the body", raw(_LENGTH % 9999, GOOD[:99], then=stall), "fetch_timeout", 2),
    Answer("a slow drip", raw(_LENGTH % 1000, then=drip), "fetch_timeout", 2),
    Answer("a slow drip without length", raw(b"HTTP/1.0 200 OK\r\n\r\n", then=drip), "fetch_timeout", 2),
    Answer("a slow drip of headers", raw(_HEADERS + b"X: ", then=drip), "fetch_timeout", 2),
    Answer("endless 100 Continue", endless(b"HTTP/1.1 100 Continue\r\n\r\n"), "fetch_timeout", 2),
    Answer("a reset", Handler.reset, "fetch_error", 2),
    Answer("a reset once", once(Handler.reset), "tagged", 2),
    Answer("a body shorter than its length", raw(_LENGTH % 9999, GOOD), "fetch_error", 2),
    Answer("a body longer than its length", raw(_LENGTH % (len(GOOD) // 2), GOOD), "truncated", 1),
    Answer("a body cut off without length", raw(b"HTTP/1.0 200 OK\r\n\r\n", GOOD[:500]), "truncated", 1),
    Answer("chunks cut off", raw(_CHUNKED, b"5\r\nhello\r\n"), "fetch_error", 2),
    Answer("a chunk of negative length", raw(_CHUNKED, b"-5\r\n", GOOD), "fetch_error", 2),
    Answer("a chunk length without end", raw(_CHUNKED, then=endless(b"5" * 99_999)), "fetch_error", 2),
    Answer("two lengths that differ", raw(_HEADERS + b"Content-Length: 3, 4\r\n\r\n", GOOD), "fetch_error", 2),
    Answer("a length that is no number", raw(_HEADERS + b"Content-Length: many\r\n\r\n", GOOD), "tagged", 1),
    Answer("headers without end", raw(_HEADERS, then=endless(b"X: y\r\n" * 999)), "fetch_error", 2),
    Answer("another protocol", raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "fetch_error", 2),
    Answer("an endless body", raw(_HEADERS + b"\r\n", then=endless(bytes(99_999))), "too_large", 1),
    Answer("10 GB announced", raw(_LENGTH % 10**10, then=endless(bytes(99_999))), "too_large", 1),
    Answer(
        "a gzip bomb of 20 MB",
        lambda request: request.answer(200, gzip.compress(bytes(20_000_000)), Content_Encoding="gzip"),
        "not_an_image",
        1,
    ),
    Answer("an HTML page with 200", lambda request: request.answer(200, b"<html>sorry"), "not_an_image", 1),
    Answer("a redirect to itself", lambda request: request.answer(302, Location=request.path), "fetch_error", 4),
    Answer("a redirect to file:", status(302, Location="file:///etc/hostname"), "outside_root", 1),
    Answer("a redirect to a private address", status(302, Location="http://169.254.169.254/latest"), "outside_root", 1),
    Answer("a redirect to another port", status(302, Location="http://127.0.0.1:1/x"), "outside_root", 1),
    Answer("a redirect to no URL", status(302, Location="http://[::1"), "outside_root", 1),
)


def network_faults(bed: Bed) -> Row:
    """Run the job over a server whose every fourth photo is a fault; the other photos are as undisturbed."""
    with row("network", f"{len(ANSWERS)} faults of a real HTTP server among good answers") as made:
        with bed.trial() as trial, running_server() as server:
            faults = {4 * number + 1: answer for number, answer in enumerate(ANSWERS)}
            _serve_good(trial, server)
            for photo, answer in faults.items():
                server.behaviours[f"/00000/{photo}.jpg"] = answer.behave
            for key, value in (
                ("images.root", server.root),
                ("images.max_bytes", 1_000_000),
                ("images.fetch_timeout", 1.0),
                ("images.fetch_attempts", 2),
                ("run.max_failure_rate", 1.0),
            ):
                set_key(trial.workspace, key, value)
            started = time.monotonic()
            done = trial.run()
            seconds = time.monotonic() - started
            seen = _outcomes(trial)
            tally = Tally()
            tally.expect(done.returncode == 0 and "Traceback" not in done.stdout, f"ended: {done.stdout[-500:]}")
            tally.expect(seconds < 60, f"took {seconds:.0f} s")
            others = {photo: outcome for photo, outcome in seen.items() if photo not in faults}
            missing = {8: "missing"}  # the bed has no image of it
            tally.expect(others == dict.fromkeys(others, "tagged") | missing, f"beside the faults: {others}")
            made.tally.add(tally)
        for photo, answer in faults.items():
            tally = Tally()
            times = server.asked[f"/00000/{photo}.jpg"]
            tally.expect(seen.get(photo) == answer.expected, f"{seen.get(photo)} in place of {answer.expected}")
            tally.expect(times == answer.asked, f"asked {times} times, not {answer.asked}")
            made.case(tally, answer.name)
    return made


def _serve_good(trial: Trial, server: Server) -> None:
    for file in (trial.workspace.root / "images").rglob("*.jpg"):
        number = file.stem
        data = encoded(picture(64, 48, seed=int(number)))
        server.behaviours[f"/00000/{number}.jpg"] = _sender(data)


def _sender(data: bytes) -> Behaviour:
    return lambda request: request.answer(200, data)


def _outcomes(trial: Trial) -> dict[int, str]:
    with duckdb.connect(str(trial.workspace.database), read_only=True) as connection:
        rows = connection.execute(
            "SELECT gridimage_id, 'tagged' FROM predictions_all "
            "UNION ALL SELECT gridimage_id, error_class FROM failures"
        ).fetchall()
    assert len(rows) == len(dict(rows)), "a photo came out twice"
    return dict(rows)


def roots_gone(bed: Bed, short: bool = False) -> Row:
    """Take the image root away, at the start and in the middle; give it back; the next run does the rest.

    The bed must be larger than what the loader reads ahead. `short`: one case of each kind.
    """
    with row(
        "image root gone", "removed, emptied, no folder; server down, silent, 503; at the start and midway"
    ) as made:
        cases: tuple[tuple[str, Trouble], ...] = (
            ("removed at the start", _removed),
            ("emptied at the start", _emptied),
            ("a file in its place", _a_file),
            ("removed midway", _removed_midway),
            ("emptied midway", _emptied_midway),
            ("server down at the start", _server(0, "down")),
            ("server silent at the start", _server(0, "silent")),
            ("server answers 503 at the start", _server(0, "busy")),
            ("server down midway", _server(23, "down")),
            ("server silent midway", _server(23, "silent")),
            ("server answers 503 midway", _server(23, "busy")),
        )
        for name, trouble in cases[1::4] if short else cases:
            with bed.trial() as trial:
                tally = Tally()
                with trouble(trial):
                    try:
                        run_backfill(trial.workspace, load_config(trial.workspace, {}), Job("backfill", Selection()))
                        tally.expect(False, "the run went through")
                    except ImageRootError as error:
                        tally.expect(error.exit_code == 4, f"exit code {error.exit_code}")
                failed = _failed(trial) - {7, 8}  # whose images are bad in the bed
                tally.expect(not failed, f"failures were committed of {failed}")
                trial.finish()
                tally.add(trial.inspect(complete=True))
                made.case(tally, name)
    return made


def _failed(trial: Trial) -> set[int]:
    files = sorted(trial.workspace.failures.rglob("*.parquet"))
    return {photo for file in files for photo in pq.read_table(file)["gridimage_id"].to_pylist()}


def _images(trial: Trial) -> Path:
    return trial.workspace.root / "images"


@contextmanager
def _removed(trial: Trial) -> Iterator[None]:
    _images(trial).rename(_images(trial).with_name("unmounted"))
    yield
    _images(trial).with_name("unmounted").rename(_images(trial))


@contextmanager
def _emptied(trial: Trial) -> Iterator[None]:
    with _removed(trial):
        _images(trial).mkdir()
        yield
        _images(trial).rmdir()


@contextmanager
def _a_file(trial: Trial) -> Iterator[None]:
    with _removed(trial):
        _images(trial).write_text("no folder")
        yield
        _images(trial).unlink()


@contextmanager
def _midway(trial: Trial, empty: bool) -> Iterator[None]:
    """Take the root away as soon as the first chunk is committed."""

    def work() -> None:
        while not any(trial.workspace.predictions.rglob("*.parquet")):
            time.sleep(0.001)
        _images(trial).rename(_images(trial).with_name("unmounted"))
        if empty:
            _images(trial).mkdir()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()
    shutil.rmtree(_images(trial), ignore_errors=True)
    _images(trial).with_name("unmounted").rename(_images(trial))


def _removed_midway(trial: Trial) -> AbstractContextManager[None]:
    return _midway(trial, False)


def _emptied_midway(trial: Trial) -> AbstractContextManager[None]:
    return _midway(trial, True)


def _server(good: int, then: str) -> Trouble:
    """Return what serves so many images, and then is down, silent or busy, its root too."""

    @contextmanager
    def serve(trial: Trial) -> Iterator[None]:
        served: list[str] = []
        with running_server() as server:

            def behave(request: Handler) -> None:
                file = _images(trial) / request.path.lstrip("/")
                if len(served) >= good:
                    _TROUBLES[then](request)
                elif file.is_file():
                    served.append(request.path)
                    request.answer(200, file.read_bytes())
                else:
                    request.answer(404 if request.path != "/" else 200)

            server.fallback = behave
            before = trial.workspace.config_file.read_bytes()
            for key, value in (
                ("images.root", server.root),
                ("images.fetch_timeout", 0.5),
                ("images.fetch_attempts", 2),
            ):
                set_key(trial.workspace, key, value)
            yield
            trial.workspace.config_file.write_bytes(before)

    return serve


_TROUBLES: dict[str, Behaviour] = {
    "down": Handler.reset,
    "silent": stall,
    "busy": status(503),
}
