"""What is committed of a chunk that was lost with its worker, counted from the files."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from geotag_batch.errors import StorageError
from geotag_batch.parquet import open_parquet
from geotag_batch.run.worker import ChunkDone, Order

__all__ = ["read_back"]


def read_back(order: Order, number: int, rows: pa.Table) -> ChunkDone:
    """Return what the committed files of chunk `number` add to the run's record; `rows` is what the plan said of it.

    Photos with neither a prediction (where nothing is scored, an embedding) nor a failure are `left`. Raises
    StorageError if a file cannot be read.
    """
    workspace, run_id = order.workspace, order.run_id
    embedded = failed = predicted = pa.table({"gridimage_id": pa.array([], pa.int64())})
    if order.encoder_id is not None:
        embedded = _column(workspace.embeddings_file(order.encoder_id, run_id, number), "gridimage_id", embedded)
    if order.head_id is not None:
        predicted = _column(workspace.predictions_file(order.head_id, run_id, number), "gridimage_id", predicted)
    failures = workspace.failures_file(run_id, number)
    failed = _column(failures, "gridimage_id", failed)
    classes = _column(failures, "error_class", pa.table({"error_class": pa.array([], pa.string())}))
    ids = rows["gridimage_id"].to_numpy()
    is_failed = np.isin(ids, failed["gridimage_id"].to_numpy())
    is_good = np.isin(ids, (predicted if order.head_id is not None else embedded)["gridimage_id"].to_numpy())
    first = (rows["attempts"].to_numpy() == 0) & (is_good | is_failed)
    photos = int((is_good | is_failed).sum())
    return ChunkDone(
        photos=photos,
        predicted=predicted.num_rows,
        failed=failed.num_rows,
        embedded=embedded.num_rows,
        failures=Counter(classes["error_class"].to_pylist()),
        first_attempts=int(first.sum()),
        first_failures=int((first & is_failed).sum()),
        left=len(ids) - photos,
    )


def _column(path: Path, name: str, without: pa.Table) -> pa.Table:
    """Return one column of a file, or `without` if it is not there."""
    if not path.exists():
        return without
    try:
        return open_parquet(path).read(columns=[name])
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path}: cannot be read: {error}", hint="run `geotag verify`") from error
