"""Options that several commands share, and how they reach the library."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from geotag_batch.config import Config, load_config
from geotag_batch.errors import UsageError
from geotag_batch.predict.features import MODALITIES
from geotag_batch.workspace import Workspace

__all__ = [
    "Number",
    "configured",
    "format_option",
    "log_format_option",
    "modalities_type",
    "out_argument",
    "out_format_option",
    "stored_workspace_option",
    "time_type",
    "workspace_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])


class _WorkspaceParam(click.ParamType[Workspace]):
    name = "folder"

    def __init__(self, *, in_store: bool) -> None:
        self._in_store = in_store

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Workspace:  # noqa: ANN401
        workspace = value if isinstance(value, Workspace) else Workspace.find(value)
        if workspace.in_store and not self._in_store:
            command = ctx.command_path if ctx is not None else "this command"
            raise UsageError(
                f"`{command}` needs a workspace in a folder, and {workspace.root} is in an object store",
                hint="copy it to a folder and work there; README.md, `Object storage`, lists what works in a bucket",
            )
        return workspace


class _Modalities(click.ParamType[tuple[str, ...]]):
    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        asked = [part.strip() for part in value.split(",")]
        unknown = [part for part in asked if part not in MODALITIES]
        if unknown:
            self.fail(f"{unknown[0]!r} is none of {', '.join(MODALITIES)}", param, ctx)
        return tuple(modality for modality in MODALITIES if modality in asked)


modalities_type = _Modalities()


class Number(click.FloatRange):
    """A number in a range. "nan" would pass any, for it is neither below nor above a bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Return the number, which is finite."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


class _Time(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401
        if isinstance(value, datetime):
            return value
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time like 2026-11-23T04:00 (UTC unless it has a zone)", param, ctx)
        return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


time_type = _Time()


def workspace_option(command: Command) -> Command:
    """Add -C/--workspace; the command gets a Workspace as `workspace`, which is in a folder."""
    return _workspace_option(_WorkspaceParam(in_store=False), "The workspace's folder.")(command)


def stored_workspace_option(command: Command) -> Command:
    """Add -C/--workspace; the command gets a Workspace as `workspace`, in a folder or in an object store."""
    return _workspace_option(_WorkspaceParam(in_store=True), "The workspace's folder or URL (s3://bucket/prefix).")(
        command
    )


def _workspace_option(kind: _WorkspaceParam, text: str) -> Callable[[Command], Command]:
    return click.option(
        "-C", "--workspace", type=kind, default=".", envvar="GEOTAG_WORKSPACE", show_default=True, help=text
    )


def format_option(*formats: str) -> Callable[[Command], Command]:
    """Add --format with the given choices, the first one being the default."""
    return click.option(
        "--format", "format_", type=click.Choice(formats), default=formats[0], show_default=True, help="Output format."
    )


def out_argument(command: Command) -> Command:
    """Add the argument OUT, a file's name or "-" for standard output."""
    return click.argument("out", metavar="OUT", type=click.Path(dir_okay=False, allow_dash=True))(command)


def out_format_option(*formats: str) -> Callable[[Command], Command]:
    """Add --format with the given choices, None where OUT's name says it; the first is that of standard output."""
    return click.option(
        "--format", "format_", type=click.Choice(formats), help=f"Where OUT's name does not say it; - is {formats[0]}."
    )


def log_format_option(command: Command) -> Command:
    """Add --log-format."""
    return click.option(
        "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Log lines."
    )(command)


def configured(workspace: Workspace, **flags: object) -> Config:
    """Return the workspace's configuration with flags laid over it (`run__chunk_size=512`; None is not given)."""
    return load_config(workspace).with_flags({name.replace("__", "."): value for name, value in flags.items()})
