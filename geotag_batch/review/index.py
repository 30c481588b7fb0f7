"""The queue in memory: each head's newest predictions beside the catalogue, and the newest word on each photo and tag.

A page is one query over it; no Parquet is scanned for a page. It all lies in one DuckDB without a file, under the
memory limit that runs have too; what does not fit is spilled to cache/.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from geotag_batch.config import Config
from geotag_batch.duck import DuckError, connect, escape_glob, sql_text
from geotag_batch.errors import HeadError, StorageError
from geotag_batch.review.filters import Filter, Place
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import create_views

__all__ = ["LEAST_SCORE", "MOST_PERHAPS", "Counts", "Index", "PhotoRow", "Word"]

LEAST_SCORE = 0.1
"""A tag that is not suggested is offered as perhaps right, and can be filtered by its score, from here on."""

MOST_PERHAPS = 4
"""Tags that are shown as perhaps right beside the suggested ones."""

_VIEWS = ("tags", "photos", "predictions_all", "predictions_newest")


@dataclass(frozen=True, slots=True)
class Word:
    """The newest decision on one tag of one photo; `decision` as in schemas/decisions.v1.json."""

    tag: str
    decision_id: str
    decision: str
    reviewer: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """One photo of the queue; the fields are those of sql/review/queue.sql.

    `suggested` and `perhaps` are tags with their scores, the likeliest first; `rank` is its place in the order asked.
    """

    gridimage_id: int
    suggested: tuple[tuple[str, float], ...]
    perhaps: tuple[tuple[str, float], ...]
    forced: bool
    used: tuple[bool, bool, bool]
    location: tuple[float | None, float | None]
    title: str | None
    square: str | None
    credit: str | None
    image: str | None
    version: str
    policy_id: str
    run_id: str
    rank: float


@dataclass(frozen=True, slots=True)
class Counts:
    """How many photos have a tag to decide, and how many of them one that is `waiting`."""

    photos: int
    waiting: int


class Index:
    """The queues of any number of heads, and the decisions; any thread may ask."""

    def __init__(self, workspace: Workspace, config: Config) -> None:
        """Begin with nothing read."""
        self._workspace = workspace
        self._config = config
        spill = workspace.cache / "review"
        self._connection = connect(memory_limit=config.run.memory_limit, spill=spill)
        for table in ("words", "settled"):
            self._connection.execute(sql_text("review", table))
        self._writing = threading.Lock()
        self._tables: dict[str, str] = {}
        self._suggested: dict[str, dict[str, int]] = {}  # by table
        self._made = 0

    @property
    def heads(self) -> tuple[str, ...]:
        """Return the heads whose queues are there."""
        return tuple(self._tables)

    def read_head(self, head_id: str) -> None:
        """Read a head's predictions and the catalogue; what was there is replaced when the new is complete.

        Raises CatalogueError, StorageError.
        """
        with self._writing:
            self._made += 1
            number = self._made
        table, aside = f"memory.main.queue_{number}", f"reading_{number}"
        with self._connection.cursor() as cursor:
            cursor.execute(f"ATTACH ':memory:' AS {aside}")  # views of this head alone
            try:
                cursor.execute(f"USE {aside}")
                create_views(cursor, self._workspace, self._config.with_flags({"head.current": head_id}), _VIEWS)
                text = sql_text("review", "queue", {"queue": table})
                cursor.execute(text, {"names": list(tag_names()), "least": LEAST_SCORE})
            except DuckError as error:
                raise _unreadable(f"predictions of {head_id}", error) from error
            finally:
                cursor.execute("USE memory")
                cursor.execute(f"DETACH {aside}")
        before = self._tables.get(head_id)
        self._tables[head_id] = table
        if before is not None:
            self._drop(before)

    def forget_head(self, head_id: str) -> None:
        """Give a head's memory back."""
        table = self._tables.pop(head_id, None)
        if table is not None:
            self._drop(table)

    def hear(self, files: Sequence[Path]) -> None:
        """Take in files of the decisions dataset, in any order and as often as one likes. Raises StorageError."""
        if not files:
            return
        named = {"files": [escape_glob(str(path)) for path in files]}
        with self._writing, self._connection.cursor() as cursor:
            cursor.begin()
            try:
                cursor.execute(sql_text("review", "hear"), {**named, "names": list(tag_names())})
                cursor.execute(sql_text("review", "settle"), named)
                cursor.commit()
            except DuckError as error:
                cursor.rollback()
                raise _unreadable("decisions", error) from error

    def page(self, head_id: str, asked: Filter, place: Place | None, size: int) -> list[PhotoRow]:
        """Return up to `size` photos of a head's queue that follow `place`, or precede it, in the filter's order."""
        sign = -1 if place is not None and place.backwards else 1
        start = {"rank": None, "after": None} if place is None else {"rank": place.rank, "after": place.gridimage_id}
        rows = self._ask("page", head_id, asked.bound() | start | {"sign": sign, "size": size})
        return [_photo_row(row) for row in rows[::sign]]

    def counts(self, head_id: str, asked: Filter) -> Counts:
        """Return how far the filter's photos are decided."""
        (row,) = self._ask("counts", head_id, asked.but(state="all").bound())
        return Counts(**row)

    def suggested(self, head_id: str) -> dict[str, int]:
        """Return for how many photos the head suggests each tag; counted once, as it takes longer than a page."""
        table = self._tables.get(head_id, "")
        if table not in self._suggested:
            found = {row["position"]: row["photos"] for row in self._ask("suggested", head_id, None)}
            self._suggested[table] = {tag: found.get(position, 0) for position, tag in enumerate(tag_names())}
        return self._suggested[table]

    def words(self, photos: Sequence[int]) -> dict[int, list[Word]]:
        """Return the newest word on each tag of each photo that was ever decided on, withdrawals too."""
        with self._connection.cursor() as cursor:
            rows = cursor.execute(sql_text("review", "words_of"), {"photos": list(photos)}).fetchall()
        found: dict[int, list[Word]] = {photo: [] for photo in photos}
        for photo, position, *word in sorted(rows):
            found[photo].append(Word(tag_names()[position], *word))
        return found

    def _ask(self, name: str, head_id: str, bound: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Run a file of sql/review/ on a head's queue; again, if that was replaced meanwhile."""
        while True:
            table = self._tables.get(head_id)
            if table is None:  # others have asked for other heads meanwhile
                raise HeadError(f"the queue of {head_id} is not in memory any more", hint="load the page again")
            queue = {"queue": table}
            text = sql_text("review", name, queue | {"matching": sql_text("review", "matching", queue)})
            with self._connection.cursor() as cursor:
                try:
                    cursor.execute(text, bound)
                    names = [column[0] for column in cursor.description or ()]
                    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
                except DuckError:
                    if self._tables.get(head_id) == table:
                        raise

    def _drop(self, table: str) -> None:
        self._suggested.pop(table, None)
        with self._connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")


def _photo_row(row: dict[str, Any]) -> PhotoRow:
    names = tag_names()
    near = [
        (names[each["position"]], each["score"], row["suggested"] >> each["position"] & 1) for each in row["candidates"]
    ]
    return PhotoRow(
        gridimage_id=row["gridimage_id"],
        suggested=tuple((tag, score) for tag, score, suggested in near if suggested),
        perhaps=tuple((tag, score) for tag, score, suggested in near if not suggested),
        forced=row["forced"],
        used=(row["has_image"], row["has_title"], row["has_location"]),
        location=(row["latitude"], row["longitude"]),
        title=row["title"],
        square=row["square"],
        credit=row["credit"],
        image=row["image"],
        version=row["version"],
        policy_id=row["policy_id"],
        run_id=row["run_id"],
        rank=row["rank"],
    )


def _unreadable(what: str, error: DuckError) -> StorageError:
    reason = str(error).split("\n", 1)[0]
    return StorageError(f"the {what} cannot be read: {reason}", hint="run `geotag verify`")
