"""`geotag doctor`: whether this machine and workspace are fit for a run."""

import sys

import click

from geotag_batch.run.doctor.examine import examine, exit_code
from geotag_batch.run.doctor.text import check_text, checks_json, verdict

from .options import format_option
from .say import say


@click.command()
@click.option(
    "-C",
    "--workspace",
    "folder",
    metavar="FOLDER",
    envvar="GEOTAG_WORKSPACE",
    help="The workspace's folder; without, the current one if it is one.",
)
@format_option("text", "json")
def command(folder: str | None, format_: str) -> None:
    """Look whether this machine and the workspace are fit for a run, and say what to do where they are not.

    Python, processor, memory, disk, file system, clock, catalogue, images, head, views, torch, weights: each is ok, a
    warning or a problem. Nothing is fetched from the network but the heads of a few images where their root is a URL,
    and nothing is changed. The exit code is 0 if all is well, 1 if there are warnings, and for a problem the one that a
    run would end with.
    """
    checks = []
    for check in examine(folder):
        checks.append(check)
        if format_ == "text":
            say(check_text(check))
    say(checks_json(checks) if format_ == "json" else verdict(checks))
    sys.exit(exit_code(checks))
