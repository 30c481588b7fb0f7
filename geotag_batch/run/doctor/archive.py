"""The doctor's look at a workspace: configuration, catalogue, head, images, and what earlier commands left behind."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from geotag_batch.catalogue import catalogue_files, catalogue_relation
from geotag_batch.config import Config
from geotag_batch.duck import connect, storage_trouble
from geotag_batch.errors import ImageRootError, PhotoFailure
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.predict.head import current_head_info
from geotag_batch.read.sources import TRANSIENT_FETCHES, image_reference, open_source
from geotag_batch.run.doctor.check import Check, ok, problem, warning
from geotag_batch.run.ending import as_it_is, reason_of
from geotag_batch.run.lock import is_locked
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import read_run_records, run_ids, run_time, utc_now
from geotag_batch.write.views import views_are_stale

__all__ = ["examine_catalogue", "examine_clock", "examine_head", "examine_images", "examine_runs", "examine_views"]

_PHOTOS = 8  # whose images are looked for
_AHEAD = timedelta(minutes=5)


def examine_catalogue(workspace: Workspace, config: Config) -> Iterator[Check]:
    """Look at the catalogue's files: whether they are there, and have the columns that they should."""
    with storage_trouble(workspace.root), connect() as connection:
        files = catalogue_files(connection, workspace, config)
        relation = catalogue_relation(files, config, only=("gridimage_id",))
        row = connection.execute(f"SELECT count(*) FROM {relation}").fetchone()
    photos = row[0] if row else 0
    seen = f"{photos:,} photos in {len(files):,} files"
    yield ok("catalogue", seen) if photos else warning("catalogue", seen, "run `geotag ingest`, or set photos.path")


def examine_head(workspace: Workspace, config: Config) -> Iterator[Check]:
    """Load the head in use."""
    info = current_head_info(workspace, config)
    load_scorer(workspace, info.head_id, config.run.missing_image)
    yield ok("head", f"{info.head_id}, for {', '.join(info.modalities)} of {info.encoder_id}")


def examine_images(workspace: Workspace, config: Config) -> Iterator[Check]:
    """Ask the image root, once, and look for the images of a few photos of the catalogue."""
    images = replace(config.images, fetch_attempts=1, fetch_timeout=min(config.images.fetch_timeout, 5.0))
    source = open_source(images, workspace.root)
    try:
        source.check_root()
        with storage_trouble(workspace.root), connect() as connection:
            relation = catalogue_relation(
                catalogue_files(connection, workspace, config), config, only=("gridimage_id", "image")
            )
            rows = connection.execute(f"SELECT gridimage_id, image FROM {relation} LIMIT {_PHOTOS}").fetchall()
        lacking = {}
        for photo, column in rows:
            reference = image_reference(config.images, photo, column)
            try:
                if reference is None:
                    lacking[photo] = "the catalogue names no image"
                else:
                    source.signature(reference)
            except PhotoFailure as failure:
                if failure.error_class in TRANSIENT_FETCHES:
                    yield warning("images", f"{images.root}: {failure.message}", "look at the server or the disk")
                    return
                lacking[photo] = f"{reference}: {failure.message}"
    finally:
        source.close()
    seen = f"{images.root} answers, {len(rows) - len(lacking)} of {len(rows)} photos looked for have their image"
    first = next((f"; photo {photo}: {why}" for photo, why in lacking.items()), "")
    to_do = "look at images.root, images.template and images.column in geotag.toml"
    if rows and len(lacking) == len(rows):
        yield problem("images", f"{seen}{first}", to_do, ImageRootError.exit_code)
    elif lacking:
        yield warning("images", f"{seen}{first}", to_do)
    else:
        yield ok("images", seen)


def examine_clock(workspace: Workspace) -> Iterator[Check]:
    """Compare the clock with the last run's."""
    now, zone = utc_now(), time.strftime("%Z")
    seen = f"{now:%Y-%m-%d %H:%M:%S} UTC, local zone {zone}"
    last = max(map(run_time, run_ids(workspace)), default=None)
    made = datetime.fromtimestamp(workspace.config_file.stat().st_mtime, UTC).replace(tzinfo=None)
    for what, when in (("the last run began at", last), ("geotag.toml was written at", made)):
        if when is not None and when > now + _AHEAD:
            yield warning(
                "clock",
                f"{seen}, but {what} {when:%Y-%m-%d %H:%M:%S} UTC",
                "set the clock (timedatectl says whether it is synchronised); runs are numbered on from the last one, "
                "but retries and `updated_at` go by the clock",
            )
            return
    yield ok("clock", seen)


def examine_runs(workspace: Workspace) -> Iterator[Check]:
    """Look at the lock, at how the last run ended, and at what killed commands left."""
    busy = is_locked(workspace)
    yield ok("lock", "another command is writing now" if busy else "free")
    records = [as_it_is(record, busy=busy) for record in read_run_records(workspace)]
    killed = [record.run_id for record in records if record.status == "interrupted" and record.exit_code is None]
    if not records:
        yield ok("runs", "none yet")
    elif records[-1].run_id in killed:
        to_do = (
            "look for the cause (journalctl -k); `geotag report` says how to go on, `geotag verify --repair` marks it"
        )
        yield warning("runs", f"the last one, {records[-1].run_id}, was killed", to_do)
    elif records[-1].status == "failed":
        last = records[-1]
        to_do = "`geotag report` says what to do"
        yield warning("runs", f"the last one, {last.run_id}, failed ({reason_of(last)}): {last.stop_reason}", to_do)
    else:
        yield ok("runs", f"{len(records):,} on record, the last one {records[-1].run_id} {records[-1].status}")
    own = (workspace.decisions_staging, workspace.views_staging)
    files = [] if busy else [path for path in workspace.staging.rglob("*") if path.is_file()]  # empty folders stay
    left = [path for path in files if path.parent not in own]
    seen = f"{len(left)} files of killed commands" if left else "nothing left over"
    yield warning("staging", seen, "nothing has to be done: the next run removes it") if left else ok("staging", seen)


def examine_views(workspace: Workspace, config: Config) -> Iterator[Check]:
    """Look whether review.duckdb is as it would be made now."""
    if views_are_stale(workspace, config):
        yield warning("views", f"{workspace.database.name} is missing or out of date", "`geotag views` makes it anew")
    else:
        yield ok("views", f"{workspace.database.name} is up to date")
