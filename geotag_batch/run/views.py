"""Rebuilding the views on request."""

from geotag_batch.config import Config
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import VIEWS, rebuild_views

__all__ = ["remake_views"]


def remake_views(workspace: Workspace, config: Config) -> tuple[str, ...]:
    """Rebuild review.duckdb, return the views' names. Raises LockedError, CatalogueError, StorageError."""
    with hold_lock(workspace):
        rebuild_views(workspace, config)
    return VIEWS
