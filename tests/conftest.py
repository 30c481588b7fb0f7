"""What every test shares: where the real files are, and an empty workspace."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from geotag_batch.config import default_toml
from geotag_batch.workspace import Workspace

settings.register_profile("unhurried", deadline=None)  # how long a case takes says how busy the machine is
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real heads, photos and golden vectors, or skip naming what is missing."""
    folder = Path(os.environ.get("GEOTAG_SHARED", Path(__file__).parents[2] / "shared")).resolve() / "geograph"
    if not folder.is_dir():
        pytest.skip(f"needs the real Geograph files in {folder} (set GEOTAG_SHARED)")
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return an empty workspace with the default configuration."""
    root = tmp_path / "archive"
    root.mkdir()
    (root / "geotag.toml").write_text(default_toml(), encoding="utf-8")
    return Workspace(root.resolve())
