"""`geotag precision-check`: whether a faster number format gives the same tags on this archive."""

import json
from dataclasses import asdict

import click

from geotag_batch.run.settle import check_now
from geotag_batch.workspace import Workspace

from .options import configured, format_option, workspace_option
from .say import say


@click.command()
@workspace_option
@click.option("--precision", type=click.Choice(["bfloat16", "float16", "int8", "float32"]), default="bfloat16",
              show_default=True, help="What to compare with float32.")  # fmt: skip
@click.option("--photos", type=click.IntRange(min=1), default=400, show_default=True, help="On how many photos.")
@click.option("--device", help="auto, cpu, cuda, cuda:1 or mps (encoder.device).")
@format_option("text", "json")
def command(workspace: Workspace, precision: str, photos: int, device: str | None, format_: str) -> None:
    """Compare a faster number format with float32 on the archive's own photos, under the head in use.

    With `images.decode = "scaled"` the faster side decodes so too, float32's at full size; `--precision float32` then
    shows what the decoding alone changes.

    What it finds is what `encoder.precision = "auto"` goes by from then on.
    """
    config = configured(workspace, encoder__device=device)
    check = check_now(workspace, config, precision, photos)
    if format_ == "json":
        say(json.dumps(asdict(check), indent=1))
        return
    decoded = "" if check.decode == "full" else f", {check.decode} decoding,"
    say(f"{check.precision}{decoded} against float32 on {check.photos} photos, head {check.head_id}:")
    say(f"  same tags: {check.same_tags:.2%} (encoder.min_agreement is {config.encoder.min_agreement:.2%})")
    say(f"  largest difference of a score: {check.score_difference:.4f}")
    say(f"  encoding them was {check.speedup:.1f} times as fast")
    for name, least, median in (
        ("image", check.image_cosine_least, check.image_cosine_median),
        ("title", check.title_cosine_least, check.title_cosine_median),
    ):
        say(f"  cosine of {name} embeddings: at least {least:.6f}, median {median:.6f}")
