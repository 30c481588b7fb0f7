"""What an export remembers of what a consumer has: a number for each photo, exports/<consumer>.parquet.

The numbers are hashes of each photo's labels, so the next export finds whatever made them others, be it a run, another
head, a policy, a reviewer or a photo withdrawn, and nothing has to be known of how it came. They are published after
the labels: an export that dies in between writes the same changes once more.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from geotag_batch.atomic import make_folder, publish
from geotag_batch.duck import Connection, escape_glob, quote_literal
from geotag_batch.errors import LockedError, StorageError, UsageError
from geotag_batch.locks import hold_file
from geotag_batch.workspace import Workspace

__all__ = ["Remembered"]

_SCHEMA = pa.schema(
    [pa.field("gridimage_id", pa.int64(), nullable=False), pa.field("state", pa.uint64(), nullable=False)]
)


class Remembered:
    """What `consumer` has been given, for the length of one export."""

    def __init__(self, workspace: Workspace, consumer: str) -> None:
        """Raise UsageError if the consumer's name is none that a file may have."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", consumer):
            raise UsageError(f"{consumer!r} cannot name a consumer", hint="use letters, digits, dots and dashes")
        self._file = workspace.exports / f"{consumer}.parquet"
        self._lock = workspace.exports / f"{consumer}.lock"
        self._staging = workspace.exports / ".staging"

    @property
    def exists(self) -> bool:
        """Return whether there was an export before."""
        return self._file.exists()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other exports for this consumer away in a `with` block. Raises LockedError, StorageError."""
        busy = LockedError(f"another export is writing for {self._file.stem}", hint="start again when it has ended")
        with hold_file(self._lock, 0, busy):
            yield

    def make_relation(self, connection: Connection, *, empty: bool) -> None:
        """Make the relation `remembered` in `connection`; with `empty`, or before the first export, without rows."""
        source = "(SELECT CAST(NULL AS BIGINT) AS gridimage_id, CAST(NULL AS UBIGINT) AS state WHERE false)"
        if not empty and self.exists:
            source = f"read_parquet({quote_literal(escape_glob(str(self._file)))}, hive_partitioning = false)"
        connection.execute(f"CREATE TEMP VIEW remembered AS SELECT gridimage_id, state FROM {source}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[pq.ParquetWriter]:
        """Collect the states of this export in a `with` block, in order of ids; `publish` makes them count."""
        with self._disk():
            make_folder(self._staging)
            with pq.ParquetWriter(self._collected, _SCHEMA, compression="zstd", use_dictionary=False) as writer:
                yield writer

    def publish(self) -> None:
        """Put the collected states in place of the former ones. Raises StorageError."""
        publish(lambda staged: os.replace(self._collected, staged), self._file, self._staging, replace=True)

    @property
    def _collected(self) -> Path:
        return self._staging / f"{self._file.stem}.states"

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"cannot write {self._collected}: {error.strerror or error}", hint="free space, then export again"
            ) from error
