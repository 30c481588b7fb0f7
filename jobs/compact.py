"""`geotag compact`: merge small files into large ones."""

import click

from geotag_batch.run.compact import CompactRequest, compact, compacted_text, groups_text, plan_compact
from geotag_batch.workspace import Workspace
from geotag_batch.write.merging import GRACE, MARGIN, TARGET_ROWS

from .options import configured, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--target-rows", type=click.IntRange(min=2), default=TARGET_ROWS, show_default=True,
              help="Rows of a merged file; files of half as many are left alone.")  # fmt: skip
@click.option("--margin", type=click.FloatRange(min=0), default=MARGIN, show_default=True,
              metavar="SECONDS", help="Until a merged file counts.")  # fmt: skip
@click.option("--grace", type=click.FloatRange(min=0), default=GRACE, show_default=True,
              metavar="SECONDS", help="Until the files in it may be removed, from then on.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be merged.")
def command(workspace: Workspace, dry_run: bool, target_rows: int, margin: float, grace: float) -> None:
    """Merge small files of predictions, embeddings and failures into large ones.

    A night's run commits thousands of them, and every query opens them all. Queries and reviewers may go on meanwhile.
    The small files stay ten minutes for those who have listed them; the next call after that, or the next run, removes
    them. Both need room on the disk until then.
    """
    request = CompactRequest(target_rows, margin, grace)
    if dry_run:
        say(groups_text(plan_compact(workspace, request)))
        return
    say(compacted_text(compact(workspace, configured(workspace), request)))
