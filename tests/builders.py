"""Commits small datasets through the library's own writer, so that tests can plan over them."""

from datetime import datetime
from hashlib import md5
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.schema import load_schema
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk

ENCODER, HEAD, POLICY = "encoder-1", "head-1", "policy-1"
RUN_1, RUN_2, RUN_3 = "20260101T000000Z-aaaa", "20260102T000000Z-bbbb", "20260103T000000Z-cccc"


def query(sql: str) -> list[tuple[Any, ...]]:
    """Run a statement in a DuckDB of its own, without the library."""
    with duckdb.connect() as connection:
        return connection.execute(sql).fetchall()


def title_hash(title: str | None) -> str:
    """Return what DuckDB's md5(coalesce(title, '')) gives, by Python's own md5."""
    return md5((title or "").encode()).hexdigest()


def write_catalogue(workspace: Workspace, photos: list[dict[str, Any]], name: str = "photos") -> None:
    """Write photos/<name>.parquet with the columns that the photos name."""
    columns = {column.name: column for column in load_schema("photos").columns}
    names = [name for name in columns if name == "gridimage_id" or any(name in photo for photo in photos)]
    schema = pa.schema([(name, columns[name].arrow_type(512)) for name in names])
    folder = workspace.root / "photos"
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(photos, schema=schema), folder / f"{name}.parquet")


def commit(
    workspace: Workspace,
    run_id: str,
    *,
    embeddings: list[dict[str, Any]] | None = None,
    predictions: list[dict[str, Any]] | None = None,
    failures: list[dict[str, Any]] | None = None,
    head: str = HEAD,
    encoder: str = ENCODER,
    number: int = 1,
    weights: str = "0" * 64,
) -> None:
    """Commit one chunk of rows; each row needs its gridimage_id, the rest has defaults."""
    at = datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ")
    names = tag_names()
    embedding = {
        "image_embedding": np.ones(512, np.float16),
        "title_embedding": np.ones(512, np.float16),
        "title_hash": title_hash("a title"),
        "image_signature": "1-1",
        "precision": "float32",
        "run_id": run_id,
    }
    prediction = {
        "tags": [names[0]],
        "scores": np.linspace(0.9, 0.1, 49, dtype=np.float32),
        "top_tag": names[0],
        "top_score": 0.9,
        "set_probability": 0.1,
        "forced": False,
        "has_image": True,
        "has_title": True,
        "has_location": False,
        "title_hash": title_hash("a title"),
        "image_signature": "1-1",
        "policy_id": POLICY,
        "run_id": run_id,
        "predicted_at": at,
    }
    failure = {
        "stage": "image",
        "error_class": "missing",
        "message": "no such file",
        "attempts": 1,
        "permanent": False,
        "run_id": run_id,
        "failed_at": at,
    }

    def table(dataset: str, defaults: dict[str, Any], rows: list[dict[str, Any]] | None) -> pa.Table:
        return pa.Table.from_pylist([defaults | row for row in rows or []], schema=load_schema(dataset).arrow())

    tables = ChunkTables(
        table("embeddings", embedding, embeddings),
        table("failures", failure, failures),
        table("predictions", prediction, predictions),
        512,
    )
    commit_chunk(workspace, ChunkName(run_id, number, encoder, head, POLICY, weights), tables)
