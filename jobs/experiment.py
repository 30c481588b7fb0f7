"""`geotag experiment`: train and compare the paper's grid of heads."""

import sys
from pathlib import Path
from typing import Any

import click

from geotag_batch.encode.speed import fastest_precision
from geotag_batch.read.ids import read_ids
from geotag_batch.run.experiment import Experiment, ExperimentReport, run_experiment
from geotag_batch.workspace import Workspace

from .options import configured, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--grid", type=click.Choice(["paper"]), default="paper", show_default=True, help="What to train.")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many epochs for each head (200).")
@click.option("--patience", type=click.IntRange(min=1), help="Stop a head after so many without a better one (10).")
@click.option("--max-tags", type=click.IntRange(min=1), help="Leave out photos with more tags than this (5).")
@click.option("--without-decisions", is_flag=True, help="Learn from contributors' tags alone.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the split and of training.")
@click.option("--validation-ids", type=click.Path(path_type=Path), help="Hold out the ids in FILE, one a line.")
@click.option("--encoder", help="encoder_id to learn from, where embeddings of several are stored.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted experiment has done.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the table and figure; by "
              "default reports/experiment in the workspace.")  # fmt: skip
def command(workspace: Workspace, grid: str, **flags: Any) -> None:  # noqa: ANN401
    """Train linear heads and MLPs on every set of modalities, with and without MixUp (28 heads), and compare them.

    The heads share reading and shuffling; each is saved and can be used. One table, beside the paper's numbers, is
    written as Parquet and Markdown, and drawn. An interrupted experiment goes on: start the same command again.
    """
    changes = {name: flags[name] for name in ("epochs", "patience", "max_tags", "seed") if flags[name] is not None}
    changes["gradients"] = fastest_precision()
    held_out = read_ids(flags["validation_ids"]) if flags["validation_ids"] else None
    out = flags["out"] or workspace.reports / "experiment"
    decisions = not flags["without_decisions"]
    experiment = Experiment(out, changes, flags["encoder"], held_out, flags["restart"], decisions)
    report = run_experiment(workspace, configured(workspace), experiment)
    say(_summary(report))
    sys.exit(report.exit_code)


def _summary(report: ExperimentReport) -> str:
    if report.signal is not None:
        return "stopped; start the same command again to go on"
    lines = [f"{'recipe':26} macro F1  subset accuracy  epochs  (paper: F1, accuracy)"]
    lines += [
        f"{row['recipe']:26} {row['macro_f1']:8.3f}  {row['subset_accuracy']:15.3f}  {row['epochs']:6}  "
        f"({row['paper_macro_f1']:.3f}, {row['paper_subset_accuracy']:.3f})"
        for row in report.rows
    ]
    return "\n".join([*lines, *(f"written: {path}" for path in report.files)])
