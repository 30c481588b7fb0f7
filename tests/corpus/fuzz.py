"""Fuzzing what reads bytes and texts from outside: only the outcomes that are stated may come out."""

import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from geotag_batch.config import ImagesConfig
from geotag_batch.errors import CatalogueError, InputError, PhotoFailure
from geotag_batch.read.archives import ARCHIVES
from geotag_batch.read.dumps import DumpFile
from geotag_batch.read.gridref import parse_grid_reference, wgs84_centres
from geotag_batch.read.http import HttpSource
from geotag_batch.read.images import ImageLimits, decode_image
from geotag_batch.read.ingest import RejectedLines, StagedTable, stage_dump
from tests.corpus.images import IMAGES
from tests.faults.row import Row, row
from tests.read.pictures import TINY

__all__ = ["TARGETS", "fuzz", "fuzzed"]

_LIMITS = ImageLimits(max_bytes=10**6, max_pixels=100_000)


def _image_files() -> list[bytes]:
    """Return the corpus's files of bytes, no longer than 20 kB, as what is damaged further."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, case in enumerate(IMAGES):
            path = Path(folder) / str(number)
            with suppress(Exception):
                case.make(path)
            if path.is_file() and not path.is_symlink() and 0 < path.stat().st_size < 20_000:
                files.append(path.read_bytes())
    return files


_edits = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


def _damaged(data: bytes, edits: list[tuple[float, int]], in_header: bool, keep: float) -> bytes:
    changed = bytearray(data)
    for place, value in edits:
        changed[int(place * (min(300, len(data)) if in_header else len(data)))] = value
    if keep < 0.3:
        del changed[int(keep / 0.3 * len(data)) :]
    return bytes(changed)


def images(cases: int) -> int:
    """Damage the corpus's images: pixels of the right shape, or a PhotoFailure with a message."""
    ran = 0
    files = _image_files()

    @_settings(cases)
    @given(st.sampled_from(files), _edits, st.booleans(), st.floats(0, 1), st.booleans())
    def attempt(data: bytes, edits: list[tuple[float, int]], in_header: bool, keep: float, scaled: bool) -> None:
        nonlocal ran
        ran += 1
        try:
            pixels = decode_image(_damaged(data, edits, in_header, keep), TINY, _LIMITS, scaled=scaled)
        except PhotoFailure as failure:
            assert failure.message
        else:
            assert pixels.shape == (32, 32, 3)
            assert pixels.dtype == np.uint8

    attempt()
    return ran


_reference = st.one_of(
    st.text(),
    st.from_regex(r"\s?[A-Za-z]{1,3}\s?[0-9]{0,7}\s?[0-9]{0,6}\s?", fullmatch=True),
    st.text("AISTQNVHJO0123456789 \t-", max_size=16),
)


def references(cases: int) -> int:
    """Parse any text: a square on the map, or none; one at a time and many at a time agree."""
    ran = 0

    @_settings(cases // 10)
    @given(st.lists(st.one_of(st.none(), _reference), min_size=10, max_size=10))
    def attempt(texts: list[str | None]) -> None:
        nonlocal ran
        ran += len(texts)
        texts = [text.encode(errors="replace").decode() if text is not None else None for text in texts]
        centres = wgs84_centres(texts)
        for text, centre in zip(texts, centres, strict=True):
            square = parse_grid_reference(text or "")
            assert (square is None) == bool(np.isnan(centre).any()), text
            if square is not None:
                assert square.size in (1, 10, 100, 1000, 10_000) and square.easting >= 0 and square.northing >= 0
                assert 48 < centre[0] < 63 and -13 < centre[1] < 4, text

    attempt()
    return ran


_line = st.one_of(
    st.binary(max_size=80),
    st.lists(st.one_of(st.text(max_size=8), st.integers().map(str), st.floats().map(str)), max_size=8).map(
        lambda cells: "\t".join(cells).encode(errors="replace")
    ),
    st.lists(st.one_of(st.text(max_size=8), st.integers(-(2**70), 2**70).map(str)), max_size=60).map(
        lambda cells: ",".join(cells).encode(errors="replace")
    ),
)


def dumps(cases: int) -> int:
    """Ingest any lines below a right header, and any bytes as a whole file: each line is accounted for."""
    ran = 0
    tables = [table for archive in ARCHIVES.values() for table in archive.tables]

    with tempfile.TemporaryDirectory() as folder:

        @_settings(cases // 20)
        @given(
            st.sampled_from(tables), st.lists(_line, min_size=20, max_size=20), st.sampled_from(["", "", ".gz", ".zip"])
        )
        def attempt(table: object, lines: list[bytes], packed: str) -> None:
            nonlocal ran
            ran += len(lines)
            _ingest(Path(folder), table, lines, packed)

        attempt()
    return ran


def _ingest(folder: Path, table: object, lines: list[bytes], packed: str) -> None:
    from geotag_batch.read.archives import DumpTable  # noqa: PLC0415

    assert isinstance(table, DumpTable)
    header = table.separator.join(table.required).encode()
    path = folder / f"dump{packed}"
    body = b"\n".join(lines) if packed else b"\n".join([header, *lines])
    path.write_bytes(body)
    with (
        RejectedLines(folder / "rejected.tsv") as rejected,
        StagedTable(folder / "staged.parquet", table.staged, unique_ids=table.unique_ids) as staged,
    ):
        try:
            totals = stage_dump(DumpFile(path, table), staged, rejected)
        except (InputError, CatalogueError) as error:
            assert packed and error.message
            return
    counted = totals.staged + totals.blank + totals.left_out.total() + totals.rejected.total()
    assert totals.lines == counted


_answer = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.sampled_from(
            [
                *(
                    b"HTTP/1.1 200 OK\r\n",
                    b"HTTP/1.0 200 OK\r\n",
                    b"HTTP/1.1 302 F\r\n",
                    b"HTTP/1.1 429 B\r\n",
                    b"\r\n",
                ),
                *(b"HTTP/1.1 100 C\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"Location: "),
                *(
                    b"Retry-After: ",
                    b"ETag: ",
                    b"5\r\n",
                    b"-5\r\n",
                    b"0\r\n\r\n",
                    b"http://127.0.0.1/",
                    b"Connection: close\r\n",
                ),
            ]
        ),
    ),
    max_size=10,
).map(b"".join)


@dataclass
class _Echo:
    """A server that answers every connection with the bytes it was given, and closes."""

    answer: bytes = b""
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(self.answer)
                connection.shutdown(socket.SHUT_WR)


def answers(cases: int) -> int:
    """Answer a request with any bytes: an image's bytes, or a PhotoFailure, in bounded time."""
    ran = 0
    server = _Echo()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    port = server.listener.getsockname()[1]
    source = HttpSource(
        ImagesConfig(root=f"http://127.0.0.1:{port}", fetch_timeout=2.0, fetch_attempts=1, max_bytes=10_000)
    )

    @_settings(cases)
    @given(_answer)
    def attempt(data: bytes) -> None:
        nonlocal ran
        ran += 1
        server.answer = data
        try:
            assert len(source.fetch("7.jpg").data) <= 10_000
        except PhotoFailure as failure:
            assert failure.message

    try:
        attempt()
    finally:
        source.close()
        with suppress(OSError):
            server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        thread.join(5)
    return ran


def _settings(cases: int) -> settings:
    return settings(
        max_examples=max(1, cases),
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


TARGETS: dict[str, tuple[str, Callable[[int], int]]] = {
    "image reader": ("the corpus's images, damaged further, whole and scaled", images),
    "grid references": ("any text, and nearly right ones", references),
    "ingest": ("any lines under a right header, any bytes as a packed file", dumps),
    "http answers": ("any bytes, and pieces of answers in any order", answers),
}


def fuzzed(name: str, cases: int) -> Row:
    """Fuzz one target; what hypothesis finds is the row's finding."""
    how, target = TARGETS[name]
    with row(f"fuzzed: {name}", how) as made:
        try:
            made.cases = target(cases)
        except BaseException as error:  # noqa: BLE001  hypothesis raises what the target raised, with the example
            made.tally.expect(False, f"{type(error).__name__}: {error} {getattr(error, '__notes__', '')}")
    return made


def fuzz(cases: int) -> list[Row]:
    """Fuzz every target for so many cases each."""
    return [fuzzed(name, cases) for name in TARGETS]
