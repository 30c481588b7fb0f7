"""The model card of a trained head: heads/<head_id>/README.md, and curves.png beside it, for people."""

from collections.abc import Sequence

from geotag_batch import atomic
from geotag_batch.draw.figure import figure_png
from geotag_batch.draw.training import draw_curves
from geotag_batch.predict.head import HeadInfo
from geotag_batch.train.learner import Epoch
from geotag_batch.workspace import Workspace

__all__ = ["write_model_card"]


def write_model_card(workspace: Workspace, info: HeadInfo, history: Sequence[Epoch]) -> None:
    """Write a head's model card and training curves. Raises StorageError if the disk refuses."""
    folder = workspace.head_dir(info.head_id)
    best = int(info.provenance["best_epoch"])
    curves = [(epoch.loss, epoch.subset_accuracy, epoch.macro_f1) for epoch in history]
    figure = draw_curves(curves, best, info.name)
    atomic.write_bytes(figure_png(figure), folder / "curves.png", workspace.staging, replace=True)
    lines = ["epoch,loss,subset_accuracy,macro_f1"]
    lines += [f"{epoch.number},{epoch.loss!r},{epoch.subset_accuracy!r},{epoch.macro_f1!r}" for epoch in history]
    atomic.write_bytes("".join(f"{line}\n" for line in lines).encode(), folder / "curves.csv", workspace.staging,
                       replace=True)  # fmt: skip
    atomic.write_bytes(_card(info).encode(), folder / "README.md", workspace.staging, replace=True)


def _card(info: HeadInfo) -> str:
    made, recipe = info.provenance, info.provenance["recipe"]
    left_out = "".join(f"- left out: {count:,} {why}\n" for why, count in made["photos_left_out"].items() if count)
    untaught = ", ".join(made["tags_without_photos"])
    metrics = "".join(f"| {name.replace('_', ' ')} | {value:.4f} |\n" for name, value in info.metrics.items())
    return f"""# {info.head_id}

A {"linear layer" if info.type == "linear" else "multilayer perceptron (256 hidden units)"} from
{" + ".join(info.modalities)} to scores of {len(info.tags)} Geograph context tags. It takes embeddings of the encoder
`{info.encoder_id}`, raw and as stored, and of no other encoder.

## How well it does

On {made["photos_to_validate"]:,} photos that it did not learn from, under its decision policy when it was trained
({info.policy.describe()}). Macro F1 is over the tags that occur there.

| measure | value |
| --- | --- |
{metrics}
The best epoch was chosen on the same photos, so that these numbers are a little too good. `curves.png` and
`curves.csv` hold the epochs; `geotag evaluate {info.head_id}` says more.

## What it learned from

- {made["photos_to_train"]:,} photos with their contributors' tags, SHA-256 of ids, tags and vectors
  `{made["photos_sha256"]}`
{_decisions(info)}{left_out}{f"- no photo to learn from for: {untaught}" if untaught else "- photos of every tag"}

## How

MixUp {"on" if recipe["mixup"] else "off"}, AdamW with learning rate {recipe["learning_rate"]:g} and weight decay
{recipe["weight_decay"]:g}, cosine annealing over {recipe["cosine_epochs"]} epochs, batches of at most
{recipe["batch_size"]}, seed {recipe["seed"]}; epoch {made["best_epoch"]} of {made["epochs"]} is kept (patience
{recipe["patience"]}). Trained at {made["trained_at"]} with {_versions(info)}.

## Limits

Tags are what contributors gave, not all that is in a picture. Photos unlike those it learned from may get wrong tags
with high scores. A photo's location is known to 1 km at best.
"""


def _versions(info: HeadInfo) -> str:
    return ", ".join(f"{name} {info.provenance['software'][name]}" for name in ("geotag-batch", "torch", "numpy"))


def _decisions(info: HeadInfo) -> str:
    used, weight = info.provenance["decisions"], info.provenance["recipe"]["rejected_weight"]
    if not used:
        return ""
    return (
        f"- people's decisions on {used['photos']:,} photos, those held out among them: {used['given']:,} tags given\n"
        f"  and {used['rejected']:,} rejected, which count {weight:g} times; SHA-256 `{used['sha256']}`\n"
    )
