"""The stored embeddings of one encoder, read range of ids by range of ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.duck import Connection, dataset_relation, fetch_arrow
from geotag_batch.read.stored import Vectors, read_vectors
from geotag_batch.workspace import Workspace

__all__ = ["StoredRange", "StoredRanges"]

_COLUMNS = ("gridimage_id", "title_hash", "image_signature", "precision", "run_id")
_AHEAD = 1 << 16  # photos whose facts are held: some 15 MB
_LAST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StoredRange:
    """The newest embeddings of n photos, in order of ids: `facts` with the columns of sql/exchange/stored.sql."""

    ids: NDArray[np.int64]
    facts: pa.Table
    vectors: Vectors


class StoredRanges:
    """What is stored of `encoder_id`; `dim` is the length of its vectors.

    Files that are committed later are seen where their photos are asked for later, but for some photos ahead.
    """

    def __init__(self, connection: Connection, workspace: Workspace, encoder_id: str, dim: int) -> None:
        """Make the relation `stored` in `connection`."""
        self._connection, self._encoder, self._dim = connection, encoder_id, dim
        relation = dataset_relation(workspace, "embeddings", _COLUMNS, filename=True)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW stored AS FROM {relation}")
        self._held, self._first, self._last = pa.table({"gridimage_id": pa.array([], pa.int64())}), 0, -1

    def read(self, first: int, last: int) -> StoredRange:
        """Return the newest embeddings of the photos from `first` to `last`, both included. Raises StorageError."""
        if first < self._first or last > self._last:
            self._first, self._last = first, max(last, self._ahead(first))
            self._held = self._facts(self._first, self._last)
        ids = self._held["gridimage_id"].to_numpy()
        start, end = np.searchsorted(ids, first), np.searchsorted(ids, last, "right")
        return self._with_vectors(self._held.slice(start, end - start))

    def _ahead(self, first: int) -> int:
        """Return the last id of some _AHEAD photos from `first` on: each query looks into every file."""
        starts, counts = self._blocks
        later = int(np.searchsorted(starts, first, "right"))
        later += int(np.searchsorted(np.cumsum(counts[later:]), _AHEAD, "right"))
        return int(starts[later]) - 1 if later < len(starts) else _LAST_ID

    @cached_property
    def _blocks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first ids of blocks of ids, and how many rows there are in each."""
        blocks = fetch_arrow(self._connection, "exchange", "stored_blocks", {"encoder": self._encoder})
        return blocks["block"].to_numpy() << 10, blocks["photos"].to_numpy()

    def _facts(self, first: int, last: int) -> pa.Table:
        bounds = {"encoder": self._encoder, "first": first, "last": last}
        return fetch_arrow(self._connection, "exchange", "stored", bounds)

    def ranges(self, photos: int) -> Iterator[StoredRange]:
        """Yield all of it, in order, up to `photos` photos at a time. Raises StorageError."""
        starts, counts = self._blocks
        group = np.cumsum(counts) // (16 * photos)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        for start, following in zip(first.tolist(), [*first[1:].tolist(), None], strict=True):
            last = int(starts[-1]) + 1023 if following is None else int(starts[following]) - 1
            facts = self._facts(int(starts[start]), last)
            for row in range(0, facts.num_rows, photos):
                yield self._with_vectors(facts.slice(row, photos))

    def already(self, blocks: NDArray[np.int64], bits: NDArray[np.uint64], most: int) -> list[int]:
        """Return up to `most` stored photos among those that `bits` of `blocks` (id // 64) mark."""
        self._connection.register("arriving", pa.table({"block": blocks, "bits": bits}))
        found = fetch_arrow(self._connection, "exchange", "stored_already", {"encoder": self._encoder, "most": most})
        self._connection.unregister("arriving")
        ids: list[int] = found["gridimage_id"].to_pylist()
        return ids

    def _with_vectors(self, facts: pa.Table) -> StoredRange:
        ids = facts["gridimage_id"].to_numpy()
        return StoredRange(ids, facts, read_vectors(ids, facts["filename"].to_pylist(), self._dim))
