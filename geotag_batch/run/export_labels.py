"""Labels for the archive's site: image id, label and score of every tag over some score, with decisions honoured.

The photo is the unit of change: where anything about a photo's labels is others than before, all its labels are
written again, and whoever takes the file replaces all that it had of that photo. docs/exchange.md has the formats.

::

    sql/exchange/labels.sql: a range of photos as they are now ──▶ all, or what changed ──▶ write/table_file.py
                                                  └─▶ remembered.py
"""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from geotag_batch.catalogue import steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import Connection, connect, execute_file, fetch_arrow, storage_trouble
from geotag_batch.errors import CatalogueError, UsageError
from geotag_batch.predict.head import HeadInfo, current_head_info
from geotag_batch.run.remembered import Remembered
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import is_run_id
from geotag_batch.write.table_file import TableSink, destination, write_tables
from geotag_batch.write.views import create_views

__all__ = ["ExportedLabels", "LabelExport", "export_labels"]

_PHOTOS = 1 << 15  # worked on at once: of all their scores 6 MB, of their labels as text some 15
_VIEWS = ("tags", "photos", "decisions", "decisions_newest", "predictions_all", "failures", "runs")
_SPECIAL = ("None", "Failed", "Withdrawn")
_NEVER = "~"  # sorts after every run_id and decision_id


@dataclass(frozen=True, slots=True)
class LabelExport:
    """What to export: `since` is None for everything, "last", a run_id, or a time in UTC.

    With `since` "last", or `remember`, what was written is remembered under the name of the `consumer`, who has got it.
    `with_source` adds a column that says whose label it is.
    """

    since: Literal["last"] | str | datetime | None = None
    min_score: float = 0.2
    remember: bool = False
    consumer: str = "site"
    with_source: bool = False

    @property
    def remembers(self) -> bool:
        """Return whether what is written is remembered."""
        return self.remember or self.since == "last"


@dataclass(slots=True)
class ExportedLabels:
    """What an export wrote: `photos`, their `labels`, and of those photos the ones that have a row in their stead.

    Of the labels, people have `confirmed` some (accepted or added); `rejected` ones were left out. `complete` says that
    it is everything, not only what has changed.
    """

    head_id: str
    complete: bool
    photos: int = 0
    labels: int = 0
    none: int = 0
    failed: int = 0
    withdrawn: int = 0
    confirmed: int = 0
    rejected: int = 0


def export_labels(
    workspace: Workspace, config: Config, out: str, wanted: LabelExport, format_: str | None = None
) -> ExportedLabels:
    """Write the labels by the head in use, and what people decided, to `out`, by photo and tag_id.

    `out` ends in .jsonl, .csv or .parquet (the first two with .gz if wanted) unless `format_` says which; "-" is
    standard output. Raises UsageError, HeadError, CatalogueError, LockedError (another export for the same consumer),
    StorageError; a file that was there is then as it was, and nothing is remembered.
    """
    place = destination(out, format_, ("jsonl", "csv", "parquet"))
    head = current_head_info(workspace, config)
    remembered = Remembered(workspace, wanted.consumer)
    with ExitStack() as tools:
        if wanted.remembers:
            tools.enter_context(remembered.held())
        tools.enter_context(storage_trouble(workspace.root))
        connection = tools.enter_context(connect(memory_limit=config.run.memory_limit, spill=workspace.cache))
        complete = wanted.since is None or (wanted.since == "last" and not remembered.exists)
        done = ExportedLabels(head.head_id, complete)

        def write(sink: TableSink) -> None:
            with steady_catalogue(workspace, config):
                create_views(connection, workspace, config, _VIEWS)
                remembered.make_relation(connection, empty=complete)
                _Export(connection, wanted, head, done).write(sink, remembered)

        write_tables(place, _schema(with_source=wanted.with_source), write)
        if wanted.remembers:
            remembered.publish()
    return done


def _schema(*, with_source: bool) -> pa.Schema:
    fields = [
        pa.field("gridimage_id", pa.int64(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("score", pa.float32()),
    ]
    return pa.schema([*fields, pa.field("source", pa.string(), nullable=False)] if with_source else fields)


@dataclass(frozen=True, slots=True)
class _Export:
    """One export; `done` counts what it writes."""

    connection: Connection
    wanted: LabelExport
    head: HeadInfo
    done: ExportedLabels

    def write(self, sink: TableSink, remembered: Remembered) -> None:
        """Write the labels range of ids by range of ids, and the states beside them if they are remembered."""
        if execute_file(self.connection, "exchange", "any_photo").fetchall() != [(True,)]:
            raise CatalogueError("the catalogue has no photos", hint="an empty catalogue withdraws nothing: restore it")
        parameters = {
            "head": self.head.head_id,
            "encoder": self.head.encoder_id,
            "least": self.wanted.min_score,
            **self._bounds(),
        }
        for step in ("decided", "last_words", "failed"):
            execute_file(self.connection, "exchange", step, parameters)
        with remembered.writing() if self.wanted.remembers else contextlib.nullcontext() as states:
            for first, last in self._ranges():
                bounds = {**parameters, "first": first, "last": last}
                execute_file(self.connection, "exchange", "labels", bounds)
                if states is not None:
                    execute_file(self.connection, "exchange", "label_states")
                    states.write(fetch_arrow(self.connection, "exchange", "next_states", bounds).cast(states.schema))
                self._write_range(fetch_arrow(self.connection, "exchange", self._chosen(), bounds), sink)

    def _chosen(self) -> str:
        if self.done.complete:
            return "all_labels"
        return "changed_labels" if self.wanted.since == "last" else "labels_since"

    def _bounds(self) -> dict[str, str]:
        """Return from which run and which decision on something counts as new."""
        since = self.wanted.since
        if since is None or since == "last":
            return {}
        if isinstance(since, datetime):
            ((run_id,),) = execute_file(self.connection, "exchange", "runs_since", {"since": since}).fetchall()
            return {"since_run": run_id or _NEVER, "since_decision": since.strftime("%Y%m%dT%H%M%S%f")}
        if not is_run_id(since):
            raise UsageError(
                f"--since {since!r} is neither last, nor a run_id, nor a time",
                hint="for example 2026-11-23T04:00 (UTC unless it has a zone); `geotag status` shows the last runs",
            )
        return {"since_run": since, "since_decision": since.partition("Z")[0]}

    def _ranges(self) -> Iterator[tuple[int, int]]:
        """Yield first and last id of ranges of about _PHOTOS photos each."""
        blocks = fetch_arrow(self.connection, "exchange", "label_blocks", {"head": self.head.head_id})
        starts = blocks["block"].to_numpy() << 12
        group = np.cumsum(blocks["photos"].to_numpy()) // _PHOTOS
        first = starts[np.flatnonzero(np.diff(group, prepend=-1))].tolist()
        for start, following in zip(first, [*first[1:], None], strict=False):  # no range before the first run
            yield start, int(starts[-1]) + 4095 if following is None else following - 1

    def _write_range(self, labels: pa.Table, sink: TableSink) -> None:
        done = self.done
        is_rejected = pc.equal(labels["source"], "rejected")
        rejected = pc.sum(is_rejected).as_py() or 0
        if rejected:
            labels = labels.filter(pc.invert(is_rejected))
        special = {name: pc.sum(pc.equal(labels["label"], name)).as_py() or 0 for name in _SPECIAL}
        done.photos += pc.count_distinct(labels["gridimage_id"]).as_py()
        done.labels += labels.num_rows - sum(special.values())
        done.none, done.failed, done.withdrawn = (
            before + special[name]
            for before, name in zip((done.none, done.failed, done.withdrawn), _SPECIAL, strict=True)
        )
        done.confirmed += pc.sum(pc.is_in(labels["source"], pa.array(["accepted", "added"]))).as_py() or 0
        done.rejected += rejected
        schema = _schema(with_source=self.wanted.with_source)
        sink.write(labels.select(schema.names).cast(schema))
