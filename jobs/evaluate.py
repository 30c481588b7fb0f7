"""`geotag evaluate`: how good heads are, and whether one is better than another."""

import json
from pathlib import Path
from typing import Any

import click

from geotag_batch.read.ids import read_ids
from geotag_batch.run.evaluate import Question, evaluate
from geotag_batch.run.evaluate_text import summary
from geotag_batch.workspace import Workspace

from .options import configured, format_option, workspace_option
from .say import say


@click.command()
@workspace_option
@click.argument("heads", nargs=-1, required=True, metavar="HEAD...")
@click.option("--ids", type=click.Path(path_type=Path), help="Judge by the labelled ids in FILE, one a line.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split whose validation photos to judge by; by default "
              "the one that the first HEAD was trained with.")  # fmt: skip
@click.option(
    "--max-tags", type=click.IntRange(min=1), default=5, show_default=True, help="Leave out photos with more."
)
@click.option("--without-decisions", is_flag=True, help="Judge by contributors' tags alone.")
@click.option("--resamples", type=click.IntRange(min=100), default=1000, show_default=True, help="For the intervals.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of tables, figures and page; by "
              "default reports/evaluate-HEAD in the workspace.")  # fmt: skip
@format_option("text", "json")
def command(workspace: Workspace, heads: tuple[str, ...], format_: str, **flags: Any) -> None:  # noqa: ANN401
    """Judge each HEAD by photos that it did not learn from, as contributors tagged them and people decided.

    HEAD is a head_id, its name, or the beginning of one. Several heads are judged by the same photos, and compared with
    the first. Numbers are given under each head's own decision policy, which production uses, and under plain 0.5.
    """
    flags["decisions"] = not flags.pop("without_decisions")
    flags["ids"] = read_ids(flags["ids"]) if flags["ids"] else None
    found = evaluate(workspace, configured(workspace), Question(heads, **flags))
    if format_ == "json":
        say(json.dumps(found.document, indent=1, ensure_ascii=False))
        return
    say(summary(found.document))
    say("\n" + "\n".join(f"written: {path}" for path in found.files))
