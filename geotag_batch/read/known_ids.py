"""Which photos the catalogue has, a bit each, and what was seen of them: for a file of millions of lines.

Ids are mostly dense, so a block of 64 ids is one number, as in sql/plan/catalogue_check.sql; eight million photos then
take some megabytes, and a column of ids is looked up at once.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["KnownIds"]

_ONE = np.uint64(1)


class KnownIds:
    """The ids of the catalogue; `take` marks those that were seen."""

    def __init__(self, blocks: NDArray[np.int64], bits: NDArray[np.uint64]) -> None:
        """Take ascending `blocks` (id // 64) and the `bits` of each: bit id % 64 for an id that is there."""
        self._blocks, self._bits = blocks, bits
        self._seen = {False: np.zeros_like(bits), True: np.zeros_like(bits)}

    def knows(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return, bool (n,), which of `ids` (n,) the catalogue has."""
        place, bit = self._find(ids)
        found = place >= 0
        found[found] = (self._bits[place[found]] & bit[found]) != 0
        return found

    def take(self, ids: NDArray[np.int64], kinds: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return, bool (n,), which of known `ids` (n,) come for the first time under their kind, and mark them."""
        first = np.zeros(len(ids), np.bool_)
        for kind, seen in self._seen.items():
            rows = np.flatnonzero(kinds == kind)
            _, earliest = np.unique(ids[rows], return_index=True)
            rows = rows[earliest]
            place, bit = self._find(ids[rows])
            fresh = (seen[place] & bit) == 0
            np.bitwise_or.at(seen, place[fresh], bit[fresh])
            first[rows[fresh]] = True
        return first

    def seen_blocks(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the blocks that have ids seen under either kind, and the bits of those ids."""
        seen = self._seen[False] | self._seen[True]
        return self._blocks[seen != 0], seen[seen != 0]

    def ranges(self, photos: int) -> NDArray[np.int64]:
        """Return the first ids of ranges that each hold up to `photos` of the catalogue's; every id is in one."""
        before = np.concatenate([[0], np.cumsum(np.bitwise_count(self._bits).astype(np.int64))])
        starts = [0]
        for count in range(photos, int(before[-1]), photos):
            block = int(np.searchsorted(before, count, "right")) - 1
            places = np.flatnonzero(self._bits[block] >> np.arange(64, dtype=np.uint64) & _ONE)
            starts.append(int(self._blocks[block]) * 64 + int(places[count - before[block]]))
        return np.array(starts, np.int64)

    def _find(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the place of each id's block, -1 where there is none, and the id's bit in it."""
        if not len(self._blocks):
            return np.full(len(ids), -1, np.int64), np.zeros(len(ids), np.uint64)
        blocks = ids >> 6
        place = np.minimum(np.searchsorted(self._blocks, blocks), len(self._blocks) - 1).astype(np.int64)
        place[self._blocks[place] != blocks] = -1
        return place, _ONE << (ids & 63).astype(np.uint64)
