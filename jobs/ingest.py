"""`geotag ingest`: an archive's dumps become the catalogue."""

from collections.abc import Mapping
from pathlib import Path

import click

from geotag_batch.run.ingest import IngestTotals, ingest
from geotag_batch.workspace import Workspace

from .options import configured, workspace_option
from .say import say

_dumps = click.argument("paths", metavar="FOLDER_OR_FILES...", nargs=-1, required=True, type=click.Path(path_type=Path))


@click.group()
def command() -> None:
    """Turn an archive's dumps into the catalogue, photos/<archive>.parquet, replacing the one before."""


@command.command()
@workspace_option
@_dumps
def kaggle(workspace: Workspace, paths: tuple[Path, ...]) -> None:
    """Read the files of Kaggle's competition, plain, .zip or .gz.

    These are metadata.csv, metadata-extra.csv, train.csv, train-extra.csv and test.csv, as many as there are. Lines
    that cannot be used go to rejected/, with the reason.
    """
    _print_totals(workspace, ingest(workspace, configured(workspace), "kaggle", paths))


@command.command()
@workspace_option
@_dumps
def geograph(workspace: Workspace, paths: tuple[Path, ...]) -> None:
    """Read the dumps of the Geograph site, plain, .zip or .gz.

    These are gridimage_base.tsv, and if they are there gridimage_geo.tsv and the tags as rows of gridimage_id and tag
    (any *tag*.tsv). Only accepted and geograph photos are taken. Lines that cannot be used go to rejected/, with the
    reason.
    """
    _print_totals(workspace, ingest(workspace, configured(workspace), "geograph", paths))


def _print_totals(workspace: Workspace, totals: IngestTotals) -> None:
    for file in totals.files:
        parts = [f"{file.staged:,} taken"]
        parts += [f"{file.left_out.total():,} left out ({_reasons(file.left_out)})"] if file.left_out else []
        parts += [f"{file.rejected.total():,} rejected ({_reasons(file.rejected)})"] if file.rejected else []
        parts += [f"{file.blank:,} blank"] if file.blank else []
        parts += [f"{file.not_utf8:,} read as Latin-1"] if file.not_utf8 else []
        parts += [f"columns ignored: {', '.join(file.ignored_columns)}"] if file.ignored_columns else []
        say(f"{file.path}: {file.lines:,} lines; {'; '.join(parts)}")
    for path in totals.ignored_files:
        say(f"{path}: ignored")
    for kind, count in totals.unmatched.items():
        if count:
            say(f"{kind} of photos that are not in the catalogue: {count:,}")
    written = totals.catalogue
    say(
        f"{totals.catalogue_file.relative_to(workspace.root)}: {written.photos:,} photos; {written.tagged:,} tagged, "
        f"{written.untitled:,} without a title, {written.unlocated:,} without a location, "
        f"{written.bad_grid_references:,} with a grid reference that names no square"
    )
    if totals.rejected_file:
        say(f"rejected lines: {totals.rejected_file.relative_to(workspace.root)}")
    if not totals.in_catalogue:
        say(
            f"photos.path in {workspace.config_file} does not match {totals.catalogue_file}: "
            "change it, or the job will not see these photos",
            err=True,
        )


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in counts.items())
