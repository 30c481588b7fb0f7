"""A workspace as large as the archive: a catalogue and committed files of millions of photos, made up in minutes.

Every file is laid out and committed by the job's own code. Vectors are zero unless asked for, so that the disk need
not hold 16 GB that no statement reads; scores are random. A photo in a hundred was tagged again by a later run.
"""

from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.archive import make_head, make_weights
from geotag_batch.config import load_config, set_key
from geotag_batch.duck import connect
from geotag_batch.predict.head import current_head_info
from geotag_batch.read.gridref import parse_grid_reference, wgs84_centres
from geotag_batch.run.init import init_workspace
from geotag_batch.run.tables import Scored, Stamp, embeddings_table, predictions_table
from geotag_batch.run.work import Chunk
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk
from geotag_batch.write.runs import RunRecord, write_run_record
from geotag_batch.write.views import rebuild_views

__all__ = ["make_large"]

_CHUNK, _CHUNKS_A_NIGHT, _DIM = 4096, 100, 512
_WORDS = [
    *("Church", "Bridge", "Lane", "Farm", "Quarry", "Canal", "Beach", "Moor", "Hill", "Wood", "Station", "Road"),
    *("House", "Mill", "River", "Path", "Stile", "Field", "Gate", "Cottage", "Tower", "Rocks", "Loch", "Chapel"),
    *("near", "the", "old", "from", "above", "on", "at", "towards", "Upper", "Lower", "North"),
]


def make_large(folder: Path, photos: int, *, random_vectors: bool = False, chunk: int = _CHUNK) -> Workspace:
    """Make a workspace of `photos` photos, all predicted and embedded, one in a hundred of them twice.

    A file has `chunk` of them.
    """
    workspace = init_workspace(folder)
    weights = folder / "cache" / "weights.safetensors"
    weights.parent.mkdir(exist_ok=True)
    make_weights(weights)
    set_key(workspace, "encoder.weights", str(weights))
    set_key(workspace, "head.current", make_head(workspace, seed=1))
    _make_catalogue(workspace, photos)
    set_key(workspace, "run.chunk_size", chunk)
    chunks = -(-photos // chunk)
    nights = [range(first, min(first + _CHUNKS_A_NIGHT, chunks)) for first in range(0, chunks, _CHUNKS_A_NIGHT)]
    make_night = partial(_make_night, workspace.root, photos, random_vectors)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(make_night, range(len(nights)), nights))
    make_night(len(nights), range(-(-photos // 100 // chunk)), every=100)
    rebuild_views(workspace, load_config(workspace))
    return workspace


def _make_catalogue(workspace: Workspace, photos: int, files: int = 10) -> None:
    """Write titles of 28 characters on average, 4-figure grid references in 244,000 squares, contributors, dates."""
    squares = [
        f"{letters}{east:02d}{north:02d}" for letters in _letters() for east in range(100) for north in range(100)
    ]
    words = pa.table({"squares": [squares], "words": [_WORDS]})
    with connect() as connection:
        connection.register("words_source", words)
        connection.execute("CREATE TABLE source AS FROM words_source")
        for file in range(files):
            path = workspace.root / "photos" / f"photos-{file:02d}.parquet"
            rows = connection.sql(
                """
                SELECT
                    i + 1 AS gridimage_id,
                    array_to_string(
                        list_transform(
                            range(3 + (hash(i, 1) % 4)::BIGINT),
                            lambda k: words[1 + (hash(i, k + 2) % len(words))::BIGINT]
                        ),
                        ' '
                    ) || CASE WHEN i % 3 = 0 THEN ' ' || i % 10007 ELSE '' END AS title,
                    squares[1 + (hash(i, 9) % len(squares))::BIGINT] AS grid_reference,
                    [['top:Moorland', 'Snow'], NULL, []][1 + i % 3] AS tags,
                    (hash(i // 40) % 14000)::BIGINT AS user_id,
                    'Contributor ' || hash(i // 40) % 14000 AS realname,
                    '2009-06-15' AS imagetaken,
                    TIMESTAMP '2020-01-01' AS updated_at
                FROM range($first::BIGINT, $last::BIGINT) AS numbers(i), source
                """,
                params={"first": photos * file // files, "last": photos * (file + 1) // files},
            )
            pq.write_table(rows.to_arrow_table().sort_by("gridimage_id"), path, row_group_size=100_000)


def _letters() -> tuple[str, ...]:
    pairs = (f"{one}{two}" for one in "HNOST" for two in "ABCDEFGHJKLMNOPQRSTUVWXYZ")
    return tuple(pair for pair in pairs if parse_grid_reference(f"{pair}5050") is not None)[:25]


def _make_night(root: Path, photos: int, random_vectors: bool, night: int, numbers: range, every: int = 1) -> None:
    """Commit the chunks `numbers` of one run: ids in order, or of each `every`-th photo."""
    workspace = Workspace.find(root)
    config = load_config(workspace)
    chunk_size = config.run.chunk_size
    info = current_head_info(workspace, config)
    assert info.location is not None
    at = datetime(2026, 1, 1, 2) + timedelta(days=night)
    run_id = f"{at:%Y%m%dT%H%M%SZ}-{night:04x}"
    stamp = Stamp(run_id, at, "float32", info.encoder_id, info.head_id, timedelta(hours=20))
    chance = np.random.default_rng(night)
    done = 0
    with connect(threads=1) as connection:
        for place, number in enumerate(numbers):
            rows = connection.sql(
                f"""
                SELECT gridimage_id, title, md5(title) AS title_hash, grid_reference, 0 AS attempts,
                    NULL::VARCHAR AS embedding_file, true AS encode_title,
                    '1234-5678-' || gridimage_id AS image_signature
                FROM '{root}/photos/*.parquet'
                WHERE gridimage_id BETWEEN $first AND $last AND gridimage_id % $every = 0
                ORDER BY gridimage_id
                """,
                params={
                    "first": number * chunk_size * every + 1,
                    "last": min((number + 1) * chunk_size * every, photos),
                    "every": every,
                },
            ).to_arrow_table()
            centres = wgs84_centres(rows["grid_reference"].to_pylist(), grids=info.location.grids, square_km=True)
            for column, values in zip(("latitude", "longitude"), centres.T, strict=True):
                rows = rows.append_column(column, pa.array(values))
            count = rows.num_rows
            chunk = Chunk.of(rows, np.ones(count, np.bool_), _DIM)
            chunk.vectors.has_image[:] = chunk.vectors.has_title[:] = True
            if random_vectors:
                chunk.vectors.image[:] = chance.standard_normal((count, _DIM), np.float32)
                chunk.vectors.title[:] = chance.standard_normal((count, _DIM), np.float32)
            scores = chance.random((count, len(info.tags)), np.float32) ** 16  # two tags a photo
            scored = Scored(np.arange(count), scores, info, np.ones((count, 3), np.bool_))
            tables = ChunkTables(
                embeddings_table(chunk, stamp, everything=True),
                pa.table({}),
                predictions_table(chunk, scored, stamp),
                _DIM,
            )
            name = ChunkName(run_id, place + 1, info.encoder_id, info.head_id, info.policy.policy_id, "0" * 64)
            commit_chunk(workspace, name, tables)
            done += count
    record = RunRecord(
        run_id=run_id,
        command="backfill",
        status="done",
        started_at=at,
        updated_at=at,
        finished_at=at,
        pending=done,
        exit_code=0,
        encoder_id=info.encoder_id,
        head=info.head_id,
        policy_id=info.policy.policy_id,
        precision="float32",
        device="cpu",
        chunks=len(numbers),
        photos=done,
        predicted=done,
        embedded=done,
        images_encoded=done,
        titles_encoded=done,
        seconds=done / 40,
    )
    write_run_record(workspace, record)
