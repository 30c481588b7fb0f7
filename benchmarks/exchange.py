"""What exchange with an archive takes: python -m benchmarks.exchange [--photos N N] [--folder FOLDER].

For each size a workspace of made-up photos is written, all predicted and embedded; a photo has 4.7 labels on average,
so that 215,000 photos have a million. Then each command runs in a process of its own, as a user would run it, and its
time and peak memory (as the kernel counts it, mapped pages of files included) are printed. The larger size beside the
smaller one tells whether memory is flat.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.config import set_key
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.run.init import init_workspace
from geotag_batch.run.tables import vector_column
from geotag_batch.schema import load_schema
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk
from geotag_batch.write.runs import RunRecord, write_run_record

_DIM, _CHUNK, _ENCODER = 512, 4096, "made-up-00000000"
_AT = datetime(2026, 1, 1, 2)
_RUN = "20260101T020000Z-0001"

_READ = """
import duckdb, sys
path, columns = sys.argv[1], {"gridimage_id": "BIGINT", "label": "VARCHAR", "score": "FLOAT"}
with duckdb.connect(config={"memory_limit": "512MiB"}) as connection:
    rows = connection.read_csv(path) if ".csv" in path else connection.read_json(path, columns=columns) \
        if ".jsonl" in path else connection.read_parquet(path)
    rows.to_table("labels")
"""


@dataclass(frozen=True, slots=True)
class _Measured:
    step: str
    photos: int
    seconds: float
    peak_mb: float
    file_mb: float


def main(sizes: Sequence[int], folder: Path) -> None:
    """Measure each size and print both side by side."""
    found = [measure(photos, folder / f"{photos}") for photos in sizes]
    names = "  ".join(f"{photos:>11,} photos: s   photos/s    peak MB    file MB" for photos in sizes)
    print(f"{'':34}{names}")
    for steps in zip(*found, strict=True):
        figures = "  ".join(
            f"{each.seconds:20.1f} {each.photos / each.seconds:10,.0f} {each.peak_mb:10.0f} {each.file_mb:10.1f}"
            for each in steps
        )
        print(f"{steps[0].step:34}{figures}")


def measure(photos: int, folder: Path) -> list[_Measured]:
    """Make a workspace and one that has the catalogue alone, run the commands, and remove what they wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    full = make_workspace(folder / "full", photos, filled=True)
    steps = []
    for ending in ("jsonl", "jsonl.gz", "csv", "parquet"):
        out = folder / f"labels.{ending}"
        steps.append(_run(f"export labels {ending}", photos, out, _geotag(full, "export", "labels", str(out))))
        steps.append(_run(f"  read by DuckDB {ending}", photos, out, [sys.executable, "-c", _READ, str(out)]))
    out = folder / "since.jsonl"
    last = _geotag(full, "export", "labels", str(out), "--since", "last")
    steps.append(_run("export labels --since last, first", photos, out, last))
    steps.append(_run("export labels --since last, again", photos, out, last))
    for ending in ("jsonl", "jsonl.gz", "parquet"):
        out = folder / f"vectors.{ending}"
        steps.append(_run(f"embeddings export {ending}", photos, out, _geotag(full, "embeddings", "export", str(out))))
        empty = make_workspace(folder / f"empty-{ending}", photos, filled=False)
        command = _geotag(empty, "embeddings", "import", str(out))
        steps.append(_run(f"embeddings import {ending}", photos, out, command))
        if ending == "jsonl":
            steps.append(_run("embeddings import again", photos, out, command))
        shutil.rmtree(empty.root)
        out.unlink()
    shutil.rmtree(folder)
    return steps


def _geotag(workspace: Workspace, *words: str) -> list[str]:
    return [sys.executable, "-m", "geotag_batch.jobs", *words, "-C", str(workspace.root)]


def _run(step: str, photos: int, file: Path, command: list[str]) -> _Measured:
    """Run a command; its output goes nowhere, an exit code other than 0 ends everything."""
    started = time.monotonic()
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (1, 2)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"{' '.join(command)}: exit code {os.waitstatus_to_exitcode(status)}")
    return _Measured(step, photos, seconds, used.ru_maxrss / 1024, file.stat().st_size / 1e6)


def make_workspace(folder: Path, photos: int, *, filled: bool) -> Workspace:
    """Make a workspace with a catalogue and a head, and if `filled` with embeddings and predictions."""
    workspace = init_workspace(folder)
    ids = pa.array(np.arange(1, photos + 1))
    titles = pc.binary_join_element_wise("Church no", ids.cast(pa.string()), "near the village", " ")
    pq.write_table(pa.table({"gridimage_id": ids, "title": titles}), workspace.root / "photos" / "photos.parquet")
    tensors = {"weight": np.zeros((49, 2 * _DIM), np.float32), "bias": np.zeros(49, np.float32)}
    head = save_head(workspace, HeadDraft("bench", ("image", "title"), _DIM, None, _ENCODER, "given"), tensors)
    set_key(workspace, "head.current", head.head_id)
    if filled:
        chance = np.random.default_rng(1)
        name = ChunkName(_RUN, 0, _ENCODER, head.head_id, head.policy.policy_id, None)
        for number, first in enumerate(range(0, photos, _CHUNK), 1):
            rows = slice(first, min(first + _CHUNK, photos))
            tables = _chunk(np.arange(rows.start + 1, rows.stop + 1), chance, head.policy.policy_id)
            commit_chunk(workspace, replace(name, number=number), tables)
        done: dict[str, Any] = dict.fromkeys(("photos", "predicted", "embedded", "pending"), photos)
        write_run_record(
            workspace,
            RunRecord(_RUN, "backfill", "done", _AT, _AT, exit_code=0, finished_at=_AT + timedelta(hours=1), **done),
        )
    return workspace


def _chunk(ids: NDArray[np.int64], chance: np.random.Generator, policy: str) -> ChunkTables:
    count = len(ids)
    vectors = [chance.standard_normal((count, _DIM), np.float32).astype(np.float16) for _ in range(2)]
    every, text = np.ones(count, np.bool_), pa.array(["d41d8cd98f00b204e9800998ecf8427e"] * count)
    signatures = pc.binary_join_element_wise("123456-17000000", pa.array(ids).cast(pa.string()), "")
    run = pa.array([_RUN] * count)
    embeddings = pa.table(
        [pa.array(ids), *(vector_column(each, every) for each in vectors), text, signatures,
         pa.array(["float32"] * count), run],
        schema=load_schema("embeddings").arrow(_DIM),
    )  # fmt: skip
    scores = chance.random((count, len(tag_names())), np.float32) ** 16
    top = scores.argmax(axis=1)
    names = np.asarray(tag_names(), object)[top]
    nothing = pa.nulls(count, pa.float64())
    columns = {
        "gridimage_id": pa.array(ids),
        "tags": pa.array([[name] for name in names]),
        "scores": pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), scores.shape[1]),
        "top_tag": pa.array(names, pa.string()),
        "top_score": pa.array(scores[np.arange(count), top]),
        "set_probability": pa.array(np.full(count, 0.5, np.float32)),
        **{name: pa.array(~every if name in ("forced", "has_location") else every)
           for name in ("forced", "has_image", "has_title", "has_location")},
        "title_hash": text,
        "image_signature": signatures,
        "latitude": nothing,
        "longitude": nothing,
        "policy_id": pa.array([policy] * count),
        "run_id": run,
        "predicted_at": pa.array([_AT] * count, pa.timestamp("us")),
    }  # fmt: skip
    return ChunkTables(embeddings, pa.table({}), pa.table(columns, schema=load_schema("predictions").arrow()), _DIM)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, nargs="+", default=[54_000, 215_000])
    parser.add_argument("--folder", type=Path, help="where some gigabytes may lie for a while")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as made:
        main(asked.photos, Path(made))
