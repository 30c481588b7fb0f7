"""The options of `plan`, `backfill` and `embed` that say which photos and how; and what they become."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from geotag_batch.config import Config
from geotag_batch.read.ids import read_ids
from geotag_batch.run.backfill import Job
from geotag_batch.run.engine import ENGINES, EngineOptions
from geotag_batch.run.plan import Selection
from geotag_batch.run.report import configure_logging
from geotag_batch.run.stop import seconds_until, signals_as_exits
from geotag_batch.run.watch import SUMMARIES, Watch
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import RunRecord

from .options import Number, configured, log_format_option, time_type
from .say import say

__all__ = ["run_and_tell", "run_config", "running_options", "selecting_options", "selection_of"]

Command = TypeVar("Command", bound=Callable[..., Any])


class _Clock(click.ParamType[float]):
    """HH:MM in local time, as the seconds from now to then."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        try:
            clock = datetime.strptime(value, "%H:%M")
        except ValueError:
            self.fail(f"{value!r} is not a time of day like 06:30", param, ctx)
        return seconds_until(clock.hour, clock.minute, datetime.now())


class _Count(click.ParamType["int | str"]):
    """A whole number, or "auto"."""

    name = "auto|integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:  # noqa: ANN401
        if value == "auto":
            return "auto"
        number: int = click.IntRange(min=1).convert(value, param, ctx)
        return number


_KINDS: tuple[Literal["untagged"], Literal["tagged"], Literal["all"]] = ("untagged", "tagged", "all")

_SELECTING = (
    click.option(
        "--select",
        type=click.Choice(_KINDS),
        help="Photos that carry none of the 49 tags (the default), some of them, or either.",
    ),
    click.option("--untagged", is_flag=True, help="The same as --select untagged."),
    click.option("--tagged", is_flag=True, help="The same as --select tagged."),
    click.option("--all", is_flag=True, help="The same as --select all."),
    click.option("--ids", type=click.Path(path_type=Path), help="Only the ids in FILE, one a line."),
    click.option("--limit", type=click.IntRange(min=1), help="At most so many photos."),
    click.option("--redo-before", type=time_type, help="Treat what was done before TIME (UTC) as not there."),
    click.option("--force", is_flag=True, help="Redo everything selected: --redo-before now."),
    click.option("--reembed", is_flag=True, help="With --redo-before or --force: embed again too."),
    click.option("--retry-failed", is_flag=True, help="Try every failed photo again, permanent failures too."),
    click.option("--check-images", is_flag=True, help="Look at every image done before for changes."),
    click.option("--chunk-size", type=click.IntRange(min=1), help="Photos in a chunk (run.chunk_size)."),
)

_FILE = click.Path(dir_okay=False, path_type=Path)

# fmt: off
_RUNNING = (
    click.option("--until", type=_Clock(), help="Stop at this time of day (local)."),
    click.option("--max-minutes", type=Number(min=0, min_open=True), help="Stop after so many minutes."),
    click.option("--batch-size", type=_Count(), help="Images encoded together (run.batch_size)."),
    click.option("--workers", type=_Count(), help="Decoding processes (run.workers); with --engine ray how many "
                 "workers, auto: as many as the cluster has room for."),
    click.option("--no-canary", is_flag=True, help="Encode although stored photos come out otherwise (run.canary)."),
    click.option("--device", help="auto, cpu, cuda, cuda:1 or mps (encoder.device)."),
    click.option("--precision", help="auto, float32, bfloat16, float16 or int8 (encoder.precision)."),
    click.option("--engine", type=click.Choice(ENGINES), default=ENGINES[0], show_default=True,
                 help="Work in this process, or on a Ray cluster (pip install 'geotag-batch[ray]')."),
    click.option("--ray-address",
                 help="With --engine ray: HOST:PORT, auto (the default) for the cluster of this machine, or "
                 "local for this machine alone."),
    click.option("--gpus-per-worker", type=Number(min=0),
                 help="With --engine ray: GPUs for each worker, 0.5 for two workers on one; none by default."),
    click.option("--cpus-per-worker", type=_Count(),
                 help="With --engine ray: cores for each worker; auto (the default) shares out each machine's."),
    log_format_option,
    click.option("--log-file", type=_FILE, help="Append log lines to FILE instead of standard error."),
    click.option(
        "--metrics-file", type=_FILE, help="Keep FILE up with the run, for Prometheus (node_exporter's textfile)."
    ),
    click.option(
        "--summary",
        type=click.Choice(SUMMARIES),
        default="short",
        show_default=True,
        help="What is printed at the end: a few lines, a mail's text, or that only if something needs a person.",
    ),
)
# fmt: on


def selecting_options(command: Command) -> Command:
    """Add the options that say which photos."""
    for option in reversed(_SELECTING):
        command = option(command)
    return command


def running_options(command: Command) -> Command:
    """Add the options that say how to run."""
    for option in reversed(_RUNNING):
        command = option(command)
    return command


def _kind(flags: dict[str, Any]) -> Literal["untagged", "tagged", "all"]:
    """Return which kind of photos the flags select."""
    given = [kind for kind in _KINDS if flags[kind] or flags["select"] == kind]
    if len(given) > 1:
        raise click.UsageError(f"--{given[0]} and --{given[1]} contradict each other: give one of them")
    return given[0] if given else "untagged"


def selection_of(flags: dict[str, Any]) -> Selection:
    """Return the selection that the flags describe."""
    if flags["force"] and flags["redo_before"]:
        raise click.UsageError("--force is --redo-before now: give one of the two")
    redo_before = datetime.now(UTC).replace(tzinfo=None) if flags["force"] else flags["redo_before"]
    if flags["reembed"] and redo_before is None:
        raise click.UsageError("--reembed goes with --force or --redo-before")
    return Selection(
        select=_kind(flags),
        ids=read_ids(flags["ids"]) if flags["ids"] else None,
        limit=flags["limit"],
        redo_before=redo_before,
        reembed=flags["reembed"],
        retry_failed=flags["retry_failed"],
        check_images=flags["check_images"],
    )


def job_of(name: str, flags: dict[str, Any]) -> Job:
    """Return the job that the flags describe."""
    if flags["until"] is not None and flags["max_minutes"] is not None:
        raise click.UsageError("give one of --until and --max-minutes")
    seconds = flags["until"] if flags["max_minutes"] is None else flags["max_minutes"] * 60
    selection = selection_of(flags)
    given = {option: str(flags[option]) for option in ("ids", "limit", "until", "max_minutes")}
    given["select"] = selection.select
    given |= {option: str(flags[option]) for option in ("reembed", "retry_failed", "check_images") if flags[option]}
    given["redo_before"] = selection.redo_before.isoformat() if selection.redo_before else "None"
    engine = _engine_of(flags)
    given |= {name: str(flags[name]) for name in ("engine", *_OF_RAY) if engine.name == "ray" and flags[name]}
    options = {key: value for key, value in given.items() if value != "None"}
    return Job(name, selection, seconds, options, engine=engine)


_OF_RAY = ("ray_address", "workers", "gpus_per_worker", "cpus_per_worker")


def _engine_of(flags: dict[str, Any]) -> EngineOptions:
    """Return the engine that the flags describe; those that only Ray takes are refused without it."""
    if flags["engine"] != "ray":
        for name in ("ray_address", "gpus_per_worker", "cpus_per_worker"):
            if flags[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --engine ray")
        return EngineOptions()
    workers, cores = (flags[name] if isinstance(flags[name], int) else None for name in ("workers", "cpus_per_worker"))
    return EngineOptions("ray", flags["ray_address"] or "auto", workers, flags["gpus_per_worker"] or 0.0, cores)


def run_config(workspace: Workspace, flags: dict[str, Any]) -> Config:
    """Return the configuration with the flags of a run laid over it."""
    return configured(
        workspace,
        run__chunk_size=flags["chunk_size"],
        run__batch_size=flags["batch_size"],
        run__workers=flags["workers"] if flags["engine"] != "ray" else None,  # where it counts workers
        run__canary=0 if flags.get("no_canary") else None,
        encoder__device=flags["device"],
        encoder__precision=flags["precision"],
        run__missing_image=flags.get("missing_image"),
    )


def run_and_tell(
    workspace: Workspace, name: str, run: Callable[[Workspace, Config, Job], RunRecord], flags: dict[str, Any]
) -> int:
    """Run a job as its flags say, print what it has come to, also where an error ends it, and return the exit code."""
    configure_logging(flags["log_format"], flags["log_file"])
    watch = Watch(workspace, name, flags["metrics_file"])
    try:
        with signals_as_exits(), watch:
            job = replace(job_of(name, flags), follow=watch.follow)
            record = run(workspace, run_config(workspace, flags), job)
    finally:
        if text := watch.summary(flags["summary"]):
            say(text)
    return record.exit_code or 0
