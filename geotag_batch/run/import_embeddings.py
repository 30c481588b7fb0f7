"""Vectors that an archive has already become embeddings, under an encoder that is named; no encoder is loaded.

::

    incoming_vectors.py: read/vector_lines.py, read/vector_parquet.py ──▶ refused lines to rejected/
        └─▶ read/vector_spool.py: by ranges of ids ──▶ imported_rows.py: beside what is stored ──▶ write/dataset.py

The file is read to its end before anything is committed, for images and titles may stand anywhere in it. Then chunk
after chunk is committed as a run does it. What is stored just so is left alone, hence an import that was killed is
finished by starting it again.
"""

import contextlib
import shlex
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.atomic import make_folder
from geotag_batch.catalogue import steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import Connection, fetch_arrow, storage_trouble
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import GeotagError
from geotag_batch.read.known_ids import KnownIds
from geotag_batch.read.photos import open_catalogue
from geotag_batch.read.vector_batch import Expected
from geotag_batch.read.vector_spool import VectorSpool, read_spooled
from geotag_batch.run.check_vectors import check_vectors, checking_encoder
from geotag_batch.run.imported_rows import Merged, merge_vectors
from geotag_batch.run.incoming_vectors import IncomingVectors
from geotag_batch.run.leftovers import remove_leftovers
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.report import RunReporter
from geotag_batch.run.stop import Stop
from geotag_batch.run.stored_range import StoredRanges
from geotag_batch.run.vector_encoder import known_length, named_encoder, refuse_other_encoder
from geotag_batch.run.views import refresh_views
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk
from geotag_batch.write.runs import RunRecord, new_run_id, utc_now, write_run_record

__all__ = ["ImportedVectors", "import_embeddings"]

_TITLES_AHEAD = 32  # chunks whose titles are fetched at once: a catalogue in no order is read in full for each time
_LAST_ID = 2**63 - 1


@dataclass(slots=True)
class ImportedVectors:
    """What became of the vectors of an import; `record` is the run's.

    `vectors` that could be used are the sum of `taken`, `known` (stored just so) and `kept` (stored otherwise, and left
    as it is); `refused` counts lines by reason. `images_only` and `titles_only` are photos, of those written, without
    the other vector. `compared` vectors were held against stored ones of the same photos; `checked` says what
    encoding some of the photos has shown.
    """

    record: RunRecord
    vectors: int = 0
    taken: int = 0
    known: int = 0
    kept: int = 0
    images_only: int = 0
    titles_only: int = 0
    compared: int = 0
    checked: str | None = None
    refused: Counter[str] = field(default_factory=Counter)
    rejected_file: Path | None = None


def import_embeddings(
    workspace: Workspace,
    config: Config,
    paths: Sequence[Path],
    encoder: str | None = None,
    *,
    replace: bool = False,
    check: bool = False,
) -> ImportedVectors:
    """Commit the vectors of JSON lines (.gz too) or Parquet files as embeddings of `encoder`.

    `encoder` is openai, head or an encoder_id that is known here; None if the files say it themselves. With `check` the
    configured encoder is loaded, it is the one that is meant, and a few photos are encoded and compared first. Vectors
    that are stored already stay, unless `replace`. Lines that cannot be used go to rejected/ first. The record's
    `status` tells how it ended: "stopped" by a signal, the rest being done by the same call again.

    Raises UsageError, InputError (a file cannot be read, or no line of it used), EncoderError (vectors stored for the
    same photos are not like these), CatalogueError, HeadError, LockedError, StorageError.
    """
    with hold_lock(workspace), ExitStack() as tools:
        remove_leftovers(workspace)
        encoder_id = None if encoder is None else named_encoder(workspace, config, encoder)
        loaded = checking_encoder(workspace, config, encoder_id) if check else None
        encoder_id = loaded.encoder_id if loaded is not None else encoder_id
        expected = Expected(encoder_id, lambda known: known_length(workspace, known))
        with storage_trouble(workspace.root):
            with steady_catalogue(workspace, config):
                connection = open_catalogue(workspace, config)
                tools.callback(connection.close)
                blocks = fetch_arrow(connection, "exchange", "known")
            known = KnownIds(blocks["block"].to_numpy(), blocks["bits"].to_numpy())
            job = _Import(workspace, config, connection, replace, loaded)
            return job.run(paths, IncomingVectors(known, expected), tools)


class _Import:
    """One import under way; the caller holds the lock."""

    def __init__(
        self, workspace: Workspace, config: Config, connection: Connection, replace: bool, encoder: Encoder | None
    ) -> None:
        """Begin with nothing done; `encoder` is what the vectors are checked with, if at all."""
        self._encoder = encoder
        self._workspace, self._config, self._connection, self._replace = workspace, config, connection, replace
        now = utc_now()
        self.done = ImportedVectors(RunRecord(new_run_id(workspace), "import", "running", now, now, 0))
        self._folder = workspace.staging / self.done.record.run_id
        self._started = time.monotonic()

    def run(self, paths: Sequence[Path], incoming: IncomingVectors, tools: ExitStack) -> ImportedVectors:
        """Spool, then commit."""
        make_folder(self._folder / "vectors")
        tools.callback(shutil.rmtree, self._folder, ignore_errors=True)
        spool = VectorSpool(self._folder / "vectors", incoming.known.ranges(self._config.run.chunk_size))
        stop, done = Stop(), self.done
        with stop.listening():
            whole = incoming.read(self._workspace, paths, spool, self._folder, stop)
            done.vectors, done.refused, done.rejected_file = incoming.vectors, incoming.refused, incoming.rejected_file
            blocks, bits = incoming.known.seen_blocks()
            done.record = replace(
                done.record,
                pending=int(np.bitwise_count(bits).sum()),
                encoder_id=incoming.expected.encoder_id,
                options={
                    "files": shlex.join(str(path.absolute()) for path in paths),
                    **({"replace": "True"} if self._replace else {}),
                },
            )
            if whole and incoming.vectors:
                stored = self._stored(incoming.expected)
                if stored is not None:
                    done.compared = refuse_other_encoder(stored, spool, blocks, bits)
                if self._encoder is not None:
                    done.checked = check_vectors(self._workspace, self._config, self._connection, spool, self._encoder)
                self._commit_all(spool, stored, stop)
        return self._finished(stop)

    def _stored(self, expected: Expected) -> StoredRanges | None:
        """Return what is stored of the encoder; None if there is nothing."""
        encoder_id, dim = expected.encoder_id, expected.dim
        if encoder_id is None or dim is None or encoder_id not in self._workspace.encoders():
            return None
        return StoredRanges(self._connection, self._workspace, encoder_id, dim)

    def _commit_all(self, spool: VectorSpool, stored: StoredRanges | None, stop: Stop) -> None:
        """Commit range after range, until there are no more or `stop` says so."""
        reporter = RunReporter(self.done.record.pending)
        titles = _Titles(self._connection, spool.starts)
        try:
            with reporter.running():
                for first, last, path in spool.ranges():
                    if stop():
                        break
                    old = None if stored is None else stored.read(first, last)
                    run_id = self.done.record.run_id
                    now = titles.between(first, last)
                    self._commit(merge_vectors(read_spooled(path), old, now, run_id, replace=self._replace), reporter)
                    path.unlink()
        except BaseException as error:
            if self.done.record.chunks:
                with contextlib.suppress(GeotagError):  # a full disk may refuse the record too
                    self._end("failed", str(error), getattr(error, "exit_code", GeotagError.exit_code))
            raise

    def _commit(self, merged: Merged, reporter: RunReporter) -> None:
        done = self.done
        done.taken, done.known, done.kept = (
            done.taken + merged.taken,
            done.known + merged.known,
            done.kept + merged.kept,
        )
        done.images_only += merged.images_only
        done.titles_only += merged.titles_only
        rows = merged.table.num_rows
        if not rows:
            return
        record = done.record
        if not record.chunks:
            write_run_record(self._workspace, record)
        name = ChunkName(record.run_id, record.chunks + 1, record.encoder_id, None, None, None)
        nothing, dim = merged.table.schema.empty_table(), merged.table.schema.field("image_embedding").type.list_size
        commit_chunk(self._workspace, name, ChunkTables(merged.table, nothing, nothing, dim))
        done.record = replace(
            record,
            updated_at=utc_now(),
            chunks=record.chunks + 1,
            photos=record.photos + rows,
            embedded=record.embedded + rows,
            seconds=round(time.monotonic() - self._started, 3),
        )
        write_run_record(self._workspace, done.record)
        reporter.committed(done.record)

    def _finished(self, stop: Stop) -> ImportedVectors:
        if stop.signal is not None:
            self._end("stopped", f"by {signal.Signals(stop.signal).name}", 128 + stop.signal)
        else:
            self._end("done", None, 0)
        refresh_views(self._workspace, self._config, only_stale=True)
        return self.done

    def _end(self, status: str, reason: str | None, exit_code: int) -> None:
        now = utc_now()
        self.done.record = replace(
            self.done.record,
            status=status,
            stop_reason=reason,
            exit_code=exit_code,
            finished_at=now,
            updated_at=now,
            seconds=round(time.monotonic() - self._started, 3),
        )
        if self.done.record.chunks:  # a run with nothing to do leaves no record
            write_run_record(self._workspace, self.done.record)


class _Titles:
    """The hashes of the catalogue's titles, some ranges ahead."""

    def __init__(self, connection: Connection, starts: NDArray[np.int64]) -> None:
        self._connection, self._starts = connection, starts
        self._hashes: pa.Table | None = None
        self._last = -1

    def between(self, first: int, last: int) -> pa.Table:
        """Return the hashes of at least the photos from `first` to `last`, the bounds of one of the ranges."""
        if self._hashes is None or last > self._last:
            following = int(np.searchsorted(self._starts, first)) + _TITLES_AHEAD
            self._last = int(self._starts[following]) - 1 if following < len(self._starts) else _LAST_ID
            bounds = {"first": first, "last": self._last}
            self._hashes = fetch_arrow(self._connection, "exchange", "titles", bounds)
        return self._hashes
