"""Catalogues that are not what they should be: planned over all the same, or refused by name before any work."""

import os
import random
import shutil
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.config import load_config
from geotag_batch.errors import CatalogueError, GeotagError
from geotag_batch.run.plan import Selection, make_plan
from geotag_batch.workspace import Workspace
from tests.corpus.mixed import unchecked_text
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed

__all__ = [
    "CATALOGUES",
    "LARGE_CATALOGUE",
    "Catalogue",
    "catalogues_at_rest",
    "catalogues_changed",
    "damaged_catalogues",
    "flickering_catalogue",
    "truncate",
]

_IDS = pa.array([1, 2, 3])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`make` writes photos/ for a workspace; `expected` is how many photos are planned, or a part of the refusal."""

    name: str
    make: Callable[[Path], object]
    expected: int | str


def _columns(**columns: Any) -> Callable[[Path], None]:  # noqa: ANN401
    table = pa.table({"gridimage_id": _IDS} | columns)
    return lambda folder: pq.write_table(table, folder / "a.parquet")


def _two(first: pa.Table, second: pa.Table) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        pq.write_table(first, folder / "a.parquet")
        pq.write_table(second, folder / "b.parquet")

    return make


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return what writes a good file, and beside it one whose bytes `change` has changed."""

    def make(folder: Path) -> None:
        pq.write_table(pa.table({"gridimage_id": [7]}), folder / "a.parquet")
        _columns(title=["a", "b", "c"])(folder)
        (folder / "a.parquet").rename(folder / "b.parquet")
        pq.write_table(pa.table({"gridimage_id": [7]}), folder / "a.parquet")
        data = (folder / "b.parquet").read_bytes()
        (folder / "b.parquet").write_bytes(change(data))

    return make


def _small_files(folder: Path) -> None:
    pq.write_table(pa.table({"gridimage_id": [0], "title": ["t"]}), folder / "template")
    for number in range(10_000):
        pq.write_table(pa.table({"gridimage_id": [number], "title": ["t"]}), folder / f"{number:05d}.parquet")


_LATITUDES = {"wgs84_long": [0.5, 0.5, 0.5]}

CATALOGUES = (
    Catalogue("ids alone", _columns(), 3),
    Catalogue("0 rows", lambda folder: pq.write_table(pa.table({"gridimage_id": _IDS[:0]}), folder / "a.parquet"), 0),
    Catalogue("no files", lambda folder: None, "nothing matches photos.path"),
    Catalogue("NULL in every column", _columns(**{name: pa.nulls(3) for name in ("title", "tags", "updated_at")}), 3),
    Catalogue("another column", _columns(colour=["red", "green", "blue"]), 3),
    Catalogue(
        "no id column", lambda f: pq.write_table(pa.table({"id": [1]}), f / "a.parquet"), "no column gridimage_id"
    ),
    Catalogue(
        "the id column renamed in the second file",
        _two(pa.table({"gridimage_id": [1]}), pa.table({"photo": [2]})),
        "b.parquet: has no column gridimage_id",
    ),
    Catalogue(
        "a column missing in the second file",
        _two(pa.table({"gridimage_id": [1], "title": ["a"]}), pa.table({"gridimage_id": [2]})),
        2,
    ),
    Catalogue(
        "a column new in the second file",
        _two(pa.table({"gridimage_id": [1]}), pa.table({"gridimage_id": [2], "title": ["a"]})),
        2,
    ),
    Catalogue(
        "ids as text",
        _two(pa.table({"gridimage_id": [1]}), pa.table({"gridimage_id": ["2"]})),
        "b.parquet: column gridimage_id is string",
    ),
    Catalogue(
        "ids as 7.5",
        _two(pa.table({"gridimage_id": [1]}), pa.table({"gridimage_id": [7.5]})),
        "b.parquet: column gridimage_id is double",
    ),
    Catalogue("titles as bytes", _columns(title=[b"a", b"b", b"c"]), "column title is binary"),
    Catalogue("tags as one text", _columns(tags=["Coastal", "Paths", ""]), "column tags is string"),
    Catalogue("times as text", _columns(updated_at=["2026-01-01", "", ""]), "column updated_at is string"),
    Catalogue("degrees as text", _columns(wgs84_lat=["51", "52", "53"]), "column wgs84_lat is string"),
    Catalogue(
        "title twice, once as Title",
        _columns(title=["a", "b", "c"], Title=["a", "b", "c"]),
        "the column title more than once",
    ),
    Catalogue(
        "times in nanoseconds with a zone",
        _columns(updated_at=pa.array([1, 2, 3], pa.timestamp("ns", "Europe/London"))),
        3,
    ),
    Catalogue(
        "times at the ends of their range",
        _columns(updated_at=pa.array([2**63 - 2, 1, 10 - 2**63], pa.timestamp("us"))),
        3,
    ),
    Catalogue(
        "an id twice in one file",
        lambda f: pq.write_table(pa.table({"gridimage_id": [1, 1]}), f / "a.parquet"),
        "1 repeated gridimage_ids, among them 1",
    ),
    Catalogue(
        "an id in two files",
        _two(pa.table({"gridimage_id": [5]}), pa.table({"gridimage_id": [5]})),
        "1 repeated gridimage_ids",
    ),
    Catalogue(
        "a NULL id",
        lambda f: pq.write_table(pa.table({"gridimage_id": [1, None]}), f / "a.parquet"),
        "1 rows without a gridimage_id",
    ),
    Catalogue(
        "a negative id",
        lambda f: pq.write_table(pa.table({"gridimage_id": [1, -(2**63)]}), f / "a.parquet"),
        "1 negative",
    ),
    Catalogue(
        "the greatest id",
        lambda f: pq.write_table(pa.table({"gridimage_id": [1, 2**63 - 1, 2**53 + 1]}), f / "a.parquet"),
        3,
    ),
    Catalogue(
        "an id beyond int64",
        lambda f: pq.write_table(pa.table({"gridimage_id": pa.array([1, 2**63], pa.uint64())}), f / "a.parquet"),
        "a.parquet: cannot be read: Conversion Error",
    ),
    Catalogue("degrees that are NaN", _columns(wgs84_lat=[float("nan"), 51.0, 52.0], **_LATITUDES), 3),
    Catalogue("degrees that are infinite", _columns(wgs84_lat=[float("inf"), 51.0, 52.0], **_LATITUDES), 3),
    Catalogue("degrees of 1e300 and 50,000", _columns(wgs84_lat=[1e300, 50_000.0, 52.0], **_LATITUDES), 3),
    Catalogue("titles that are no UTF-8", _columns(title=unchecked_text([b"caf\xe9", b"x", None])), 3),
    Catalogue(
        "tags that are no UTF-8",
        _columns(tags=pa.ListArray.from_arrays([0, 1, 2, 2], unchecked_text([b"\xff", b"Coastal"]))),
        3,
    ),
    Catalogue("a file of no bytes", _bytes(lambda data: b""), "b.parquet: cannot be read as Parquet"),
    Catalogue("a file of PAR1 alone", _bytes(lambda data: b"PAR1"), "b.parquet: cannot be read as Parquet"),
    Catalogue("HTML", _bytes(lambda data: b"<html>not found</html>"), "b.parquet: cannot be read as Parquet"),
    Catalogue(
        "a file cut in half", _bytes(lambda data: data[: len(data) // 2]), "b.parquet: cannot be read as Parquet"
    ),
    Catalogue("a file without its last byte", _bytes(lambda data: data[:-1]), "b.parquet: cannot be read as Parquet"),
    Catalogue(
        "a footer that claims 2 GB",
        _bytes(lambda data: data[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1"),
        "b.parquet: cannot be read as Parquet",
    ),
    Catalogue(
        "zeros in its middle", _bytes(lambda data: data[:8] + bytes(150) + data[158:]), "b.parquet: cannot be read"
    ),
    Catalogue("a FIFO", lambda folder: os.mkfifo(folder / "a.parquet"), "nothing matches photos.path"),
    Catalogue(
        "a link to itself", lambda folder: (folder / "a.parquet").symlink_to("a.parquet"), "nothing matches photos.path"
    ),
)

LARGE_CATALOGUE = Catalogue("10,000 files of one photo", _small_files, 10_000)


def planned(workspace: Workspace) -> int | str:
    """Return how many photos are pending, the text of a refusal that names what to do, or what went wrong."""
    try:
        with make_plan(workspace, load_config(workspace, {}), Selection(select="all")) as plan:
            return plan.pending
    except GeotagError as error:
        good = isinstance(error, CatalogueError) and error.exit_code == 4 and error.message
        return error.message if good else f"{type(error).__name__}: {error.message}"
    except Exception as error:  # noqa: BLE001  what must not happen is said in the table
        return f"TRACEBACK of {type(error).__name__}: {error}"


def catalogues_at_rest(bed: Bed, cases: tuple[Catalogue, ...] = CATALOGUES) -> Row:
    """Plan over each catalogue in turn."""
    with row("catalogue", "odd columns, ids, values and files, planned over") as made:
        for case in cases:
            with bed.trial() as trial:
                folder = trial.workspace.root / "photos"
                shutil.rmtree(folder)
                folder.mkdir()
                case.make(folder)
                seen, tally = planned(trial.workspace), Tally()
                fits = (
                    case.expected in seen
                    if isinstance(case.expected, str) and isinstance(seen, str)
                    else seen == case.expected
                )
                tally.expect(fits, f"expected {case.expected!r}, seen {seen!r}")
                tally.expect(not any(trial.workspace.runs.glob("*")), "something was written")
                made.case(tally, case.name)
    return made


def damaged_catalogues(bed: Bed, cases: int, seed: int = 0) -> Row:
    """Plan over a catalogue in which some bytes are others than they were."""
    chance = random.Random(seed)
    with (
        row("catalogue damaged", "bytes changed or cut off at random; planned, or refused by name") as made,
        bed.trial() as trial,
    ):
        file = trial.workspace.root / "photos" / "photos.parquet"
        good = file.read_bytes()
        for number in range(cases):
            data = bytearray(good)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)) :]
            file.write_bytes(bytes(data))
            seen, tally = planned(trial.workspace), Tally()
            tally.expect(isinstance(seen, int) or str(file) in seen or "gridimage_id" in seen, f"seen {seen!r}")
            made.case(tally, f"damage {number}")
    return made


def _append(folder: Path) -> None:
    pq.write_table(pa.table({"gridimage_id": [10**6]}), folder / "more.parquet")


def _replace(folder: Path) -> None:
    pq.write_table(pa.table({"gridimage_id": [5], "title": ["other"]}), folder / "new.tmp")
    (folder / "new.tmp").rename(folder / "photos.parquet")


def truncate(folder: Path) -> None:
    os.truncate(folder / "photos.parquet", 100)


def _retype(folder: Path) -> None:
    pq.write_table(pa.table({"gridimage_id": ["x"]}), folder / "photos.parquet")


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


_CHANGES = (_append, _replace, truncate, _retype, _remove)


def catalogues_changed(bed: Bed, changes: Sequence[Callable[[Path], None]] = _CHANGES) -> Row:
    """Change the catalogue as soon as a run has committed its first chunk; the run goes on with what it planned."""
    with row("catalogue changed", "appended, replaced, cut, retyped, removed while a run is under way") as made:
        for change in changes:
            with bed.trial() as trial:
                before = trial.workspace.root / "before"
                shutil.copytree(trial.workspace.root / "photos", before)
                with trial.popen() as process:
                    while process.poll() is None and not any(trial.workspace.predictions.rglob("*.parquet")):
                        time.sleep(0.002)
                    change(trial.workspace.root / "photos")
                    said, _ = process.communicate(timeout=60)
                shutil.rmtree(trial.workspace.root / "photos", ignore_errors=True)
                before.rename(trial.workspace.root / "photos")
                tally = trial.inspect(complete=True)
                tally.expect(process.returncode == 0, f"ended with {process.returncode}: {said[-300:]}")
                made.case(tally, change.__name__.strip("_"))
    return made


@contextmanager
def _flickering(file: Path, states: tuple[pa.Table, ...]) -> Iterator[None]:
    """Replace the catalogue again and again, whole each time."""
    done = threading.Event()

    def work() -> None:
        number = 0
        while not done.is_set():
            number += 1
            pq.write_table(states[number % len(states)], file.with_suffix(".tmp"))
            file.with_suffix(".tmp").rename(file)
            done.wait(0.01)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def flickering_catalogue(bed: Bed, plans: int) -> Row:
    """Plan while the catalogue is replaced every hundredth of a second: one state of it, or a refusal."""
    with row("catalogue replaced", "whole, every 10 ms, while plans are made") as made, bed.trial() as trial:
        file = trial.workspace.root / "photos" / "photos.parquet"
        states = tuple(
            pa.table({"gridimage_id": list(range(first, first + count)), "title": ["t"] * count})
            for first, count in ((0, 3000), (2000, 5000))
        )
        with _flickering(file, states):
            for number in range(plans):
                seen, tally = planned(trial.workspace), Tally()
                tally.expect(seen in (3000, 5000) or "was changed while it was read" in str(seen), f"seen {seen!r}")
                made.case(tally, f"plan {number}")
    return made
