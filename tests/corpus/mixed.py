"""All cases in one catalogue, good photos among them, through one run of the installed job."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.config import default_toml, set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.workspace import Workspace
from tests.corpus.cases import TITLE, Case, Impossible
from tests.corpus.decoders import DECODERS, HOOK
from tests.corpus.images import IMAGES
from tests.corpus.texts import PATHS, REFERENCES, TITLES
from tests.heads import make_head
from tests.read.pictures import encoded, picture

__all__ = ["CASES", "Mixed", "run_mixed"]

CASES: tuple[Case, ...] = (*IMAGES, *PATHS, *TITLES, *REFERENCES, *DECODERS)

_NEIGHBOURS = 1 + len(CASES) // 3
"""Good photos: one before each three cases. Their ids are multiples of four."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """What came of a run: for each case what was seen, or None and why it could not be made."""

    seen: list[tuple[Case, str | None]]
    impossible: dict[str, str]
    errors: str
    scores: dict[int, list[float]]
    undisturbed: dict[int, list[float]]
    twice: int
    canaries: list[Path]


def run_mixed(folder: Path) -> Mixed:
    """Run the job over all cases and their neighbours, and over the neighbours alone."""
    alone = _Archive(folder / "alone", ())
    alone.run()
    mixed = _Archive(folder / "mixed", CASES)
    errors = mixed.run()
    with duckdb.connect(str(mixed.workspace.database), read_only=True) as connection:
        outcomes = _outcomes(connection, mixed.cases)
        scores = _scores(connection)
        (twice,) = connection.execute(
            "SELECT count(*) - count(DISTINCT gridimage_id) FROM (SELECT gridimage_id FROM predictions_all "
            "UNION ALL SELECT gridimage_id FROM failures)"
        ).fetchall()[0]
    with duckdb.connect(str(alone.workspace.database), read_only=True) as connection:
        undisturbed = _scores(connection)
    seen = [(case, outcomes.get(case)) for case in CASES]
    return Mixed(seen, mixed.impossible, errors, scores, undisturbed, twice, list(folder.rglob("canary*")))


class _Archive:
    """A workspace with the neighbours and some cases."""

    def __init__(self, root: Path, cases: Iterable[Case]) -> None:
        root.mkdir(parents=True)
        (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
        self.workspace = Workspace(root.resolve())
        self.images = root / "images"
        self.images.mkdir()
        self.impossible: dict[str, str] = {}
        self.cases: dict[int, Case] = {}
        rows: list[tuple[int, bytes | None, bytes | None, bytes | None]] = []
        for number in range(_NEIGHBOURS):
            (self.images / f"{4 * number}.jpg").write_bytes(encoded(picture(64, 48, seed=number)))
            rows.append((4 * number, TITLE, b"TQ3080", f"{4 * number}.jpg".encode()))
        for number, case in ((4 * (place // 3) + place % 3 + 1, case) for place, case in enumerate(cases)):
            path = self.images / f"{number}.jpg"
            try:
                case.make(path)
            except Impossible as reason:
                self.impossible[case.name] = str(reason)
                continue
            reference = f"{number}.jpg".encode() if case.reference == b"" else case.reference
            rows.append((number, case.title, case.grid_reference, reference))
            self.cases[number] = case
        self._write(rows)
        text = self.workspace.config_file.read_text(encoding="utf-8").replace("\ntemplate =", "\n# template =")
        self.workspace.config_file.write_text(text.replace("\n# column = ...", '\ncolumn = "image"'), encoding="utf-8")
        for key, value in (
            ("encoder.model", "fake"),
            ("run.chunk_size", 100),
            ("run.max_failure_rate", 1.0),
            ("images.decode_timeout", 3.0),
            ("head.current", make_head(self.workspace, FakeEncoder.encoder_id, seed=1)),
        ):
            set_key(self.workspace, key, value)

    def _write(self, rows: Sequence[tuple[int, bytes | None, bytes | None, bytes | None]]) -> None:
        ids, *texts = zip(*rows, strict=True)
        columns = [pa.array(ids, pa.int64()), *(unchecked_text(column) for column in texts)]
        (self.workspace.root / "photos").mkdir()
        table = pa.table(dict(zip(("gridimage_id", "title", "grid_reference", "image"), columns, strict=True)))
        pq.write_table(table, self.workspace.root / "photos" / "photos.parquet")

    def run(self) -> str:
        """Run the installed job to its end; return what it said on stderr."""
        hook = self.workspace.root.parent / "hook"
        hook.mkdir(exist_ok=True)
        (hook / "sitecustomize.py").write_text(HOOK)
        command = [sys.executable, "-m", "geotag_batch.jobs", "backfill", "-C", str(self.workspace.root)]
        environment = {**os.environ, "PYTHONPATH": str(hook)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(hook)
        return done.stderr


def unchecked_text(values: Sequence[bytes | None]) -> pa.Array:
    """Return bytes as a column of texts, whether or not they are UTF-8."""
    array = pa.array(values, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(array), array.buffers(), array.null_count)


def _outcomes(connection: duckdb.DuckDBPyConnection, cases: dict[int, Case]) -> dict[Case, str]:
    rows = connection.execute(
        "SELECT gridimage_id, error_class, photos.title, round(latitude, 1), round(longitude, 1) "
        "FROM photos LEFT JOIN predictions_all USING (gridimage_id) "
        "LEFT JOIN (SELECT gridimage_id, error_class FROM failures) USING (gridimage_id) "
        "WHERE gridimage_id % 4 > 0 AND (error_class IS NOT NULL) <> (run_id IS NOT NULL)"
    ).fetchall()
    return {cases[row[0]]: _in_words(cases[row[0]], *row[1:]) for row in rows}


def _in_words(
    case: Case, error_class: str | None, title: str | None, latitude: float | None, longitude: float | None
) -> str:
    if error_class is not None:
        return error_class
    if case.kind == "title":
        same = "no title" if title is None else f"title {title!r}"
        return f"tagged, {'title as it was' if title is not None and title.encode() == case.title else same}"
    if case.kind == "grid reference":
        return f"tagged, {'no location' if latitude is None else f'at {latitude} {longitude}'}"
    return "tagged"


def _scores(connection: duckdb.DuckDBPyConnection) -> dict[int, list[float]]:
    rows = connection.execute("SELECT gridimage_id, scores FROM predictions_all WHERE gridimage_id % 4 = 0")
    return dict(rows.fetchall())
