"""Rebuilding the views: on request, and as a run goes on."""

import logging

from geotag_batch.config import Config
from geotag_batch.errors import CatalogueError
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import VIEWS, rebuild_views, views_are_stale

__all__ = ["refresh_views", "remake_views"]

logger = logging.getLogger("geotag")


def remake_views(workspace: Workspace, config: Config) -> tuple[str, ...]:
    """Rebuild review.duckdb, return the views' names. Raises LockedError, CatalogueError, StorageError."""
    with hold_lock(workspace):
        rebuild_views(workspace, config)
    return VIEWS


def refresh_views(workspace: Workspace, config: Config, *, only_stale: bool = False) -> None:
    """Rebuild the views for a run, which holds the lock; with `only_stale`, if they would be others.

    A catalogue that somebody has broken since the run was planned leaves the views as they are, and stops nothing: the
    run has its plan, and the next one will refuse to start. Raises StorageError if the disk refuses.
    """
    try:
        if not only_stale or views_are_stale(workspace, config):
            rebuild_views(workspace, config)
    except CatalogueError as error:
        logger.warning("the views are left as they were: %s", error.message)
