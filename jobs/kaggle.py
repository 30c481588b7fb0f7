"""`geotag kaggle submission`: the competition's file from a head."""

from pathlib import Path
from typing import Any

import click

from geotag_batch.run.kaggle import Submission, write_submission
from geotag_batch.workspace import Workspace

from .options import configured, workspace_option
from .say import say

__all__ = ["command"]


@click.group()
def command() -> None:
    """Write files for the Kaggle competition on Geograph's tags."""


@command.command()
@workspace_option
@click.argument("head", required=False)
@click.option("--test-ids", type=click.Path(path_type=Path), required=True, help="The competition's test.csv.")
@click.option("--like", type=click.Path(path_type=Path), help="Check the columns against its train.csv, zipped or not.")
@click.option("--missing-as", metavar="TAG", help="Give test photos without embedding this tag, instead of an error.")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), default="submission.csv.zip",
              show_default=True, help="The zipped CSV to write.")  # fmt: skip
def submission(workspace: Workspace, **flags: Any) -> None:  # noqa: ANN401
    """Write what HEAD (by default the one in use) says of the test photos, from their stored embeddings.

    One row for each test id, in their order, with 0 or 1 for each tag and at least one 1.
    """
    report = write_submission(workspace, configured(workspace), Submission(**flags))
    if report.missing:
        say(f"{report.missing:,} photos without embedding got the tag {flags['missing_as']!r}")
    say(f"written: {report.path}: {report.photos:,} photos by {report.head_id}, "
               f"{report.tags_per_photo:.2f} tags each")  # fmt: skip
