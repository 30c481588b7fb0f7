"""A small archive with the fake encoder and a head made by hand, for tests of the whole job."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from PIL import Image

from geotag_batch.config import Config, load_config, set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.engine import EngineOptions
from geotag_batch.run.plan import Selection
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord
from tests.builders import write_catalogue
from tests.heads import make_head


def rows_of(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    """Query a workspace's views with a plain DuckDB."""
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        return connection.execute(sql).fetchall()


class Archive:
    """A workspace with `count` photos, ids from 1, each with an image of its own colour and a title."""

    def __init__(self, workspace: Workspace, count: int) -> None:
        """Write the catalogue, the images and a linear head on image, title and location."""
        self.workspace = workspace
        self.engine = EngineOptions()
        self.photos: list[dict[str, Any]] = [
            {"gridimage_id": number, "title": f"Photo {number % 7}", "grid_reference": "TQ3080"}
            for number in range(1, count + 1)
        ]
        self.write()
        for number in range(1, count + 1):
            self.draw(number)
        set_key(workspace, "encoder.model", "fake")
        set_key(workspace, "run.chunk_size", 5)
        set_key(workspace, "run.workers", 1)  # each takes a moment to start
        self.use(make_head(workspace, FakeEncoder.encoder_id, seed=1))

    def write(self) -> None:
        """Write the catalogue as `photos` says now."""
        write_catalogue(self.workspace, self.photos)

    def image(self, number: int) -> Path:
        """Return where a photo's image is."""
        return self.workspace.root / "images" / f"{number // 10000:05d}" / f"{number}.jpg"

    def draw(self, number: int, shade: int = 0) -> None:
        """Draw a photo's image."""
        path = self.image(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = (number * 37 % 256, number * 91 % 256, shade)
        Image.new("RGB", (80, 60), colour).save(path)

    def use(self, head_id: str) -> None:
        """Make a head the current one."""
        set_key(self.workspace, "head.current", head_id)

    @property
    def config(self) -> Config:
        """Return the configuration as the file has it now."""
        return load_config(self.workspace, {})

    def backfill(self, seconds: float | None = None, **selection: Any) -> RunRecord:  # noqa: ANN401
        """Run the job in this process."""
        job = Job("backfill", Selection(**selection), seconds, engine=self.engine)
        return run_backfill(self.workspace, self.config, job)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Query the views with a plain DuckDB."""
        return rows_of(self.workspace, sql)

    def scores(self, head: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the newest scores of all photos by `head`, in the order of ids."""
        rows = self.rows(
            f"SELECT scores FROM predictions_all WHERE head = '{head}' "
            "QUALIFY run_id = max(run_id) OVER (PARTITION BY gridimage_id) ORDER BY gridimage_id"
        )
        return np.array([row[0] for row in rows], np.float32)


@pytest.fixture
def archive(workspace: Workspace) -> Callable[[int], Archive]:
    """Return a function that makes an archive of so many photos."""
    return lambda count: Archive(workspace, count)
