"""How long `geotag search` takes, and in how much memory: python -m benchmarks.search [PHOTOS] [FOLDER].

A workspace of that many photos (a million if not said) is made, with random image embeddings written by the job's own
code, one in a hundred of them twice. Each command runs as a user would start it; its answer is compared with a plain
one: every vector in float64, sorted whole.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.config import load_config, set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.fingerprint import file_metadata
from geotag_batch.run.init import init_workspace
from geotag_batch.schema import load_schema
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import publish_parquet
from geotag_batch.write.views import rebuild_views

_CHUNK, _CHUNKS_A_NIGHT, _DIM, _LIMIT = 4096, 100, 512, 100
_LIKE = 5


def main(photos: int, folder: Path) -> None:
    """Make the workspace, measure, compare, print."""
    workspace = Workspace(folder.resolve()) if (folder / "geotag.toml").exists() else _make(folder, photos)
    stored = sum(path.stat().st_size for path in workspace.dataset_files("embeddings"))
    print(f"{photos:,} photos, {stored / 1e9:.1f} GB of embeddings, {os.cpu_count()} cores")
    found = {}
    for name, arguments in (
        ("the first time", ("--like", str(_LIKE))),
        ("--like", ("--like", str(_LIKE))),
        ("a text", ("stone bridge over a river",)),
        ("--near", ("--like", str(_LIKE), "--near", "TQ3080", "--km", "20")),
    ):
        found[name] = _command(workspace, name, *arguments, "--limit", str(_LIMIT), "--format", "json")
    _views(workspace, found["--like"])
    if photos <= 2_000_000:  # the plain answer needs all vectors at once
        text = FakeEncoder().encode_titles(["stone bridge over a river"])[0]
        _compare(workspace, {"--like": None, "a text": text}, found)


def _command(workspace: Workspace, name: str, *arguments: str) -> dict[str, Any]:
    """Run the command, print what it took; return its answer."""
    command = [sys.executable, "-m", "geotag_batch.jobs", "search", "-C", str(workspace.root), *arguments]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        answer: dict[str, Any] = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = time.monotonic() - began
    processor = used.ru_utime + used.ru_stime
    print(
        f"{name}: {seconds:.1f} s ({processor:.1f} s of processor time), at most {used.ru_maxrss / 1000:.0f} MB; "
        f"{answer['compared']:,} compared in {answer['seconds']:.2f} s"
    )
    return answer


def _views(workspace: Workspace, found: dict[str, Any]) -> None:
    sql = f"SELECT gridimage_id, similarity FROM similar_to({_LIKE}, first_rows := {_LIMIT})"
    command = [sys.executable, "-m", "geotag_batch.jobs", "query", "-C", str(workspace.root), "--format", "json", sql]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = {row["gridimage_id"]: row["similarity"] for row in json.loads(done.stdout)}
    same = list(rows) == [photo["gridimage_id"] for photo in found["photos"]]
    print(f"similar_to({_LIKE}): {time.monotonic() - began:.1f} s; the same photos in the same order: {same}")


def _compare(
    workspace: Workspace, queries: dict[str, NDArray[np.float32] | None], found: dict[str, dict[str, Any]]
) -> None:
    """Compare with the whole in memory: a dictionary of the newest vectors, all cosines in float64, all sorted."""
    newest: dict[int, tuple[int, int]] = {}
    matrices = []
    for file, path in enumerate(sorted(workspace.dataset_files("embeddings"))):
        table = pq.read_table(path, columns=["gridimage_id", "image_embedding"])
        values = table["image_embedding"].combine_chunks()
        values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
        matrices.append(values.flatten().to_numpy().reshape(-1, _DIM))
        newest.update({photo: (file, row) for row, photo in enumerate(table["gridimage_id"].to_pylist())})
    ids = np.array(sorted(newest))
    for name, query in queries.items():
        place, row = newest[_LIKE]
        asked = (matrices[place][row] if query is None else query).astype(np.float64)
        cosines = np.empty(len(ids), np.float32)
        whole = [_cosines(matrix, asked) for matrix in matrices]
        for position, photo in enumerate(ids.tolist()):
            file, row = newest[photo]
            cosines[position] = whole[file][row]
        if query is None:
            cosines[ids == _LIKE] = -2
        order = np.lexsort((ids, -cosines))[:_LIMIT]
        photos = found[name]["photos"]
        same = [photo["gridimage_id"] for photo in photos] == ids[order].tolist()
        largest = max(abs(photo["similarity"] - cosines[at]) for photo, at in zip(photos, order, strict=True))
        print(f"{name}: the same {_LIMIT} photos in the same order as the plain answer: {same}; ", end="")
        print(f"largest difference of a similarity {largest:.1e}")


def _cosines(matrix: NDArray[np.float16], asked: NDArray[np.float64]) -> NDArray[np.float32]:
    exact = matrix.astype(np.float64)
    cosines: NDArray[np.float64] = exact @ asked / np.linalg.norm(exact, axis=1) / np.linalg.norm(asked)
    return cosines.astype(np.float32)


def _make(folder: Path, photos: int) -> Workspace:
    """Make the workspace: titles, 4-figure squares around London, and embeddings in chunks as a run commits them."""
    workspace = init_workspace(folder)
    set_key(workspace, "encoder.model", "fake")
    ids = np.arange(1, photos + 1)
    squares = np.array([f"TQ{east:02d}{north:02d}" for east in range(100) for north in range(100)])
    chance = np.random.default_rng(1)
    table = {
        "gridimage_id": ids,
        "title": [f"Photo {photo}" for photo in ids.tolist()],
        "grid_reference": squares[chance.integers(0, len(squares), photos)],
    }
    pq.write_table(pa.table(table), workspace.root / "photos" / "photos.parquet", row_group_size=100_000)
    chunks = [ids[start : start + _CHUNK] for start in range(0, photos, _CHUNK)]
    again = ids[::100]
    later = [again[start : start + _CHUNK] for start in range(0, len(again), _CHUNK)]
    last = len(chunks) // _CHUNKS_A_NIGHT + 1
    nights = [(number // _CHUNKS_A_NIGHT, chunk) for number, chunk in enumerate(chunks)]
    for number, (night, chunk) in enumerate([*nights, *((last, chunk) for chunk in later)]):
        run_id = f"{datetime(2026, 1, 1, 2) + timedelta(days=night):%Y%m%dT%H%M%SZ}-{night % 65536:04x}"
        final = workspace.embeddings_file(FakeEncoder.encoder_id, run_id, number + 1)
        metadata = file_metadata("embeddings", 1, run_id, encoder_id=FakeEncoder.encoder_id)
        publish_parquet(_embeddings(chance, chunk, run_id), metadata, final, workspace.staging / run_id)
    rebuild_views(workspace, load_config(workspace))
    return workspace


def _embeddings(chance: np.random.Generator, ids: NDArray[np.int64], run_id: str) -> pa.Table:
    """Return rows with random vectors, of values from 0.125 to 2 with either sign, made bit by bit, which is fast."""
    bits = np.frombuffer(chance.bytes(2 * len(ids) * _DIM), np.uint16)
    vectors = ((bits & 0x8FFF) | 0x3000).view(np.float16)
    columns = {
        "gridimage_id": ids,
        "image_embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors), _DIM),
        "title_embedding": pa.nulls(len(ids), pa.list_(pa.float16(), _DIM)),
        "title_hash": pa.nulls(len(ids), pa.string()),
        "image_signature": [f"1234-{photo}" for photo in ids.tolist()],
        "precision": ["float32"] * len(ids),
        "run_id": [run_id] * len(ids),
    }
    return pa.table(columns, schema=load_schema("embeddings").arrow(_DIM))


if __name__ == "__main__":
    wanted = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as made:
        main(wanted, Path(sys.argv[2]) if len(sys.argv) > 2 else Path(made) / "archive")
