"""Catalogue -> pending photos -> chunks: the plan, in SQL, without torch.

What is pending is what an anti-join of the catalogue with the committed files says; there is no state to disagree
with it. The statements are in sql/plan/, run in the order of `prepare` and `plan_pending`. The catalogue is read
once: titles and locations go into the temporary table `pending` (which DuckDB may spill), so that a catalogue
replaced during a run changes nothing in that run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa

from geotag_batch.catalogue import catalogue_files, catalogue_relation
from geotag_batch.config import Config
from geotag_batch.duck import Connection, connect, dataset_relation, execute_file, fetch_arrow, quote_literal, sql_text
from geotag_batch.errors import CatalogueError, InputError
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace

__all__ = [
    "REASONS",
    "Reason",
    "Selection",
    "Target",
    "add_signatures",
    "iter_chunks",
    "open_catalogue",
    "plan_pending",
    "reasons",
    "register_locations",
]

REASONS = (
    "new",
    "head changed",
    "title changed",
    "location changed",
    "photo updated",
    "image changed",
    "failure due",
    "policy changed",
    "redo",
)
"""Why a photo can be pending, as sql/plan/pending.sql names it."""

_NEEDED = ("gridimage_id", "title", "grid_reference", "wgs84_lat", "wgs84_long", "tags", "image", "updated_at")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which photos a run is about; times are UTC without zone.

    "labelled" are the tagged ones and those on which people have decided: what there is to learn from.
    """

    select: Literal["untagged", "tagged", "labelled", "all"] = "untagged"
    ids: tuple[int, ...] | None = None
    limit: int | None = None
    redo_before: datetime | None = None
    reembed: bool = False
    retry_failed: bool = False
    check_images: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What the photos should have: an encoder's embeddings and, unless `head_id` is None, a head's predictions.

    `grids` and `wgs84_fallback` are the head's location rule; empty `grids` where it takes no location.
    """

    encoder_id: str | None
    head_id: str | None
    policy_id: str | None
    modalities: tuple[str, ...]
    grids: tuple[str, ...] = ()
    wgs84_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of a plan: photos pending for a reason, and how much of them is to be encoded."""

    reason: str
    photos: int
    images: int
    titles: int
    to_embed: int


def open_catalogue(workspace: Workspace, config: Config) -> Connection:
    """Return a connection with the relations `catalogue`, `embeddings`, `predictions`, `failures`, `decisions_newest`.

    Raises CatalogueError if the catalogue is missing, is not what it should be, or has null, negative or repeated
    ids.
    """
    connection = connect(memory_limit=config.run.memory_limit, spill=workspace.cache)
    relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=_NEEDED)
    connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
    for dataset, columns in _PLANNED_COLUMNS.items():
        committed = dataset_relation(workspace, dataset, columns, filename=True)
        connection.execute(f"CREATE TEMP VIEW {dataset} AS FROM {committed}")
    for view in ("decisions", "decisions_newest"):
        statement = sql_text("views", view, {"decisions": dataset_relation(workspace, "decisions")})
        connection.execute(f"CREATE TEMP VIEW {view} AS {statement}")
    _check_ids(connection)
    return connection


_PLANNED_COLUMNS: dict[str, Sequence[str] | None] = {
    "embeddings": ("gridimage_id", "title_hash", "image_signature", "run_id"),
    "predictions": (
        "gridimage_id",
        "title_hash",
        "image_signature",
        "latitude",
        "longitude",
        "policy_id",
        "run_id",
        "predicted_at",
    ),
    "failures": None,
}


def _check_ids(connection: Connection) -> None:
    ((_, without_id, negative, repeated),) = execute_file(connection, "plan", "catalogue_check").fetchall()
    if without_id:
        raise CatalogueError(f"the catalogue has {without_id} rows without a gridimage_id", hint="remove or fill them")
    if negative or repeated:
        examples = [str(found[0]) for found in execute_file(connection, "plan", "bad_ids").fetchall()]
        raise CatalogueError(
            f"the catalogue has {negative} negative and {repeated} repeated gridimage_ids, among them "
            f"{', '.join(examples)}",
            hint="each photo must have one row; is a file there twice?",
        )


def prepare(connection: Connection, target: Target, selection: Selection) -> None:
    """Make the temporary tables `candidates`, `selected`, `scored`, `embedded`, `failed` and an empty `signatures`.

    Raises InputError if an id of the selection is not in the catalogue.
    """
    _register_asked(connection, selection.ids)
    register_locations(connection, target.grids)
    substitutions = {
        "select": quote_literal("tagged" if selection.select == "labelled" else selection.select),
        "decided_too": _DECIDED if selection.select == "labelled" else "false",
        "tags": f"[{', '.join(map(quote_literal, tag_names()))}]",
        "asked": "true" if selection.ids is None else "gridimage_id IN (SELECT gridimage_id FROM asked)",
        "wgs84_fallback": str(target.wgs84_fallback),
        "head": _text(target.head_id),
        "encoder": _text(target.encoder_id),
        "policy": _text(target.policy_id),
        "uses_title": str("title" in target.modalities),
    }
    parameters = {
        "wgs84_fallback": target.wgs84_fallback,
        "head": target.head_id,
        "encoder": target.encoder_id,
        "everything": selection.check_images or selection.redo_before is not None,
    }
    _make_views(connection, substitutions, "{}")
    for step in ("repeated", "suspects"):
        execute_file(connection, "plan", step, parameters)
    _make_views(connection, substitutions, "(FROM {} SEMI JOIN suspects ON gridimage_id >> 4 = block)")
    for step in ("candidates", "selected", "scored", "embedded", "failed", "signatures"):
        execute_file(connection, "plan", step, parameters)


_DECIDED = "gridimage_id IN (SELECT gridimage_id FROM decisions_newest)"


def _make_views(connection: Connection, substitutions: Mapping[str, str], part: str) -> None:
    """Make `wanted` and `done` over `part` of each relation that they read."""
    relations = {name: part.format(name) for name in ("catalogue", "predictions", "embeddings")}
    for view in ("wanted", "done"):
        connection.execute(sql_text("plan", view, {**substitutions, **relations}))


def _text(value: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if value is None else quote_literal(value)


def photos_to_look_at(connection: Connection) -> Iterator[list[tuple[int, str | None]]]:
    """Yield id and catalogue `image` of the photos that --check-images is about, in batches."""
    after = -1
    while True:
        rows = execute_file(connection, "plan", "worth_a_look", {"after": after}).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def add_signatures(connection: Connection, signatures: Mapping[int, str | None]) -> None:
    """Say what images look like now: id to signature, None for an image that is gone. After `prepare`."""
    table = pa.table(
        {
            "gridimage_id": pa.array(signatures.keys(), pa.int64()),
            "signature": pa.array(signatures.values(), pa.string()),
        }
    )
    connection.register("arrow_source", table)
    connection.execute("INSERT INTO signatures FROM arrow_source")
    connection.unregister("arrow_source")


def plan_pending(connection: Connection, target: Target, selection: Selection, now: datetime) -> None:
    """Make the temporary table `pending` from what `prepare` made, which is given up; `now` is UTC without zone."""
    parameters = {
        "head": target.head_id,
        "policy": target.policy_id,
        "uses_image": "image" in target.modalities,
        "uses_title": "title" in target.modalities,
        "uses_location": "location" in target.modalities,
        "redo_before": selection.redo_before,
        "reembed": selection.reembed,
        "retry_failed": selection.retry_failed,
        "now": now,
    }
    execute_file(connection, "plan", "pending", parameters)
    for table in _TEMPORARY:
        connection.execute(f"DROP TABLE {table}")


_TEMPORARY = (
    "repeated", "suspects", "candidates", "selected", "scored", "embedded", "failed", "signatures", "location",
    "asked",
)  # fmt: skip


def _register_asked(connection: Connection, ids: tuple[int, ...] | None) -> None:
    table = pa.table({"gridimage_id": pa.array(sorted(set(ids or ())), pa.int64())})
    _create_table(connection, "asked", table)
    unknown = [str(row[0]) for row in execute_file(connection, "plan", "unknown_ids").fetchall()]
    if unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise InputError(
            f"{len(unknown)} of the ids asked for are not in the catalogue: {', '.join(unknown[:5])}{more}",
            hint="check the ids file against the catalogue",
        )


def register_locations(connection: Connection, grids: tuple[str, ...], *, square_km: bool = True) -> None:
    """Make `location`: each distinct grid reference of the relation `catalogue` with the centre of its 1 km square.

    Without `square_km` it is the centre of what the reference names, which may be smaller or larger. Python has some of
    them at a time, for long references are nearly as many as photos.
    """
    execute_file(connection, "plan", "grid_references", {"wanted": bool(grids)})
    ((count,),) = connection.execute("SELECT count(*) FROM distinct_references").fetchall()
    _create_table(connection, "location", _located([], grids, square_km))
    for first in range(0, count, _REFERENCES):
        rows = {"first": first, "last": first + _REFERENCES - 1}
        references = [row[0] for row in execute_file(connection, "plan", "some_references", rows).fetchall()]
        connection.register("arrow_source", _located(references, grids, square_km))
        connection.execute("INSERT INTO location FROM arrow_source")
        connection.unregister("arrow_source")
    connection.execute("DROP TABLE distinct_references")


_REFERENCES = 250_000  # resolved at a time


def _located(references: list[str], grids: tuple[str, ...], square_km: bool) -> pa.Table:
    centres = wgs84_centres(references, grids=grids, square_km=square_km) if references else np.empty((0, 2))
    known = np.isfinite(centres).all(axis=1)
    return pa.table(
        {
            "grid_reference": pa.array(references, pa.string()),
            "latitude": pa.array(centres[:, 0], pa.float64(), mask=~known),
            "longitude": pa.array(centres[:, 1], pa.float64(), mask=~known),
        }
    )


def _create_table(connection: Connection, name: str, table: pa.Table) -> None:
    connection.register("arrow_source", table)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM arrow_source")
    connection.unregister("arrow_source")


def reasons(connection: Connection, limit: int | None) -> list[Reason]:
    """Return the pending photos by reason, the most frequent first; with `limit`, of the first so many."""
    rows = execute_file(connection, "plan", "pending_by_reason", {"limit": limit}).fetchall()
    return [Reason(*row) for row in rows]


def iter_chunks(connection: Connection, total: int, chunk_size: int) -> Iterator[pa.Table]:
    """Yield the first `total` pending photos as tables of up to `chunk_size` rows, the columns of `pending`.

    Photos that need no encoder come first, so at most one chunk has both kinds of work.
    """
    for first in range(1, total + 1, chunk_size):
        last = min(first + chunk_size - 1, total)
        yield fetch_arrow(connection, "plan", "chunk", {"first": first, "last": last})
