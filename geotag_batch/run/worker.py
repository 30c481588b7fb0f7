"""What becomes of a chunk, whichever engine runs it: embed, score, decide, check, commit.

The local engine has one worker, in the job's own process; the Ray engine one in each of its actors.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from geotag_batch.config import Config
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import FailureBudgetError
from geotag_batch.predict.bundle import Scorer
from geotag_batch.read.loader import ROOT_SUSPECT, ImageLoader, ImageRequest, LoadedImage, while_root_answers
from geotag_batch.read.process import warm_up
from geotag_batch.read.sources import ImageSource
from geotag_batch.run.canary import Canary
from geotag_batch.run.capacity import batch_size, decoding_workers
from geotag_batch.run.chunk import ChunkResult, tag_chunk
from geotag_batch.run.embed import Embedder
from geotag_batch.run.settle import settle
from geotag_batch.run.stop import Stop
from geotag_batch.run.tables import Stamp
from geotag_batch.run.work import Chunk
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import ChunkName, commit_chunk, stored_weights
from geotag_batch.write.fence import announce
from geotag_batch.write.runs import utc_now

__all__ = ["BUDGET_FROM", "Budget", "ChunkDone", "ChunkWorker", "Order", "Ready"]

logger = logging.getLogger("geotag")

BUDGET_FROM = 200
"""First attempts; below that a few bad photos say nothing about the archive."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker must know of a run; it can be sent to another process, on another machine.

    `dim` is the length of an embedding; `encodes` and `images` say whether the plan has anything to encode, and images
    to look at. `lease` is the token of the lease under which the run commits, where its workspace is in a store.
    """

    workspace: Workspace
    config: Config
    run_id: str
    encoder_id: str | None
    head_id: str | None
    policy_id: str | None
    dim: int
    encodes: bool
    images: bool
    canary: Canary | None
    lease: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """What an encoder that is ready to work runs in and on, and what the canary said; None if there was none."""

    precision: str
    device: str
    canary: str | None


@dataclass(frozen=True, slots=True)
class Budget:
    """First attempts so far, and how many of them failed: what run.max_failure_rate is about."""

    attempts: int = 0
    failures: int = 0

    def plus(self, first_attempts: int, first_failures: int) -> "Budget":
        """Return the sum."""
        return Budget(self.attempts + first_attempts, self.failures + first_failures)

    def check(self, limit: float, classes: Counter[str]) -> None:
        """Raise FailureBudgetError if more than `limit` failed; `classes` are the failures of the last chunk."""
        if self.attempts >= BUDGET_FROM and self.failures > limit * self.attempts:
            named = ", ".join(f"{name} {count}" for name, count in classes.most_common())
            raise FailureBudgetError(
                f"{self.failures} of {self.attempts} photos failed at their first attempt, more than "
                f"run.max_failure_rate = {limit:g} allows; this chunk ({named}) is not committed",
                hint="look at images.root and images.template, or raise run.max_failure_rate, then start again",
            )


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """What a committed chunk adds to the run's record; `seconds` by stage.

    `left` counts photos that another worker was about to commit when it was lost: they are left to the next run.
    """

    photos: int
    predicted: int
    failed: int
    embedded: int
    failures: Counter[str]
    first_attempts: int
    first_failures: int
    images_encoded: int = 0
    titles_encoded: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    left: int = 0

    @property
    def datasets(self) -> set[str]:
        """Return the datasets that got a file."""
        rows = {"embeddings": self.embedded, "failures": self.failed, "predictions": self.predicted}
        return {name for name, count in rows.items() if count}


class ChunkWorker:
    """Does chunks of one run. The encoder is loaded by `prepare`, once and only where something is to be encoded.

    One thread at a time may call `tag`, and one `commit`.
    """

    def __init__(self, order: Order, scorer: Scorer | None, source: ImageSource, stop: Stop) -> None:
        """Prepare to score by `scorer`, None where chunks are only embedded; `stop` is asked after each batch."""
        self._order, self._scorer, self._source, self._stop = order, scorer, source, stop
        self._embedder: Embedder | None = None
        self._loader: ImageLoader | None = None
        self._told = ChunkEffort()

    @property
    def is_prepared(self) -> bool:
        """Return whether the encoder is loaded."""
        return self._embedder is not None

    def prepare(self, encoder: Encoder | None, cores: int | None = None) -> Ready:
        """Load the encoder, unless one is given, and let the canary look at it; `cores` are those that it may use.

        Raises EncoderError if it is not the head's, or not the one that made what is stored, and as `load_settled`.
        """
        started = time.monotonic()
        order = self._order
        if order.images:
            warm_up()
        encoder = settle(order.workspace, order.config, self._scorer, encoder)
        self._embedder = Embedder(encoder, batch_size(order.config.run, encoder), self._stop)
        self._embedder.seconds["load_encoder"] = time.monotonic() - started
        if order.images:
            processes = decoding_workers(order.config.run, encoder.device, cores)
            self._loader = ImageLoader(order.config.images, order.workspace.root, encoder.preprocess, processes)
            self._stop.when_signalled(self._loader.stop)
        load = self._loader.load if self._loader is not None else None
        said = order.canary.check(encoder, load) if order.canary is not None else None
        return Ready(encoder.precision, encoder.device, said)

    def load(self, requests: Iterable[ImageRequest]) -> Iterator[LoadedImage]:
        """Start loading images, a few batches ahead of their use. Raises ImageRootError if the root is gone."""
        if self._loader is None or self._embedder is None:
            return iter(())
        ahead = self._loader.load(requests, look_ahead=max(64, 4 * self._embedder.batch_size))
        return while_root_answers(ahead, self._source)

    def tag(self, chunk: Chunk, images: Iterator[LoadedImage], budget: Budget) -> ChunkResult:
        """Embed, score and decide, as `tag_chunk`; refuse failures that say more about the archive than its photos.

        `budget` counts what came before. Raises ImageRootError, FailureBudgetError.
        """
        result = tag_chunk(chunk, self._scorer, self._embedder, images, self._stamp())
        if (result.failures + result.without_image).keys() & ROOT_SUSPECT:
            self._source.check_root()
        spent = budget.plus(result.first_attempts, result.first_failures)
        spent.check(self._order.config.run.max_failure_rate, result.failures)
        return result

    def effort(self) -> "ChunkEffort":
        """Return what encoding has taken since this was last asked; by the thread that calls `tag`."""
        now = ChunkEffort.of(self._embedder)
        spent, self._told = now.since(self._told), now
        return spent

    def commit(self, number: int, result: ChunkResult, effort: "ChunkEffort") -> ChunkDone:
        """Publish a chunk's files. Raises StorageError if the disk refuses; what was published before stays valid."""
        started = time.monotonic()
        name = self.chunk_name(number, result)
        announce(self._order.workspace, name, result.tables.dim)
        commit_chunk(self._order.workspace, name, result.tables)
        tables = result.tables
        return ChunkDone(
            photos=result.photos,
            predicted=tables.predictions.num_rows,
            failed=tables.failures.num_rows,
            embedded=tables.embeddings.num_rows,
            failures=result.failures,
            first_attempts=result.first_attempts,
            first_failures=result.first_failures,
            images_encoded=effort.images_encoded,
            titles_encoded=effort.titles_encoded,
            seconds={**effort.seconds, "commit": time.monotonic() - started},
        )

    def close(self) -> None:
        """End the decoding processes."""
        if self._loader is not None:
            self._loader.close()

    def _stamp(self) -> Stamp:
        return Stamp(
            run_id=self._order.run_id,
            at=utc_now(),
            precision=self._embedder.encoder.precision if self._embedder is not None else "stored",
            encoder_id=self._order.encoder_id,
            head_id=self._order.head_id,
            retry_after=timedelta(hours=self._order.config.run.retry_after_hours),
        )

    def chunk_name(self, number: int, result: ChunkResult) -> ChunkName:
        """Return what names a chunk's files."""
        order = self._order
        weights = self._embedder.encoder.weights_sha256 if self._embedder is not None else None
        if weights is None and result.tables.embeddings.num_rows and order.encoder_id is not None:
            weights = stored_weights(order.workspace, order.encoder_id)
        return ChunkName(order.run_id, number, order.encoder_id, order.head_id, order.policy_id, weights)


@dataclass(frozen=True, slots=True)
class ChunkEffort:
    """What encoding has taken: images, titles, seconds by stage."""

    images_encoded: int = 0
    titles_encoded: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, embedder: Embedder | None) -> "ChunkEffort":
        """Return what an embedder has counted up to now."""
        if embedder is None:
            return cls()
        return cls(embedder.images_encoded, embedder.titles_encoded, dict(embedder.seconds))

    def since(self, before: "ChunkEffort") -> "ChunkEffort":
        """Return what came after `before`."""
        return replace(
            self,
            images_encoded=self.images_encoded - before.images_encoded,
            titles_encoded=self.titles_encoded - before.titles_encoded,
            seconds={stage: value - before.seconds.get(stage, 0.0) for stage, value in self.seconds.items()},
        )
