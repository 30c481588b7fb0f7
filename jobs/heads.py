"""`geotag heads`: import, list, show and choose heads, set or fit their decision policy, calibrate them."""

import json
from pathlib import Path
from typing import Any

import click

from geotag_batch.predict.head import HeadInfo, find_head_id, list_heads, read_head_info
from geotag_batch.run.fit import Aim, calibrate_head, fit_head
from geotag_batch.run.heads import HeadStatements, bundle_heads, import_head, set_policy, use_head
from geotag_batch.train.fit_policy import GOALS
from geotag_batch.workspace import Workspace

from .options import Number, configured, format_option, stored_workspace_option, workspace_option
from .say import say

__all__ = ["command"]


@click.group()
def command() -> None:
    """Import, list, show and choose heads, set or fit their decision policy, calibrate them.

    HEAD is a head_id, the name before its last hyphen, or the beginning of one.
    """


@command.command("import")
@stored_workspace_option
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--type", type=click.Choice(["linear", "mlp"]), help="Kind of head; its name and tensors say it as well.")
@click.option("--modalities", metavar="LIST", help="What it was trained on, such as image,title; default: by its name.")
@click.option("--name", help="First part of the head_id; default: FILE's name.")
@click.option(
    "--encoder",
    default="openai",
    show_default=True,
    help="What it was trained on: openai (the published heads), current (the configured encoder) or an encoder_id.",
)
@click.option("--use", is_flag=True, help="Make it the head in use.")
def import_(workspace: Workspace, file: Path, use: bool, modalities: str | None, **said: Any) -> None:  # noqa: ANN401
    """Import a published head, FILE.pth or FILE.safetensors.

    A name like linear-img-txt-loc-mixup.pth states type and modalities. No code in FILE is run.
    """
    names = tuple(part.strip() for part in modalities.split(",")) if modalities else None
    head = import_head(workspace, configured(workspace), file, HeadStatements(modalities=names, **said))
    say(f"imported {head.head_id}")
    say(_summary(head))
    if use:
        use_head(workspace, head.head_id)
        say("it is the head in use")


@command.command("list")
@stored_workspace_option
@format_option("text", "json")
def list_(workspace: Workspace, format_: str) -> None:
    """List all heads; a star marks the one in use."""
    heads, current = list_heads(workspace), configured(workspace).head.current
    if format_ == "json":
        say(json.dumps([_document(head, current) for head in heads], indent=1, ensure_ascii=False))
        return
    for head in heads:
        say(f"{'*' if head.head_id == current else ' '} {head.head_id}")
        say(_summary(head))
    if not heads:
        say("no heads yet; `geotag heads import FILE.pth` adds one")


@command.command()
@stored_workspace_option
@click.argument("head")
@format_option("text", "json")
def show(workspace: Workspace, head: str, format_: str) -> None:
    """Show everything that is known about HEAD."""
    info = read_head_info(workspace, find_head_id(workspace, head))
    document = _document(info, configured(workspace).head.current)
    if format_ == "json":
        say(json.dumps(document, indent=1, ensure_ascii=False))
        return
    for key, value in document.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        say(f"{key:17} {text}")


@command.command()
@stored_workspace_option
@click.argument("name")
@click.argument("heads", nargs=-1, required=True, metavar="HEAD...")
@click.option("--use", is_flag=True, help="Make it the head in use.")
def bundle(workspace: Workspace, name: str, heads: tuple[str, ...], use: bool) -> None:
    """Make a bundle: a photo that lacks title or location is scored by the best HEAD that does without.

    With run.missing_image = "score" that is so for images too. Predictions say what they were made from.
    """
    info = bundle_heads(workspace, name, heads)
    say(f"bundle {info.head_id}")
    say(_summary(info))
    if use:
        use_head(workspace, info.head_id)
        say("it is the head in use")


@command.command()
@stored_workspace_option
@click.argument("head")
def use(workspace: Workspace, head: str) -> None:
    """Make HEAD the one in use, and rebuild the views for it."""
    info = use_head(workspace, head)
    say(f"in use: {info.head_id}; `geotag plan` shows what it has not predicted yet")


@command.command()
@stored_workspace_option
@click.argument("head")
@click.option("--threshold", type=float, help="A tag is given if its score is over this.")
@click.option("--at-least-one/--abstain", default=None, help="Without any: the tag with the highest score, or no tag.")
def policy(workspace: Workspace, head: str, threshold: float | None, at_least_one: bool | None) -> None:
    """Set HEAD's decision policy; the next backfill decides again, from stored scores."""
    if threshold is None and at_least_one is None:
        raise click.UsageError("give --threshold, --at-least-one or --abstain")
    info = set_policy(workspace, head, threshold=threshold, at_least_one=at_least_one)
    say(f"{info.head_id}: {info.policy.describe()} ({info.policy.policy_id})")


@command.command()
@workspace_option
@click.argument("head")
@click.option("--goal", type=click.Choice(GOALS), required=True, help="What the policy is to be best at.")
@click.option("--precision", type=Number(0, 1, min_open=True), default=0.9, show_default=True,
              help="With --goal precision: the least share of given tags that is right.")  # fmt: skip
@click.option("--by-tag/--one-threshold", default=True, show_default=True, help="A threshold for each tag, or one.")
@click.option("--at-least-one/--abstain", default=True, show_default=True, help="Without any: the best tag, or none.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split; by default the one HEAD was trained with.")
def fit(workspace: Workspace, head: str, **flags: Any) -> None:  # noqa: ANN401
    """Fit HEAD's decision policy on photos that it did not learn from.

    The next backfill decides again, from stored scores.
    """
    report = fit_head(workspace, configured(workspace), head, Aim(**flags))
    _warn(report.warning)
    say(f"{report.head.head_id}: {report.head.policy.describe()} ({report.head.policy.policy_id})")
    say(f"{flags['goal']} on {report.photos:,} photos: {report.before:.4f} before, {report.after:.4f} now")
    if report.never:
        say(f"never over {flags['precision']:g}, so only given by the at-least-one rule: "
                   f"{', '.join(report.never)}")  # fmt: skip
    say("fitted on the photos it is judged by here: a little too good")


@command.command()
@workspace_option
@click.argument("head")
@click.option("--seed", type=click.IntRange(min=0), help="Of the split; by default the one HEAD was trained with.")
def calibrate(workspace: Workspace, head: str, seed: int | None) -> None:
    """Make a head of HEAD whose scores tell how often they are right (temperature scaling).

    It is another head, for its scores are others; its thresholds are scaled as they are, so that its tags are HEAD's.
    """
    report = calibrate_head(workspace, configured(workspace), head, seed)
    _warn(report.warning)
    say(f"temperature {report.temperature:.4f}, fitted on {report.photos:,} photos; expected calibration error "
               f"{report.before:.4f} before, {report.after:.4f} now")  # fmt: skip
    say(f"head {report.head.head_id}")


def _warn(text: str | None) -> None:
    if text is not None:
        say(f"warning: {text}", err=True)


def _summary(head: HeadInfo) -> str:
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in head.metrics.items()) or "none known"
    members = f"\n    of {', '.join(head.members)}" if head.members else ""
    return (
        f"    {head.type} on {' + '.join(head.modalities)}; {head.policy.describe()}\n"
        f"    encoder {head.encoder_id} ({head.encoder_declared})\n"
        f"    metrics {metrics}{members}"
    )


def _document(head: HeadInfo, current: str | None) -> dict[str, object]:
    return {"in_use": head.head_id == current, "policy_id": head.policy.policy_id, **head.to_json()}
