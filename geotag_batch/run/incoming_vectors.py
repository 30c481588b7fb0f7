"""Files of vectors to a spool; what cannot be used goes to rejected/, line by line with its reason."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from geotag_batch.atomic import publish
from geotag_batch.errors import InputError
from geotag_batch.read.ingest import RejectedLines
from geotag_batch.read.known_ids import KnownIds
from geotag_batch.read.vector_batch import Expected, Refuse, VectorBatch, Vectors
from geotag_batch.read.vector_lines import read_vector_lines
from geotag_batch.read.vector_parquet import read_vector_parquet
from geotag_batch.read.vector_spool import VectorSpool
from geotag_batch.workspace import Workspace

__all__ = ["IncomingVectors"]

_HOPELESS = 10_000  # refused lines, with none taken, after which the rest is not looked at
_ENOUGH = 8  # vectors whose lengths are 1 to a thousandth; CLIP's are about 10
_SHOWN = 300  # bytes of a refused line that are kept: 16 million of them would otherwise be 45 GB


class _Hopeless(Exception):
    """So many lines were refused that the rest is not worth a look."""


@dataclass(slots=True)
class IncomingVectors:
    """What comes in of an encoder's vectors for photos of the catalogue.

    `vectors` are those that can be used, `refused` counts lines by reason, `rejected_file` has them.
    """

    known: KnownIds
    expected: Expected
    vectors: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rejected_file: Path | None = None

    def read(
        self, workspace: Workspace, paths: Sequence[Path], spool: VectorSpool, folder: Path, stop: Callable[[], bool]
    ) -> bool:
        """Read the files into `spool`, and publish the refused lines, which are collected in `folder`.

        Return whether that came to its end before `stop` said so. Raises InputError if a file cannot be read, or no
        line of any can be used; StorageError.
        """
        lines = folder / "rejected.tsv"
        with RejectedLines(lines) as rejected:
            try:
                for path in paths:
                    for batch in self._batches(path, rejected):
                        spool.add(batch)
                        self.vectors += len(batch)
                        if stop():
                            return False
            except _Hopeless:
                pass
            spool.flush()
        if rejected.count:
            final = workspace.rejected / f"embeddings-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.tsv"
            publish(lambda staged: shutil.copyfile(lines, staged), final, folder)
            self.rejected_file = final
        if not self.vectors:
            self._refuse_all(", ".join(map(str, paths)))
        return True

    def _refuse_all(self, names: str) -> NoReturn:
        if self.rejected_file is None:
            raise InputError(f"{names}: no line has a vector", hint="see whether what wrote it came to its end")
        ((reason, _),) = self.refused.most_common(1)
        raise InputError(
            f"{names}: no line can be used, most because: {reason}",
            hint=f"they are in {self.rejected_file}, with the reason",
        )

    def _batches(self, path: Path, rejected: RejectedLines) -> Iterator[VectorBatch]:
        """Yield what can be used of one file."""

        def refuse(number: int, reason: str, text: bytes) -> None:
            self.refused[reason] += 1
            rejected.add(path, number, reason, text[:_SHOWN])
            if not self.vectors and rejected.count >= _HOPELESS:
                raise _Hopeless

        read = read_vector_parquet if path.suffix.lower() in (".parquet", ".pq") else read_vector_lines
        for batch in read(path, self.expected, refuse):
            yield self._usable(batch, refuse)

    def _usable(self, batch: VectorBatch, refuse: Refuse) -> VectorBatch:
        """Return the batch in float16, without the vectors that cannot be used."""
        _refuse_normalised(batch)
        with np.errstate(over="ignore"):  # a value that float16 does not hold becomes infinite
            batch = replace(batch, vectors=batch.vectors.astype(np.float16))
        finite = np.asarray(np.isfinite(batch.vectors).all(axis=1))
        batch = _without(batch, ~finite, "has values that are not finite in float16", refuse)
        zero = np.asarray(np.logical_not(batch.vectors).all(axis=1))
        batch = _without(batch, zero, "is zero throughout in float16, as what stands for no vector is", refuse)
        batch = _without(batch, ~self.known.knows(batch.ids), "the catalogue has no such photo", refuse)
        first = self.known.take(batch.ids, batch.is_title)
        return _without(batch, ~first, "the photo has had a vector of this type already", refuse)


def _refuse_normalised(batch: VectorBatch) -> None:
    """Raise InputError if all vectors have length 1, as no encoder's here have: they are kept raw."""
    if len(batch) < _ENOUGH or not _have_length_1(batch.vectors[:_ENOUGH]):
        return
    if _have_length_1(batch.vectors):
        raise InputError(
            f"the vectors of lines {batch.numbers[0]} to {batch.numbers[-1]} all have length 1: they were normalised",
            hint="import what the encoder gives (encode_image, encode_text); heads are trained on raw vectors",
        )


def _have_length_1(vectors: Vectors) -> bool:
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < 1e-3).all())


def _without(batch: VectorBatch, bad: NDArray[np.bool_], reason: str, refuse: Refuse) -> VectorBatch:
    for row in np.flatnonzero(bad).tolist():
        refuse(int(batch.numbers[row]), reason, batch.texts[row])
    return batch.keep(~bad)
