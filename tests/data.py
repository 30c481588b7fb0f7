"""A small archive with everything in it, committed through the library's own writer, for tests that read it back.

Ten photos, two heads, four runs. What each test should find is written out beside the rows, not computed.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from geotag_batch.config import Config, HeadConfig
from geotag_batch.predict.head import HeadDraft, save_head
from geotag_batch.predict.policy import Policy
from geotag_batch.taxonomy import tag_index, tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, write_run_record
from tests.builders import POLICY, RUN_1, RUN_2, RUN_3, commit, title_hash, write_catalogue

__all__ = [
    "ENCODER",
    "OTHER_ENCODER",
    "PHOTOS",
    "RUN_1",
    "RUN_2",
    "RUN_3",
    "RUN_4",
    "commit_run",
    "prediction",
    "run_time",
    "write_archive",
    "write_head",
    "write_run",
]

ENCODER, OTHER_ENCODER = "encoder-1", "encoder-2"
RUN_4 = "20260104T000000Z-dddd"

COASTAL, PATHS, RAILWAYS, MOORLAND = "Coastal", "Paths", "Railways", "Moorland"

PHOTOS: list[dict[str, Any]] = [
    {"gridimage_id": 1, "title": "Cliffs", "grid_reference": "SY6870", "realname": "Ann", "tags": []},
    {"gridimage_id": 2, "title": "A path", "grid_reference": "SU 387 148", "realname": "Bob", "tags": None},
    {"gridimage_id": 3, "title": "Halt", "grid_reference": "su3814", "realname": "Ann", "tags": [RAILWAYS, "top hat"]},
    {"gridimage_id": 4, "title": None, "grid_reference": "J3473", "realname": "Cid", "tags": [COASTAL]},
    {"gridimage_id": 5, "title": "Moor", "grid_reference": None, "realname": "Cid", "tags": [MOORLAND, PATHS]},
    {"gridimage_id": 6, "title": "Gone", "grid_reference": "SU38", "realname": "Bob", "tags": []},
    {"gridimage_id": 7, "title": "Broken", "grid_reference": "SU38711487", "realname": "Bob", "tags": ["top hat"]},
    {"gridimage_id": 8, "title": "Mended", "grid_reference": "nonsense", "realname": None, "tags": []},
    {"gridimage_id": 50_000, "title": "Far", "grid_reference": "SU3871", "realname": "Ann", "tags": [PATHS]},
    {"gridimage_id": 50_001, "title": "Late", "grid_reference": "SU3871", "realname": "Ann", "tags": []},
]
"""The catalogue; photo 9, which the predictions know, was withdrawn."""


def run_time(run_id: str) -> datetime:
    """Return the start of a run, UTC."""
    return datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ")


def prediction(gridimage_id: int, scores: dict[str, float], certainty: float = 0.5, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a row of predictions with the tags scored over 0.5, or the best one if there is none."""
    values = np.full(49, 0.01, np.float32)
    for tag, score in scores.items():
        values[tag_index()[tag]] = score
    top = tag_names()[int(values.argmax())]
    chosen = [tag for tag in tag_names() if scores.get(tag, 0.0) > 0.5]
    row = {
        "gridimage_id": gridimage_id,
        "tags": chosen or [top],
        "scores": values,
        "top_tag": top,
        "top_score": values.max(),
        "set_probability": certainty,
        "forced": not chosen,
    }
    return row | more


def write_head(workspace: Workspace, name: str = "linear", encoder: str = ENCODER, dim: int = 512) -> str:
    """Save a linear head over image and title whose weights depend on its name; return its head_id."""
    weight = np.random.default_rng(len(name)).normal(size=(49, 2 * dim)).astype(np.float32)
    draft = HeadDraft(name, ("image", "title"), dim, None, encoder, "given", Policy())
    return save_head(workspace, draft, {"weight": weight, "bias": np.zeros(49, np.float32)}).head_id


def write_run(workspace: Workspace, run_id: str, status: str = "done", **fields: Any) -> RunRecord:  # noqa: ANN401
    """Write the record of a run that took a minute; `fields` are those of RunRecord."""
    start = run_time(run_id)
    end = start + timedelta(minutes=1)
    record = RunRecord(run_id, "backfill", status, start, end, 0, encoder_id=ENCODER, policy_id=POLICY, seconds=60.0)
    if status != "running":
        record = replace(record, exit_code=0, finished_at=end)
    record = replace(record, **fields)
    write_run_record(workspace, record)
    return record


def commit_run(
    workspace: Workspace,
    run_id: str,
    head: str,
    *,
    predictions: list[dict[str, Any]] | None = None,
    failures: list[dict[str, Any]] | None = None,
    embed: bool = True,
    **fields: Any,  # noqa: ANN401
) -> RunRecord:
    """Commit one chunk of a run with its record; unless `embed` is False, embeddings for what is predicted."""
    predictions, failures = predictions or [], failures or []
    titles = {photo["gridimage_id"]: title_hash(photo["title"]) for photo in PHOTOS}
    rows = [{"title_hash": titles.get(row["gridimage_id"], title_hash("")), **row} for row in predictions]
    embeddings = [{"gridimage_id": row["gridimage_id"], "title_hash": row["title_hash"]} for row in rows if embed]
    commit(workspace, run_id, head=head, embeddings=embeddings, predictions=rows, failures=failures)
    classes = [row.get("error_class", "missing") for row in failures]
    counts: dict[str, Any] = {
        "head": head,
        "chunks": 1,
        "pending": len(rows) + len(failures),
        "photos": len(rows) + len(failures),
        "predicted": len(rows),
        "failed": len(failures),
        "embedded": len(embeddings),
        "failures": {name: classes.count(name) for name in classes},
    }
    return write_run(workspace, run_id, **(counts | fields))


def write_archive(workspace: Workspace) -> tuple[Config, str, str]:
    """Write catalogue, heads, four runs; return a configuration, its current head and the other head.

    Run 1, current head: photos 1, 2, 3, 9; photos 6, 7, 8 fail. Run 2, current head: 1 again (another tag), 4, 5, 8,
    50,000; 7 fails again. Run 3, other head, scored only: 1, 2, 3. Run 4 was killed after it began.
    """
    write_catalogue(workspace, PHOTOS)
    current, other = write_head(workspace, "current"), write_head(workspace, "other")
    commit_run(
        workspace,
        RUN_1,
        current,
        predictions=[
            prediction(1, {MOORLAND: 0.6}, 0.4),
            prediction(2, {PATHS: 0.9, COASTAL: 0.7}, 0.6),
            prediction(3, {RAILWAYS: 0.8}, 0.7),
            prediction(9, {PATHS: 0.3}, 0.2),
        ],
        failures=[
            {"gridimage_id": 6, "retry_after": run_time(RUN_1) + timedelta(hours=20)},
            {"gridimage_id": 7, "error_class": "truncated", "message": "half an image", "permanent": True},
            {"gridimage_id": 8, "retry_after": run_time(RUN_1) + timedelta(hours=20)},
        ],
    )
    commit_run(
        workspace,
        RUN_2,
        current,
        predictions=[
            prediction(1, {COASTAL: 0.95}, 0.9),
            prediction(4, {COASTAL: 0.9, PATHS: 0.8}, 0.5),
            prediction(5, {PATHS: 0.4}, 0.1),
            prediction(8, {PATHS: 0.7}, 0.65),
            prediction(50_000, {PATHS: 0.99}, 0.95),
        ],
        failures=[
            {
                "gridimage_id": 7,
                "error_class": "truncated",
                "message": "half an image",
                "permanent": True,
                "attempts": 2,
            }
        ],
    )
    commit_run(
        workspace,
        RUN_3,
        other,
        predictions=[
            prediction(1, {COASTAL: 0.6}),
            prediction(2, {PATHS: 0.9}),
            prediction(3, {MOORLAND: 0.9}),
        ],
        embed=False,
    )
    write_run(workspace, RUN_4, "running", head=current, pending=2)
    return replace(Config(), head=HeadConfig(current)), current, other
