"""`geotag train`: train a linear head on the tagged photos."""

from typing import Any

import click

from geotag_batch.predict.features import MODALITIES
from geotag_batch.run.heads import use_head
from geotag_batch.run.train import Lesson, TrainReport, train_head
from geotag_batch.train.trainer import Epoch, Recipe
from geotag_batch.workspace import Workspace

from .options import configured, workspace_option


class _Modalities(click.ParamType[tuple[str, ...]]):
    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:  # noqa: ANN401
        asked = [part.strip() for part in value.split(",")]
        unknown = [part for part in asked if part not in MODALITIES]
        if unknown:
            self.fail(f"{unknown[0]!r} is none of {', '.join(MODALITIES)}", param, ctx)
        return tuple(modality for modality in MODALITIES if modality in asked)


@click.command()
@workspace_option
@click.option(
    "--modalities",
    type=_Modalities(),
    default=",".join(MODALITIES),
    show_default=True,
    help="What to learn from, separated by commas.",
)
@click.option("--epochs", type=click.IntRange(min=1), default=200, show_default=True, help="At most so many epochs.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the split and of training.")
@click.option("--name", help="The head's name; by default it tells the modalities.")
@click.option("--encoder", help="encoder_id to learn from, where embeddings of several are stored.")
@click.option("--use", is_flag=True, help="Make the trained head the current one.")
def command(workspace: Workspace, use: bool, **flags: Any) -> None:  # noqa: ANN401
    """Train a linear head on the tagged photos' stored embeddings.

    A fifth of the photos, chosen by a hash of their ids, is held out to judge by; the best epoch is kept.
    """
    recipe = Recipe(epochs=flags["epochs"], seed=flags["seed"])
    lesson = Lesson(flags["modalities"], recipe, flags["name"], flags["encoder"])
    report = train_head(workspace, configured(workspace), lesson, _show)
    _print(report)
    if use:
        use_head(workspace, report.head.head_id)
        click.echo("it is the current head now")


def _show(epoch: Epoch) -> None:
    if epoch.number % 10 == 1:
        click.echo(
            f"epoch {epoch.number:3}: loss {epoch.loss:.4f}, subset accuracy {epoch.subset_accuracy:.3f}, "
            f"macro F1 {epoch.macro_f1:.3f}"
        )


def _print(report: TrainReport) -> None:
    for reason, count in report.left_out.items():
        if count:
            click.echo(f"left out: {count:,} tagged photos {reason}")
    metrics = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in report.head.metrics.items())
    click.echo(f"learned from {report.training:,} photos in {report.epochs} epochs; judged by {report.validation:,}")
    click.echo(f"head {report.head.head_id}: {metrics}")
