"""What people decided, as it counts for labels: given tags are tags, rejected ones are certain not to be."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DecisionsUsed", "apply_decisions"]


@dataclass(frozen=True, slots=True)
class DecisionsUsed:
    """How far decisions made the labels of a set of photos.

    These are photos to learn from and to judge by. `photos` have `given` and `rejected` tags; `added` and `removed`
    count where that changed what contributors said. `labelled` photos have no tag but by decisions, `only_rejected`
    have none at all. `sha256` is the digest of the ids and of what was decided.
    """

    photos: int
    given: int
    rejected: int
    added: int
    removed: int
    labelled: int
    only_rejected: int
    sha256: str

    @classmethod
    def count(
        cls,
        ids: NDArray[np.int64],
        contributed: NDArray[np.bool_],
        labels: NDArray[np.bool_],
        decided: NDArray[np.bool_],
    ) -> "DecisionsUsed | None":
        """Return the counts over photos `ids` (n,), matrices bool (n, tags); None if nothing is decided."""
        if not decided.any():
            return None
        rows = np.flatnonzero(decided.any(axis=1))
        ids, contributed, labels, decided = ids[rows], contributed[rows], labels[rows], decided[rows]
        sha = hashlib.sha256(ids.tobytes())
        for matrix in (decided & labels, decided & ~labels):
            sha.update(np.packbits(matrix, axis=1).tobytes())
        labelled = labels.any(axis=1)
        return cls(
            photos=len(rows),
            given=int((decided & labels).sum()),
            rejected=int((decided & ~labels).sum()),
            added=int((labels & ~contributed).sum()),
            removed=int((contributed & ~labels).sum()),
            labelled=int((labelled & ~contributed.any(axis=1)).sum()),
            only_rejected=int((~labelled).sum()),
            sha256=sha.hexdigest(),
        )


def apply_decisions(
    contributed: NDArray[np.bool_], given: NDArray[np.bool_], rejected: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return labels and what is decided of them, bool (n, tags) each: a decision wins over a contributor's tag."""
    return (contributed | given) & ~rejected, given | rejected
