"""Every stored embedding of one encoder, a few thousand at a time: the newest of each photo, and no other.

Memory is that of a batch, however many photos there are, and twelve bytes for each photo that was embedded again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from geotag_batch.committed import counting, parse_name
from geotag_batch.duck import connect, files_relation, sql_text, storage_trouble
from geotag_batch.read.stored import list_values, unreadable, vector_length
from geotag_batch.workspace import Workspace

__all__ = ["StoredEmbeddings", "open_embeddings"]

_ROWS = 4096  # read together: as many as most files have


@dataclass(frozen=True, slots=True)
class StoredEmbeddings:
    """The committed `files` of one encoder, in the order of their runs; `dim` is the length of an embedding.

    `repeated` int64 (m,), ascending, are the photos that several files have, `newest` int32 (m,) the place in `files`
    of the one that counts.
    """

    files: Sequence[Path]
    dim: int
    repeated: NDArray[np.int64]
    newest: NDArray[np.int32]

    def batches(
        self, place: int, modality: str, wanted: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float16]]]:
        """Yield ids (n,) and vectors (n, dim) of the file at `place`, those that count and have the modality.

        `wanted`, ascending, leaves all other photos out. Raises StorageError if the file cannot be read.
        """
        path, column = self.files[place], f"{modality}_embedding"
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                if wanted is not None and not _find(_ids(file), wanted)[0].any():
                    return
                newest, row = _newest_rows(path, file), 0
                for batch in file.iter_batches(_ROWS, columns=["gridimage_id", column], use_threads=False):
                    ids = batch.column("gridimage_id").to_numpy()
                    vectors, valid = list_values(batch.column(column), self.dim)
                    counts = self._counts(place, ids[valid])
                    if newest is not None:
                        counts &= newest[row : row + len(ids)][valid]
                    row += len(ids)
                    if wanted is not None:
                        counts &= _find(ids[valid], wanted)[0]
                    yield (ids[valid], vectors) if counts.all() else (ids[valid][counts], vectors[counts])
        except (OSError, KeyError, pa.ArrowException) as error:
            raise unreadable(path, error) from error

    def _counts(self, place: int, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        again, where = _find(ids, self.repeated)
        counts = ~again
        counts[again] = self.newest[where[again]] == place
        return counts


def open_embeddings(workspace: Workspace, encoder_id: str, memory_limit: str) -> StoredEmbeddings:
    """Return what is stored of an encoder now; what is committed later is not seen.

    `memory_limit` is DuckDB's. Raises StorageError if a file cannot be read.
    """
    listed = [path for path in workspace.dataset_files("embeddings") if path.parent.name == f"encoder={encoder_id}"]
    files = counting(listed)
    committed = pa.table({"filename": [str(path) for path in files], "place": pa.array(range(len(files)), pa.int32())})
    embeddings = files_relation(files, ("gridimage_id",))
    repeated = sql_text("parts", "repeated", {"rows": f"(FROM {embeddings})"})
    text = sql_text("stored", "newest", {"embeddings": embeddings, "repeated": repeated})
    with (
        storage_trouble(workspace.embeddings),
        connect(memory_limit=memory_limit, spill=workspace.cache) as connection,
    ):
        connection.register("committed", committed)
        found = connection.sql(text).to_arrow_table()
    dim = vector_length(files[-1]) if files else 0
    return StoredEmbeddings(files, dim, found["gridimage_id"].to_numpy(), found["place"].to_numpy())


def _ids(file: pq.ParquetFile) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = file.read(["gridimage_id"], use_threads=False)["gridimage_id"].to_numpy()
    return ids


def _newest_rows(path: Path, file: pq.ParquetFile) -> NDArray[np.bool_] | None:
    """Return the rows (n,) of a merged file that hold a photo's newest vectors there; None for a file of one run.

    A merged file has a photo's rows one after the other, in the order of their runs.
    """
    name = parse_name(path.name)
    if name is None or name.since is None:
        return None
    ids = _ids(file)
    return np.append(ids[1:] != ids[:-1], True)


def _find(ids: NDArray[np.int64], among: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return which of `ids` (n,) are `among` some that ascend, bool (n,), and the place where each would be there."""
    where = np.searchsorted(among, ids)
    found = where < len(among)
    found[found] = among[where[found]] == ids[found]
    return found, where
