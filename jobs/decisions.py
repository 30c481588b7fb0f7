"""`geotag decisions`: what people decided, from and to files."""

from pathlib import Path

import click

from geotag_batch.run.decisions import ImportTotals, export_decisions, import_decisions
from geotag_batch.workspace import Workspace
from geotag_batch.write.compaction import GRACE, compact_decisions

from .options import configured, workspace_option
from .say import say

_file = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def command() -> None:
    """Import, export and merge decisions: what people accepted, rejected, added and withdrew.

    A nightly run neither minds nor hinders these commands.
    """


@command.command("import")
@workspace_option
@_file
@click.option("--reviewer", metavar="NAME", help="Who decided, where FILE does not say.")
@click.option("--source", default="import", show_default=True, help="Where from, where FILE does not say.")
def import_(workspace: Workspace, file: Path, reviewer: str | None, source: str) -> None:
    """Append the decisions of FILE, CSV or Parquet, in one step.

    It needs the columns gridimage_id, tag and decision (accept, reject, add or withdraw), and knows reviewer,
    decided_at (ISO 8601), head, policy_id, run_id, score and source. What is here already is not taken twice. Rows that
    cannot be used, and words older than what is decided now, go to rejected/, with the reason.
    """
    _print_totals(workspace, file, import_decisions(workspace, configured(workspace), file, reviewer=reviewer,
                                                    source=source))  # fmt: skip


@command.command()
@workspace_option
@_file
@click.option("--newest", is_flag=True, help="Only what is decided now, not what was overtaken or withdrawn.")
def export(workspace: Workspace, file: Path, newest: bool) -> None:
    """Write all decisions to FILE, which ends in .csv or .parquet; `import` takes it."""
    count = export_decisions(workspace, configured(workspace), file, newest=newest)
    say(f"{file}: {count:,} decisions")


@command.command()
@workspace_option
@click.option("--now", is_flag=True, help="Remove merged files at once: nobody is reading.")
def compact(workspace: Workspace, now: bool) -> None:
    """Merge the small files of decisions into one.

    The small ones stay ten minutes more for readers who have listed them, and go with the next call after that.
    """
    done = compact_decisions(workspace, grace=0 if now else GRACE)
    if done.merged:
        say(f"{done.merged:,} files merged into one of {done.decisions:,} decisions")
    if done.removed:
        say(f"{done.removed:,} merged files removed")
    if done.left:
        say(
            f"{done.left:,} merged files stay for those who read them now; "
            "`geotag decisions compact` removes them from ten minutes later on"
        )
    if not (done.merged or done.removed or done.left):
        say("nothing to merge")


def _print_totals(workspace: Workspace, file: Path, totals: ImportTotals) -> None:
    say(
        f"{file}: {totals.rows:,} rows; {totals.taken:,} taken, {totals.known:,} known already, "
        f"{len(totals.refused):,} refused"
    )
    for line, reason in totals.refused[:5]:
        say(f"  line {line}: {reason}")
    if totals.rejected_file:
        say(f"refused rows: {totals.rejected_file.relative_to(workspace.root)}")
    if totals.ignored_columns:
        say(f"columns ignored: {', '.join(totals.ignored_columns)}")
