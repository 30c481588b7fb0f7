"""`geotag prune`: remove what belongs to named heads, encoders or withdrawn photos."""

import click

from geotag_batch.run.prune import PruneRequest, plan_prune, prune
from geotag_batch.run.report import removals_text
from geotag_batch.workspace import Workspace

from .options import configured, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--head", "heads", multiple=True, metavar="ID", help="Remove all predictions of this head.")
@click.option("--encoder", "encoders", multiple=True, metavar="ID", help="Remove all embeddings of this encoder.")
@click.option("--withdrawn", is_flag=True, help="Remove all rows of photos that the catalogue has no more.")
@click.option("--even-current", is_flag=True, help="Allow the head in use.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(workspace: Workspace, dry_run: bool, yes: bool, **named: tuple[str, ...] | bool) -> None:
    """Remove predictions of heads, embeddings of encoders, or rows of withdrawn photos, after saying how much.

    Heads themselves stay: remove a head's folder by hand.
    """
    config = configured(workspace)
    request = PruneRequest(**named)  # type: ignore[arg-type]  # click gives each option its own type
    say(removals_text(plan_prune(workspace, config, request)))
    if dry_run:
        return
    if not yes:
        click.confirm("Remove them for good?", abort=True)
    say(f"removed: {removals_text(prune(workspace, config, request))}")
