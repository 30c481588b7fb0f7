"""The archive of tests/run/conftest.py, copied into a bucket."""

from pathlib import Path

from geotag_batch.config import Config, load_config
from geotag_batch.read.photos import Selection
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.query import query
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord
from tests.stores.server import Server

__all__ = ["Stored"]


class Stored:
    """A workspace at s3://<bucket>/an/archive with what lies in a folder, but for what only a machine needs."""

    def __init__(self, server: Server, bucket: str, folder: Path) -> None:
        """Copy the folder."""
        for path in folder.rglob("*"):
            if path.is_file() and path.parent.name != "staging" and path.suffix not in (".lock", ".duckdb"):
                server.write(bucket, f"an/archive/{path.relative_to(folder)}", path.read_bytes())
        self.server, self.bucket = server, bucket
        self.url = f"s3://{bucket}/an/archive"
        self.workspace = Workspace.find(self.url)

    @property
    def config(self) -> Config:
        """Return the configuration as it is in the bucket."""
        return load_config(self.workspace, {})

    def backfill(self) -> RunRecord:
        """Run the job in this process."""
        return run_backfill(self.workspace, self.config, Job("backfill", Selection()))

    def csv(self, sql: str) -> list[str]:
        """Query the views as `geotag query` does."""
        return "\n".join(query(self.workspace, self.config, sql, "csv")).split("\n")

    def names(self, part: str = "") -> list[str]:
        """Return the names of the objects of the workspace that contain `part`."""
        return [key.removeprefix("an/archive/") for key in self.server.keys(self.bucket) if part in key]
