"""Counts of right and wrong decisions, added up block by block, so that no array of all photos is needed."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tally"]


class Tally:
    """Counts over photos; the numbers that come of it are those of metrics.py."""

    def __init__(self, tags: int) -> None:
        """Begin with no photos."""
        self.photos = 0
        self.whole_sets = 0
        self._both = np.zeros(tags, np.int64)
        self._given = np.zeros(tags, np.int64)
        self._chosen = np.zeros(tags, np.int64)

    def add(self, truth: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> None:
        """Count photos, bool (n, tags) each: what contributors said, and what was chosen."""
        self.photos += len(truth)
        self.whole_sets += int((truth == chosen).all(axis=1).sum())
        self._both += (truth & chosen).sum(axis=0)
        self._given += truth.sum(axis=0)
        self._chosen += chosen.sum(axis=0)

    @property
    def subset_accuracy(self) -> float:
        """Return the share of photos whose whole set of tags is right; 0 for no photos."""
        return self.whole_sets / self.photos if self.photos else 0.0

    @property
    def macro_f1(self) -> float:
        """Return the mean F1 over the tags that were given or chosen at least once; 0 if there are none."""
        sums = self._given + self._chosen
        known = sums > 0
        return float((2 * self._both[known] / sums[known]).mean()) if known.any() else 0.0

    @property
    def micro_f1(self) -> float:
        """Return F1 over all decisions together; 0 if nothing was given or chosen."""
        total = int(self._given.sum() + self._chosen.sum())
        return 2 * int(self._both.sum()) / total if total else 0.0
