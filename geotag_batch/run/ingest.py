"""Dumps to the catalogue file photos/<archive>.parquet, in one step that a reader sees whole or not at all."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geotag_batch.atomic import make_folder, publish
from geotag_batch.catalogue import catalogue_files, catalogue_relation, steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import Connection, StorageTrouble, connect
from geotag_batch.errors import CatalogueError, StorageError
from geotag_batch.fingerprint import file_metadata
from geotag_batch.read.archives import ARCHIVES, STAGED, Archive
from geotag_batch.read.dumps import DumpFile, find_dumps
from geotag_batch.read.ingest import FileTotals, RejectedLines, StagedTable, stage_dump
from geotag_batch.read.merge import CatalogueTotals, StagedPhotos
from geotag_batch.run.lock import hold_lock
from geotag_batch.schema import CURRENT_VERSION
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views, views_are_stale

__all__ = ["IngestTotals", "ingest"]


_THREADS = 2
"""Of DuckDB, in the joining. Each sorts 122,880 rows in memory, so that with many of them a low limit would not do."""


@dataclass(frozen=True, slots=True)
class IngestTotals:
    """What an ingest read and wrote.

    `unmatched` are the dumps' locations and labels of photos that are not in the catalogue. `in_catalogue` says
    whether photos.path of geotag.toml matches the file that was written.
    """

    files: tuple[FileTotals, ...]
    ignored_files: tuple[Path, ...]
    catalogue_file: Path
    catalogue: CatalogueTotals
    unmatched: dict[str, int]
    rejected_file: Path | None
    in_catalogue: bool


def ingest(workspace: Workspace, config: Config, name: str, paths: Sequence[Path]) -> IngestTotals:
    """Read the dumps of archive `name` ("kaggle" or "geograph") in `paths`, files or folders, into the catalogue.

    Replaces photos/<name>.parquet; refused lines go to rejected/<name>-<time>.tsv first, stale views are made anew
    last. Raises InputError (a dump is missing or broken), CatalogueError (a wrong header; no photos; photos that
    another catalogue file has already), StorageError (no space) or LockedError; the catalogue is then as it was.
    """
    archive = ARCHIVES[name]
    dumps, ignored = find_dumps(archive, paths)
    with hold_lock(workspace), ExitStack() as stack:
        scratch = workspace.cache / f"ingest-{name}"
        shutil.rmtree(scratch, ignore_errors=True)  # of an ingest that was killed
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        try:
            make_folder(scratch)
            connection = stack.enter_context(connect(memory_limit=config.run.memory_limit, spill=scratch / "spill"))
            return _Ingest(workspace, config, archive, scratch, connection).run(dumps, ignored)
        except (OSError, *StorageTrouble) as error:
            raise StorageError(
                f"ingest stopped: {error}",
                hint=f"free space under {workspace.root} or raise run.memory_limit, then ingest again",
            ) from error


@dataclass(frozen=True, slots=True)
class _Ingest:
    workspace: Workspace
    config: Config
    archive: Archive
    scratch: Path
    connection: Connection

    def run(self, dumps: list[DumpFile], ignored: list[Path]) -> IngestTotals:
        """Stage, check, publish."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        files, rejected_file = self._stage(dumps, stamp)
        staged = StagedPhotos(self.connection, self.archive, {name: self._staged(name) for name in STAGED})
        final = self.workspace.root / "photos" / f"{self.archive.name}.parquet"
        self._check(staged, final, rejected_file)
        labels_complete = not self.archive.labels_list_photos and any(dump.table.staged == "labels" for dump in dumps)
        metadata = file_metadata("photos", CURRENT_VERSION["photos"], stamp)
        written: list[CatalogueTotals] = []

        def write(path: Path) -> None:
            written.append(staged.write_catalogue(path, labels_complete=labels_complete, metadata=metadata))

        publish(write, final, self.workspace.staging, replace=True)
        if self.workspace.database.exists() and views_are_stale(self.workspace, self.config):
            rebuild_views(self.workspace, self.config)  # made before there was a catalogue, they hold an empty one
        locations, labels = staged.unmatched()
        return IngestTotals(
            files=files,
            ignored_files=tuple(ignored),
            catalogue_file=final,
            catalogue=written[0],
            unmatched={"locations": locations, "labels": labels},
            rejected_file=rejected_file,
            in_catalogue=any(final.samefile(file) for file in self._catalogue_files()),
        )

    def _staged(self, table: str) -> Path:
        return self.scratch / f"{table}.parquet"

    def _stage(self, dumps: list[DumpFile], stamp: str) -> tuple[tuple[FileTotals, ...], Path | None]:
        """Read all dumps into staged tables, and publish the lines that were refused, if any."""
        lines = self.scratch / "rejected.tsv"
        files: list[FileTotals] = []
        with RejectedLines(lines) as rejected:
            for name in STAGED:
                mine = [dump for dump in dumps if dump.table.staged == name]
                unique = all(dump.table.unique_ids for dump in mine)
                with StagedTable(self._staged(name), name, unique_ids=unique) as staged:
                    files += [stage_dump(dump, staged, rejected) for dump in mine]
        if not rejected.count:
            return tuple(files), None
        final = self.workspace.rejected / f"{self.archive.name}-{stamp}.tsv"
        publish(lambda path: shutil.copyfile(lines, path), final, self.workspace.staging)
        return tuple(files), final

    def _check(self, staged: StagedPhotos, final: Path, rejected_file: Path | None) -> None:
        """Raise CatalogueError if there would be no photos, or photos that the catalogue has in another file."""
        if not staged.count():
            seen = f"; the refused lines are in {rejected_file}" if rejected_file else ""
            raise CatalogueError(f"the dumps hold no photo that can be used{seen}; {final} is as it was")
        others = [file for file in self._catalogue_files() if not (final.exists() and final.samefile(file))]
        if not others:
            return
        with steady_catalogue(self.workspace, self.config):
            photos, first = staged.overlap(catalogue_relation(others, self.config, only=("gridimage_id",)))
        if photos:
            raise CatalogueError(
                f"{photos} of these photos are in the catalogue already, the first is {first}; it would have them "
                f"twice, in {final} and in one of {', '.join(others[:3])}",
                hint="move one of the files away, or name only one in photos.path of geotag.toml",
            )

    def _catalogue_files(self) -> list[str]:
        try:
            return catalogue_files(self.connection, self.workspace, self.config)
        except CatalogueError:  # no file yet: the usual first ingest
            return []
