"""The main job: plan, then chunk by chunk read, encode, predict, commit; stop cleanly; say what was done."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from geotag_batch.config import Config
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import StorageError
from geotag_batch.predict.bundle import Scorer, load_scorer
from geotag_batch.predict.head import current_head_info
from geotag_batch.read.photos import Selection, Target
from geotag_batch.read.sources import open_source
from geotag_batch.run.compact import remove_merged
from geotag_batch.run.engine import EngineOptions, open_engine
from geotag_batch.run.leftovers import remove_leftovers
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.loop import RunLoop
from geotag_batch.run.plan import make_plan, target_of
from geotag_batch.run.settle import load_settled
from geotag_batch.run.stop import Stop
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord, new_run_id, utc_now
from geotag_batch.write.views import rebuild_views, views_are_stale

__all__ = ["Job", "run_backfill", "run_embed"]

logger = logging.getLogger("geotag")


@dataclass(frozen=True, slots=True)
class Job:
    """What one run is asked to do: `seconds` is its time window, `options` what its record says of the command line.

    `follow` is called with the run's record when it begins, after each chunk, and when it has ended, however it has; a
    chunk's call comes from the thread that commits it.
    """

    command: str
    selection: Selection
    seconds: float | None = None
    options: dict[str, str] = field(default_factory=dict)
    follow: Callable[[RunRecord], None] = lambda record: None
    engine: EngineOptions = field(default_factory=EngineOptions)


def run_backfill(workspace: Workspace, config: Config, job: Job) -> RunRecord:
    """Predict tags for the pending photos of the selection with the current head.

    Returns the run's record, whose `status` tells how it ended and whose `exit_code` is the process's. A run with
    nothing to do leaves no record. Raises LockedError, ConfigError, CatalogueError, ImageRootError, ModelError,
    StorageError, ClusterError or FailureBudgetError; whatever was committed before stays valid.
    """
    with hold_lock(workspace):
        info = current_head_info(workspace, config)
        return _run(
            workspace, config, job, target_of(info), load_scorer(workspace, info.head_id, config.run.missing_image)
        )


def run_embed(workspace: Workspace, config: Config, job: Job) -> RunRecord:
    """Embed the images and titles of the selected photos, without a head; otherwise as `run_backfill`."""
    with hold_lock(workspace):
        here = config if job.engine.name == "local" else config.with_flags(_TO_IDENTIFY)
        encoder = load_settled(workspace, here, None)
        target = Target(encoder.encoder_id, None, None, ("image", "title"))
        return _run(workspace, config, job, target, None, encoder)


_TO_IDENTIFY = {"encoder.device": "cpu", "encoder.precision": "float32"}
"""How the encoder is loaded where only its encoder_id is wanted, since others encode."""


def _run(
    workspace: Workspace, config: Config, job: Job, target: Target, head: Scorer | None, encoder: Encoder | None = None
) -> RunRecord:
    started = utc_now()
    remove_leftovers(workspace)
    if views_are_stale(workspace, config):  # left by a killed run too, or the workspace was moved
        rebuild_views(workspace, config)
    try:
        if not workspace.in_store:
            remove_merged(workspace, config)
    except StorageError as error:  # verify's matter, and both files are there
        logger.warning("%s", error.message)
    with make_plan(workspace, config, job.selection, target) as plan:
        record = RunRecord(
            run_id=new_run_id(workspace),
            command=job.command,
            status="running",
            started_at=started,
            updated_at=started,
            pending=plan.pending,
            encoder_id=target.encoder_id,
            head=target.head_id,
            policy_id=target.policy_id,
            options=job.options,
        )
        if not plan.total:
            record = replace(record, status="done", exit_code=0, finished_at=utc_now())
            job.follow(record)
            return record
        plan.require_disk(workspace)
        source = open_source(config.images, workspace.root)
        if plan.images:
            source.check_root()
        dim = encoder.dim if encoder is not None else head.info.dim if head is not None else 0
        loop = RunLoop(workspace, config, plan, record, job.follow)
        try:
            with open_engine(job.engine, head, encoder, source) as engine:
                return loop.work(engine, source, dim, Stop(job.seconds))
        finally:
            job.follow(loop.record)
