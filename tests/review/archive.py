"""A workspace with thousands of predictions, made in a second: random vectors, scored by the library's own head."""

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from geotag_batch.config import default_toml, load_config, set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.predict.features import DEFAULT_RULE, fuse
from geotag_batch.predict.head import HeadDraft, load_head, save_head
from geotag_batch.run.tables import Scored, Stamp, embeddings_table, predictions_table
from geotag_batch.run.views import remake_views
from geotag_batch.run.work import Chunk
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk
from tests.builders import RUN_1, title_hash, write_catalogue
from tests.data import run_time, write_run

__all__ = ["HOSTILE", "commit_predictions", "make_review_archive"]

HOSTILE = "<img src=x onerror=alert(1)><script>document.title='owned'</script> & \"quoted\" it's {{7*7}}"
_LETTERS = ("TQ", "SU", "NN", "SH", "NY")
_CONTRIBUTORS = ("Ann Thwaite", "Bob Ó Briain", "Cid <b>Bold</b>", "Dafydd ap Rhys")
_CHUNK = 500


def make_review_archive(root: Path, count: int, pictures: int = 12) -> Workspace:
    """Make a workspace of `count` photos, ids from 1, all predicted and embedded; some titles are hostile.

    The images are links to a few files, the one of photo 3 is broken and that of photo 4 is missing.
    """
    root.mkdir(parents=True)
    (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
    workspace = Workspace(root.resolve())
    set_key(workspace, "encoder.model", "fake")
    set_key(workspace, "run.workers", 1)
    set_key(workspace, "head.current", _make_head(workspace))
    photos = [
        {
            "gridimage_id": number,
            "title": HOSTILE if number % 10 == 0 else f"Photo number {number} of the test",
            "grid_reference": f"{_LETTERS[number % 5]}{number % 100:02d}{number * 7 % 100:02d}",
            "realname": _CONTRIBUTORS[number % 4],
            "user_id": number % 4 + 1,
        }
        for number in range(1, count + 1)
    ]
    write_catalogue(workspace, photos)
    _link_images(workspace, count, pictures)
    commit_predictions(workspace, RUN_1, range(1, count + 1), seed=1)
    remake_views(workspace, load_config(workspace))
    return workspace


def _make_head(workspace: Workspace) -> str:
    """Save a linear head that suggests about two tags a photo."""
    chance = np.random.default_rng(1)
    weight = chance.normal(0, 0.3, (49, 2 * FakeEncoder.dim + 2)).astype(np.float32)
    draft = HeadDraft(
        "test", ("image", "title", "location"), FakeEncoder.dim, DEFAULT_RULE, FakeEncoder.encoder_id, "given"
    )
    return save_head(workspace, draft, {"weight": weight, "bias": np.full(49, -2.6, np.float32)}).head_id


def commit_predictions(workspace: Workspace, run_id: str, ids: range, seed: int) -> None:
    """Commit a run that predicted these photos, of random vectors."""
    head = load_head(workspace, str(load_config(workspace).head.current))
    chance = np.random.default_rng(seed)
    stamp = Stamp(run_id, run_time(run_id), "float32", head.info.encoder_id, head.info.head_id, timedelta(hours=20))
    for number, first in enumerate(range(ids.start, ids.stop, _CHUNK), 1):
        some = list(range(first, min(first + _CHUNK, ids.stop)))
        chunk = _chunk(some, chance)
        assert head.info.location is not None
        location = head.info.location.scale(chunk.locations)
        scores = head.scores(fuse(head.info.modalities, chunk.vectors.image, chunk.vectors.title, location))
        scored = Scored(np.arange(len(some)), scores, head.info, np.ones((len(some), 3), np.bool_))
        tables = ChunkTables(
            embeddings_table(chunk, stamp, everything=True),
            pa.table({}),
            predictions_table(chunk, scored, stamp),
            FakeEncoder.dim,
        )
        policy = head.info.policy.policy_id
        name = ChunkName(run_id, number, head.info.encoder_id, head.info.head_id, policy, "0" * 64)
        commit_chunk(workspace, name, tables)
    write_run(workspace, run_id, head=head.info.head_id, predicted=len(ids), photos=len(ids))


def _chunk(ids: list[int], chance: np.random.Generator) -> Chunk:
    count = len(ids)
    rows = pa.table(
        {
            "gridimage_id": pa.array(ids, pa.int64()),
            "title": [f"Photo {number}" for number in ids],
            "title_hash": [title_hash(f"Photo {number}") for number in ids],
            "attempts": [0] * count,
            "embedding_file": pa.nulls(count, pa.string()),
            "encode_title": [True] * count,
            "image_signature": [f"{number}-1" for number in ids],
            "latitude": chance.uniform(50, 60, count),
            "longitude": chance.uniform(-7, 1, count),
        }
    )
    chunk = Chunk.of(rows, np.ones(count, np.bool_), FakeEncoder.dim)
    for vectors in (chunk.vectors.image, chunk.vectors.title):
        vectors[:] = chance.normal(0, 0.15, vectors.shape)
    chunk.vectors.has_image[:] = chunk.vectors.has_title[:] = True
    return chunk


def _link_images(workspace: Workspace, count: int, pictures: int) -> None:
    folder = workspace.root / "images" / "00000"
    folder.mkdir(parents=True)
    kept = workspace.root / "drawn"
    kept.mkdir()
    for number in range(pictures):
        size = (160, 120) if number % 3 else (90, 120)
        Image.new("RGB", size, (number * 67 % 256, number * 91 % 256, 120)).save(kept / f"{number}.jpg")
    (kept / "broken.jpg").write_bytes((kept / "1.jpg").read_bytes()[:300])
    for number in range(1, count + 1):
        if number != 4:
            source = "broken.jpg" if number == 3 else f"{number % pictures}.jpg"
            os.link(kept / source, folder / f"{number}.jpg")
