"""`geotag train`: train a head on the tagged photos."""

import sys
from pathlib import Path
from typing import Any

import click

from geotag_batch.encode.speed import fastest_precision
from geotag_batch.predict.features import MODALITIES
from geotag_batch.read.ids import read_ids
from geotag_batch.run.heads import use_head
from geotag_batch.run.train import Lesson, TrainReport, train_head
from geotag_batch.train.recipe import Recipe
from geotag_batch.workspace import Workspace

from .options import Number, configured, modalities_type, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--head", type=click.Choice(["linear", "mlp"]), default="linear", show_default=True, help="Kind of head.")
@click.option("--modalities", type=modalities_type, default=",".join(MODALITIES), show_default=True,
              help="What to learn from, separated by commas.")  # fmt: skip
@click.option("--mixup", is_flag=True, help="Learn from mixtures of photos, Beta(0.2, 0.2).")
@click.option("--epochs", type=click.IntRange(min=1), help="At most so many epochs (200).")
@click.option("--patience", type=click.IntRange(min=1), help="Stop after so many without a better one (10).")
@click.option("--batch-size", type=click.IntRange(min=1), help="At most so many photos in a batch (4096).")
@click.option("--learning-rate", type=Number(min=0, min_open=True), help="By default the paper's.")
@click.option("--weight-decay", type=Number(min=0), help="By default the paper's.")
@click.option("--rejected-weight", type=Number(min=0), help="How much a tag that people rejected counts (2).")
@click.option("--without-decisions", is_flag=True, help="Learn from contributors' tags alone.")
@click.option("--max-tags", type=click.IntRange(min=1), help="Leave out photos with more tags than this (5).")
@click.option(
    "--gradients",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Rounding of the products in gradients: bfloat16 where the CPU is clearly faster with it.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the split and of training.")
@click.option("--validation-ids", type=click.Path(path_type=Path), help="Hold out the ids in FILE, one a line.")
@click.option("--name", help="The head's name; by default it tells kind, modalities and MixUp.")
@click.option("--encoder", help="encoder_id to learn from, where embeddings of several are stored.")
@click.option("--restart", is_flag=True, help="Throw away what an interrupted training has done.")
@click.option("--use", is_flag=True, help="Make the trained head the current one.")
def command(workspace: Workspace, use: bool, **flags: Any) -> None:  # noqa: ANN401
    """Train a head on the tagged photos' stored embeddings, by the paper's recipe.

    Tags that people accepted or added count as contributors' do; those that they rejected count as certain not to be.
    A fifth of the photos, chosen by a hash of their ids, is held out to judge by; the best epoch is kept. An
    interrupted training goes on where it stopped: start the same command again.
    """
    report = train_head(workspace, configured(workspace), _lesson(flags))
    say(_summary(report))
    if use and report.head is not None:
        use_head(workspace, report.head.head_id)
        say("it is the current head now")
    sys.exit(report.exit_code)


def _lesson(flags: dict[str, Any]) -> Lesson:
    names = ("modalities", "mixup", "epochs", "patience", "batch_size", "learning_rate", "weight_decay", "max_tags",
             "rejected_weight", "seed")  # fmt: skip
    given = {name: flags[name] for name in names if flags[name] is not None}
    gradients = fastest_precision() if flags["gradients"] == "auto" else flags["gradients"]
    recipe = Recipe.published(flags["head"], gradients=gradients, **given)
    held_out = read_ids(flags["validation_ids"]) if flags["validation_ids"] else None
    decisions = not flags["without_decisions"]
    return Lesson(recipe, flags["name"], flags["encoder"], held_out, flags["restart"], decisions)


def _summary(report: TrainReport) -> str:
    examples, lines = report.photos.examples, []
    lines += [f"left out: {count:,} tagged photos {why}" for why, count in report.photos.left_out.items() if count]
    used = report.photos.decisions
    if used:
        lines.append(
            f"decisions on {used.photos:,} photos: {used.given:,} tags given ({used.added:,} by nobody else), "
            f"{used.rejected:,} rejected ({used.removed:,} of them contributors')"
        )
    if report.photos.unknown_tags:
        some = ", ".join(f"{tag!r} ({count:,})" for tag, count in list(report.photos.unknown_tags.items())[:5])
        lines.append(f"not learned, for they are none of the 49 tags: {some}")
    if report.photos.untaught:
        lines.append(f"no photo to learn from, so never to be given: {', '.join(report.photos.untaught)}")
    if report.head is None:
        return "\n".join([*lines, f"stopped after epoch {report.epochs}; start the same command again to go on"])
    metrics = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in report.head.metrics.items())
    lines.append(
        f"learned from {len(examples.training):,} photos in {report.epochs} epochs; "
        f"judged by {len(examples.validation):,}"
    )
    return "\n".join([*lines, f"head {report.head.head_id}: {metrics}"])
