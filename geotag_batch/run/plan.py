"""What a run would do, and why: pending photos by reason, chunks, disk, time; no torch, nothing written."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from geotag_batch.catalogue import steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import Connection, storage_trouble
from geotag_batch.errors import PhotoFailure, StorageError
from geotag_batch.predict.head import HeadInfo, current_head_info
from geotag_batch.read.photos import (
    Reason,
    Selection,
    Target,
    add_signatures,
    iter_chunks,
    open_catalogue,
    photos_to_look_at,
    plan_pending,
    prepare,
    reasons,
)
from geotag_batch.read.sources import TRANSIENT_FETCHES, image_reference, open_source
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, read_run_records, utc_now

__all__ = ["Plan", "Selection", "bytes_for", "free_bytes", "make_plan", "target_of"]

_EMBEDDING_BYTES = 2 * 2 + 0.25  # two float16 vectors' bytes per element of one; a quarter for the rest of the row
_PREDICTION_BYTES = 320  # 49 float32 scores, of which zstd saves little, tags and the rest of the row
_MARGIN_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Plan:
    """Pending photos of the workspace at `root`, in the temporary table `pending` of `connection`, and what they take.

    `bytes_free` is None in an object store, which is never full. `total` is how many of them this run is about
    (`--limit`); `seconds` is estimated from earlier runs, None if there was none to learn from.
    """

    root: Path
    connection: Connection
    target: Target
    selection: Selection
    planned_at: datetime
    chunk_size: int
    reasons: list[Reason]
    pending: int
    total: int
    bytes_needed: int
    bytes_free: int | None
    seconds: float | None

    @property
    def by_reason(self) -> dict[str, int]:
        """Return how many photos of this run are pending for each reason."""
        return {reason.reason: reason.photos for reason in self.reasons}

    @property
    def chunks(self) -> int:
        """Return how many chunks this run would commit."""
        return -(-self.total // self.chunk_size)

    @property
    def to_embed(self) -> int:
        """Return how many photos of this run need the encoder."""
        return sum(reason.to_embed for reason in self.reasons)

    @property
    def images(self) -> int:
        """Return how many images of this run are looked at."""
        return sum(reason.images for reason in self.reasons)

    def iter_chunks(self) -> Iterator[pa.Table]:
        """Yield this run's chunks: tables with the columns of sql/plan/pending.sql. Raises StorageError."""
        with storage_trouble(self.root):
            yield from iter_chunks(self.connection, self.total, self.chunk_size)

    @property
    def fits(self) -> bool:
        """Return whether what the run needs is free."""
        return self.bytes_free is None or self.bytes_needed <= self.bytes_free

    def require_disk(self, workspace: Workspace) -> None:
        """Raise StorageError if the run cannot fit on the workspace's disk."""
        if self.bytes_free is not None and not self.fits:
            raise StorageError(
                f"{workspace.root}: this run needs about {self.bytes_needed / 1e6:,.0f} MB, "
                f"{self.bytes_free / 1e6:,.0f} MB are free",
                hint="free space, `geotag prune` what is not needed, or take fewer photos with --limit",
            )

    def close(self) -> None:
        """Give the memory back."""
        self.connection.close()

    def __enter__(self) -> "Plan":
        """Return the plan, closed when the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the plan."""
        self.close()


def target_of(head: HeadInfo) -> Target:
    """Return what photos should have for `head`."""
    location = head.location if "location" in head.modalities else None
    return Target(
        encoder_id=head.encoder_id,
        head_id=head.head_id,
        policy_id=head.policy.policy_id,
        modalities=head.modalities,
        grids=location.grids if location else (),
        wgs84_fallback=bool(location and location.wgs84_fallback),
    )


def make_plan(workspace: Workspace, config: Config, selection: Selection, target: Target | None = None) -> Plan:
    """Plan a run for the current head, or for `target`.

    Raises CatalogueError, HeadError if no head is in use, InputError for unknown ids, StorageError if a committed file
    is damaged or the disk refuses.
    """
    with storage_trouble(workspace.root):
        return _make_plan(workspace, config, selection, target)


def _make_plan(workspace: Workspace, config: Config, selection: Selection, target: Target | None) -> Plan:
    if target is None:
        target = target_of(current_head_info(workspace, config))
    now = utc_now()
    with steady_catalogue(workspace, config):
        connection = _plan_over(workspace, config, selection, target, now)
    try:
        every = reasons(connection, None)
        pending = sum(reason.photos for reason in every)
        total = pending if selection.limit is None else min(pending, selection.limit)
        chosen = every if total == pending else reasons(connection, total)
    except BaseException:
        connection.close()
        raise
    return Plan(
        root=workspace.root,
        connection=connection,
        target=target,
        selection=selection,
        planned_at=now,
        chunk_size=config.run.chunk_size,
        reasons=chosen,
        pending=pending,
        total=total,
        bytes_needed=_bytes_needed(chosen, target),
        bytes_free=free_bytes(workspace),
        seconds=_estimate(read_run_records(workspace), target, chosen),
    )


def free_bytes(workspace: Workspace) -> int | None:
    """Return what is free on the workspace's disk; None in an object store, which is never full."""
    return None if workspace.in_store else shutil.disk_usage(workspace.root).free


def _plan_over(workspace: Workspace, config: Config, selection: Selection, target: Target, now: datetime) -> Connection:
    """Return a connection with the table `pending`; from then on nothing reads the catalogue."""
    connection = open_catalogue(workspace, config)
    try:
        prepare(connection, target, selection)
        if selection.check_images:
            _look_at_images(connection, workspace, config)
        plan_pending(connection, target, selection, now)
    except BaseException:
        connection.close()
        raise
    return connection


def _bytes_needed(chosen: list[Reason], target: Target) -> int:
    photos = sum(reason.photos for reason in chosen)
    if target.head_id is None:
        return bytes_for(embedded=photos, predicted=0)
    return bytes_for(embedded=sum(reason.to_embed for reason in chosen), predicted=photos)


def bytes_for(*, embedded: int, predicted: int, dim: int = 512) -> int:
    """Return about how many bytes so many embeddings and predictions take on the disk, and a margin for the run."""
    needed = embedded * int(_EMBEDDING_BYTES * dim) + predicted * _PREDICTION_BYTES
    return needed + _MARGIN_BYTES if needed else 0


def _estimate(records: list[RunRecord], target: Target, chosen: list[Reason]) -> float | None:
    """Estimate seconds from the last runs with the same encoder: those that encoded, and those that only scored."""
    to_embed = sum(reason.to_embed for reason in chosen)
    to_score = sum(reason.photos for reason in chosen) - to_embed
    total = 0.0
    for photos, encoded in ((to_embed, True), (to_score, False)):
        alike = [
            record
            for record in records
            if record.encoder_id == target.encoder_id
            and record.photos
            and record.command != "import"
            and bool(record.images_encoded) == encoded
        ][-5:]
        if photos and not alike:
            return None
        if photos:
            total += photos * sum(record.seconds for record in alike) / sum(record.photos for record in alike)
    return total


def _look_at_images(connection: Connection, workspace: Workspace, config: Config) -> None:
    """Say what the images of photos done before look like now (--check-images).

    An image that cannot be asked about just now (a server's hiccup) is left out, not taken for changed.
    """
    source = open_source(config.images, workspace.root)
    source.check_root()

    def look(row: tuple[int, str | None]) -> tuple[int, str | None] | None:
        reference = image_reference(config.images, *row)
        if reference is None:
            return row[0], None
        try:
            return row[0], source.signature(reference)
        except PhotoFailure as failure:
            return None if failure.error_class in TRANSIENT_FETCHES else (row[0], None)

    with ThreadPoolExecutor(config.images.connections) as pool:
        for rows in photos_to_look_at(connection):
            add_signatures(connection, dict(found for found in pool.map(look, rows) if found is not None))
