"""Where everything is in a workspace; the one place that knows the tree of docs/architecture.md."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geotag_batch.errors import ConfigError
from geotag_batch.locations import StorePath, location

__all__ = ["CONFIG_NAME", "Workspace"]

CONFIG_NAME = "geotag.toml"


@dataclass(frozen=True, slots=True)
class Workspace:
    """One folder, or one prefix of an object store, that holds everything; `root` is absolute.

    What is not committed, and only of use to this machine, is in `scratch`: the same folder, or one beside the store.
    """

    root: Path

    @classmethod
    def find(cls, path: str | Path) -> "Workspace":
        """Return the workspace at `path`, or at a store's URL. Raises ConfigError if there is no geotag.toml."""
        root = location(path).expanduser().resolve()
        if not (root / CONFIG_NAME).is_file():
            raise ConfigError(
                f"{root} is not a workspace: it has no {CONFIG_NAME}",
                hint=f"make one with `geotag init {path}`, or name another with -C or GEOTAG_WORKSPACE",
            )
        return cls(root)

    @property
    def config_file(self) -> Path:
        """Return the configuration file."""
        return self.root / CONFIG_NAME

    @property
    def in_store(self) -> bool:
        """Return whether the workspace is in an object store."""
        return isinstance(self.root, StorePath)

    @property
    def scratch(self) -> Path:
        """Return the folder of this machine for what is not committed, which may go at any time.

        For a workspace in a store it is one for each URL below GEOTAG_SCRATCH, or the user's cache folder.
        """
        if not isinstance(self.root, StorePath):
            return self.root
        caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "geotag"
        parent = Path(os.environ.get("GEOTAG_SCRATCH") or caches).expanduser().absolute()
        return parent / f"{self.root.name}-{hashlib.sha256(str(self.root).encode()).hexdigest()[:12]}"

    @property
    def lock_file(self) -> Path:
        """Return the file, or the object, that every writing command locks."""
        return self.root / "geotag.lock"

    @property
    def decisions_lock_file(self) -> Path:
        """Return the file that is locked while decisions are committed; a run neither holds nor minds it."""
        return self.scratch / "decisions.lock"

    @property
    def views_lock_file(self) -> Path:
        """Return the file that is locked while the views are made anew."""
        return self.scratch / "views.lock"

    @property
    def database(self) -> Path:
        """Return the DuckDB file that holds the views and nothing else."""
        return self.scratch / "review.duckdb"

    @property
    def heads(self) -> Path:
        """Return the folder of heads."""
        return self.root / "heads"

    @property
    def embeddings(self) -> Path:
        """Return the root of the embeddings dataset."""
        return self.root / "embeddings"

    @property
    def predictions(self) -> Path:
        """Return the root of the predictions dataset."""
        return self.root / "predictions"

    @property
    def failures(self) -> Path:
        """Return the root of the failures dataset."""
        return self.root / "failures"

    @property
    def decisions(self) -> Path:
        """Return the root of the decisions dataset."""
        return self.root / "decisions"

    @property
    def runs(self) -> Path:
        """Return the folder of run records."""
        return self.root / "runs"

    @property
    def pruned(self) -> Path:
        """Return the folder of records of what was pruned."""
        return self.root / "pruned"

    @property
    def sums(self) -> Path:
        """Return the folder of the SHA-256 of each committed file, a file for each chunk."""
        return self.root / "sums"

    @property
    def claims(self) -> Path:
        """Return where workers of a cluster claim the chunks that they commit, in a store; else it is in staging/."""
        return self.root / "claims"

    @property
    def quarantine(self) -> Path:
        """Return the folder of what `verify --repair` set aside."""
        return self.root / "quarantine"

    @property
    def rejected(self) -> Path:
        """Return the folder of lines that ingest refused."""
        return self.root / "rejected"

    @property
    def cache(self) -> Path:
        """Return the folder of what can be made again."""
        return self.scratch / "cache"

    @property
    def reports(self) -> Path:
        """Return the folder of tables, figures and pages that commands draw; nothing reads them back."""
        return self.scratch / "reports"

    @property
    def exports(self) -> Path:
        """Return the folder of what exports remember of what they wrote, a file for each consumer."""
        return self.root / "exports"

    @property
    def staging(self) -> Path:
        """Return the folder of files that are not committed yet."""
        return self.scratch / "staging"

    @property
    def decisions_staging(self) -> Path:
        """Return the folder where decisions are staged; only who holds the decisions' lock writes there."""
        return self.staging / "decisions"

    @property
    def views_staging(self) -> Path:
        """Return the folder where views are staged; only who holds the views' lock writes there."""
        return self.staging / "views"

    def head_dir(self, head_id: str) -> Path:
        """Return the folder of one head."""
        return self.heads / head_id

    def run_file(self, run_id: str) -> Path:
        """Return the record of one run."""
        return self.runs / f"{run_id}.json"

    def embeddings_file(self, encoder_id: str, run_id: str, chunk: int) -> Path:
        """Return the final name of one chunk's embeddings."""
        return self.embeddings / f"encoder={encoder_id}" / f"{run_id}-{chunk:06d}.parquet"

    def predictions_file(self, head_id: str, run_id: str, chunk: int) -> Path:
        """Return the final name of one chunk's predictions; run_date is that of the run's start."""
        folder = self.predictions / f"head={head_id}" / f"run_date={run_date(run_id)}"
        return folder / f"{run_id}-{chunk:06d}.parquet"

    def failures_file(self, run_id: str, chunk: int) -> Path:
        """Return the final name of one chunk's failures."""
        return self.failures / f"run_date={run_date(run_id)}" / f"{run_id}-{chunk:06d}.parquet"

    def decisions_file(self, file_id: str, rows: int) -> Path:
        """Return the final name of a file of decisions; `file_id` is that of its greatest decision_id."""
        return self.decisions / f"{file_id}-{rows:07d}.parquet"

    def encoders(self) -> dict[str, Path]:
        """Return the encoder_ids that embeddings are stored of, each with its newest file."""
        return {path.parent.name.removeprefix("encoder="): path for path in self.dataset_files("embeddings")}

    def dataset_files(self, dataset: str) -> Iterator[Path]:
        """Yield the committed files of a dataset (see DATASET_PATTERNS), by exact depth and pattern."""
        yield from sorted(self.root.glob(f"{dataset}/{DATASET_PATTERNS[dataset]}"))


_FILE = "[0-9]*T[0-9]*Z-*-[0-9]*.parquet"

DATASET_PATTERNS = {
    "embeddings": f"encoder=*/{_FILE}",
    "predictions": f"head=*/run_date=*/{_FILE}",
    "failures": f"run_date=*/{_FILE}",
    "decisions": _FILE,
}
"""Globs below each dataset's root that match committed files and nothing else (no dotfiles, no tmp_*)."""


def run_date(run_id: str) -> str:
    """Return YYYY-MM-DD, the UTC date of the run's start, from its run_id."""
    return f"{run_id[0:4]}-{run_id[4:6]}-{run_id[6:8]}"
