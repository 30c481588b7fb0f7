"""`geotag export`: what the archive's site takes."""

from datetime import datetime

import click

from geotag_batch.run.export_labels import ExportedLabels, LabelExport, export_labels
from geotag_batch.workspace import Workspace

from .options import Number, configured, out_argument, out_format_option, time_type, workspace_option
from .say import say


@click.group()
def command() -> None:
    """Write labels for the archive's site. docs/exchange.md has the formats, column by column."""


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> str | datetime | None:
    """Return a time where `value` is one; what it is otherwise the export itself knows."""
    try:
        return None if value is None else time_type.convert(value, param, ctx)
    except click.BadParameter:
        return value


@command.command()
@workspace_option
@out_argument
@out_format_option("jsonl", "csv", "parquet")
@click.option("--min-score", type=Number(0, 1), default=0.2, show_default=True, help="Labels over this score.")
@click.option("--since", metavar="WHEN", callback=_since, help="Only photos whose labels may have changed since: last "
              "(the last export of this kind), a run_id, or a time (UTC unless it has a zone).")  # fmt: skip
@click.option("--remember", is_flag=True, help="Have the next --since last begin here; it does so itself.")
@click.option("--consumer", default="site", show_default=True, help="Whose --since last it is.")
@click.option("--with-source", is_flag=True, help="A column more: head, accepted or added.")
def labels(workspace: Workspace, out: str, format_: str | None, **wanted: str | float | bool | datetime | None) -> None:
    """Write image id, label and score to OUT: .jsonl, .csv (.gz too) or .parquet; - is standard output.

    They are the tags of the head in use over --min-score; a tag that people rejected is left out, one that they
    accepted or added has score 1. A photo without any has a row None, one that could not be read a row Failed. With
    --since all labels of a changed photo are there, and take the place of all that was known of it; --since last adds a
    row Withdrawn for a photo that the catalogue has no more.
    """
    done = export_labels(workspace, configured(workspace), out, LabelExport(**wanted), format_)  # type: ignore[arg-type]
    say(_told(out, done), err=True)


def _told(out: str, done: ExportedLabels) -> str:
    what = "everything" if done.complete else "what has changed"
    gone = f", {done.withdrawn:,} Withdrawn" if done.withdrawn else ""
    return (
        f"{out}: {what} by head {done.head_id}: {done.photos:,} photos, {done.labels:,} labels, {done.none:,} None, "
        f"{done.failed:,} Failed{gone}; people confirmed {done.confirmed:,} of the labels and rejected "
        f"{done.rejected:,} more"
    )
