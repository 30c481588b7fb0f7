"""The vectors most like one vector, by cosine, of any number that are offered a batch at a time.

Two steps. In float32 a matrix product and the lengths say, within a bound on their rounding, how like each vector is.
The few that may be among the nearest are computed again in float64, each row by itself, and that is what counts, to
float32: the same vector has the same similarity wherever it comes, and photos with the same similarity come by id.
"""

import threading

import numpy as np
from numpy.typing import NDArray

__all__ = ["Nearest"]

_ROWS = 512  # widened together: a megabyte, which stays in a core's own cache


class Nearest:
    """Keeps the `limit` vectors nearest to `query` (dim,), of a length that is not 0; threads may offer side by side.

    Vectors of zeros and those with a value that is not finite have no direction, and are never among them.
    """

    def __init__(self, query: NDArray[np.float32], limit: int, *, but: int | None = None) -> None:
        """Keep nothing yet; the photo `but` is never kept. Raises ValueError if the query has no direction."""
        exact = query.astype(np.float64)
        length = float(np.linalg.norm(exact))
        if not (np.isfinite(length) and length > 0):
            raise ValueError("the query has no direction")
        self._query = exact / length
        self._wide_query = self._query.astype(np.float32)
        self._limit = limit
        self._but = but
        # float32's sum of dim products is off by at most dim / 2**24 of the lengths' product, the length by half that
        # (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); the rest is for the query, root and quotient.
        self._slack = 1.5 * len(query) * 2.0**-24 + 1e-6
        self._least = -np.inf
        self._lock = threading.Lock()
        self._ids = np.empty(0, np.int64)
        self._similarities = np.empty(0, np.float32)

    def offer(self, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        """Take the nearest of `vectors` (n, dim) of the photos `ids` (n,) among those kept."""
        wide = np.empty((min(_ROWS, len(ids)), vectors.shape[1]), np.float32)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for start in range(0, len(ids), _ROWS):
                part = vectors[start : start + _ROWS]
                rows = _widened(part, wide[: len(part)])
                similarities = (rows @ self._wide_query) / np.sqrt(np.vecdot(rows, rows))
                near = np.flatnonzero(similarities >= self._least - self._slack)
                if len(near):
                    self._keep(ids[start + near], part[near])

    def found(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids (m,) and similarities (m,) of those kept, the most similar first, equals by id."""
        return self._ids, self._similarities

    def _keep(self, ids: NDArray[np.int64], vectors: NDArray[np.float16]) -> None:
        exact = vectors.astype(np.float64)
        lengths = np.sqrt((exact * exact).sum(axis=1))
        similarities = ((exact * self._query).sum(axis=1) / lengths).astype(np.float32)
        usable = np.isfinite(similarities) & (ids != (-1 if self._but is None else self._but))
        with self._lock:
            ids = np.concatenate([self._ids, ids[usable]])
            similarities = np.concatenate([self._similarities, similarities[usable]])
            order = np.lexsort((ids, -similarities))
            # A file that has a photo twice is wrong (`geotag verify`), and no reason to show it twice.
            _, first = np.unique(ids[order], return_index=True)
            order = order[np.sort(first)][: self._limit]
            self._ids, self._similarities = ids[order], similarities[order]
            if len(order) == self._limit:
                self._least = float(self._similarities[-1])


def _widened(vectors: NDArray[np.float16], into: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `vectors` as float32, put `into` rows of their shape; values that are not finite come out as others.

    NumPy's own conversion goes value by value: a quarter as fast. Shifted to float32's places, sign, exponent and
    fraction say the same number but for the exponent's offset (127 for 15), which one exact product mends, subnormals
    included.
    """
    bits = into.view(np.int32)
    np.left_shift(vectors.view(np.int16), 13, out=bits, dtype=np.int32)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)  # 0x8fffe000: the copies of the sign are taken out
    into *= np.float32(2.0**112)
    return into
