"""All checks of the doctor, in the order in which a run would meet what they look at."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from geotag_batch.config import Config, load_config
from geotag_batch.errors import ConfigError
from geotag_batch.locations import StorePath, location
from geotag_batch.run.doctor import archive, engines, machine, storage
from geotag_batch.run.doctor.check import Check, failed, make, ok, problem, warning
from geotag_batch.workspace import Workspace

__all__ = ["examine", "exit_code"]

_ORDER = (70, 4, 3, 5)  # of several problems, which one the exit code is of: the one that most others follow from


def examine(folder: str | Path | None) -> Iterator[Check]:
    """Yield what is found about this machine and the workspace in `folder`, one check after the other.

    None is the current folder, which then need not be a workspace. Nothing is raised; nothing that exists is changed.
    """
    yield from make("python", machine.examine_python)
    workspace, config, checks = _open(folder)
    yield from make("processor", machine.examine_processor)
    yield from make("memory", partial(machine.examine_memory, config or Config()))
    yield from make("temporary files", machine.examine_temporary)
    yield from checks
    if workspace is not None:
        for name, look in _OF_WORKSPACE.items():
            yield from make(name, partial(look, workspace))
    if workspace is not None and config is not None:
        for name, look_at in _OF_CONFIGURED.items():
            yield from make(name, partial(look_at, workspace, config))
    if config is not None:
        yield from make("torch", partial(engines.examine_engines, workspace, config), engines.PATIENCE)


def exit_code(checks: list[Check]) -> int:
    """Return the worst: what a run would end with because of a problem, 1 if there are only warnings, else 0."""
    codes = [check.exit_code for check in checks if check.level == "problem"]
    return min(codes, key=_ORDER.index) if codes else max((check.exit_code for check in checks), default=0)


_OF_WORKSPACE = {
    "disk": storage.examine_disk,
    "file system": storage.examine_file_system,
    "clock": archive.examine_clock,
    "runs": archive.examine_runs,
}
_OF_CONFIGURED = {
    "catalogue": archive.examine_catalogue,
    "images": archive.examine_images,
    "head": archive.examine_head,
    "views": archive.examine_views,
}


def _open(folder: str | Path | None) -> tuple[Workspace | None, Config | None, list[Check]]:
    """Return the workspace, its configuration (outside of one the defaults, None if it is wrong), and what to say."""
    try:
        place = location(folder or Path())
        if isinstance(place, StorePath):
            seen, to_do = (
                f"{place} is in an object store, and the doctor looks at folders",
                "`geotag plan` tries it out",
            )
            return None, None, [problem("workspace", seen, to_do, ConfigError.exit_code)]
        workspace = Workspace.find(place)
    except ConfigError as error:
        if folder is None:
            to_do = "`geotag init` makes one, -C names one; the machine was looked at for the defaults"
            return None, Config(), [warning("workspace", "the current folder is none", to_do)]
        return None, None, [failed("workspace", error)]
    try:
        return workspace, load_config(workspace), [ok("workspace", f"{workspace.root}, geotag.toml can be read")]
    except ConfigError as error:
        return workspace, None, [failed("workspace", error)]
