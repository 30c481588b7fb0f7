"""A chunk on its way through a run: the plan's rows with their vectors, by row, ids beside them in one object."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch.errors import PhotoFailure
from geotag_batch.read.stored import Vectors, read_vectors

__all__ = ["Chunk"]


@dataclass(slots=True)
class Chunk:
    """n pending photos on their way: `rows` is the plan's table (sql/plan/pending.sql), all else is in its order.

    `needs_image` (n,) marks the rows whose image is asked of the loader, in order. `signatures` belong to the image
    vectors. `failures` maps a row to why its photo cannot be used.
    """

    rows: pa.Table
    ids: NDArray[np.int64]
    vectors: Vectors
    needs_image: NDArray[np.bool_]
    needs_title: NDArray[np.bool_]
    signatures: list[str | None]
    failures: dict[int, PhotoFailure] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: pa.Table, needs_image: NDArray[np.bool_], dim: int) -> "Chunk":
        """Make a chunk of the plan's rows, with the vectors that are stored already."""
        ids = rows.column("gridimage_id").to_numpy()
        return cls(
            rows=rows,
            ids=ids,
            vectors=read_vectors(ids, rows.column("embedding_file").to_pylist(), dim),
            needs_image=needs_image,
            needs_title=rows.column("encode_title").to_numpy(zero_copy_only=False),
            signatures=rows.column("image_signature").to_pylist(),
        )

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.ids)

    @property
    def locations(self) -> NDArray[np.float64]:
        """Return latitude and longitude (n, 2) in degrees, NaN where unknown."""
        columns = [self.rows.column(name).fill_null(np.nan).to_numpy() for name in ("latitude", "longitude")]
        return np.column_stack(columns)

    @property
    def needs_encoder(self) -> bool:
        """Return whether anything in the chunk is to be encoded."""
        return bool(self.needs_image.any() or self.needs_title.any())

    def head_rows(self, count: int) -> "Chunk":
        """Return the chunk cut to its first `count` photos."""
        cut = slice(0, count)
        vectors = self.vectors
        return Chunk(
            rows=self.rows.slice(0, count),
            ids=self.ids[cut],
            vectors=Vectors(vectors.image[cut], vectors.title[cut], vectors.has_image[cut], vectors.has_title[cut]),
            needs_image=self.needs_image[cut],
            needs_title=self.needs_title[cut],
            signatures=self.signatures[cut],
            failures={row: failure for row, failure in self.failures.items() if row < count},
        )
