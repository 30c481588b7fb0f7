"""`geotag embeddings`: vectors from and to files."""

import sys
from pathlib import Path

import click

from geotag_batch.run.export_embeddings import export_embeddings
from geotag_batch.run.import_embeddings import ImportedVectors, import_embeddings
from geotag_batch.run.report import configure_logging
from geotag_batch.workspace import Workspace

from .options import configured, log_format_option, out_argument, out_format_option, workspace_option
from .say import say

_FILES = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Import and export embeddings, so that what an archive has already is never computed again.

    docs/exchange.md has the formats, column by column.
    """


@command.command("import")
@workspace_option
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=_FILES)
@click.option("--encoder", metavar="NAME", help="Whose vectors these are, where FILES do not say: openai, head (that "
              "of the head in use) or an encoder_id known here.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Take vectors that differ from stored ones, which stay otherwise.")
@click.option("--check", is_flag=True, help="Encode some of the photos with the configured encoder first, and refuse "
              "other vectors than it makes.")  # fmt: skip
@log_format_option
def import_(
    workspace: Workspace, files: tuple[Path, ...], encoder: str | None, replace: bool, check: bool, log_format: str
) -> None:
    """Commit the vectors of FILES, JSON lines (.gz too) or Parquet (.parquet), as embeddings.

    A line has gridimage_id, type (image or title) and embedding: base64 of float32, little endian. Lines that cannot be
    used go to rejected/, with the reason. An import that was interrupted is finished by the same command.
    """
    configure_logging(log_format)
    done = import_embeddings(workspace, configured(workspace), files, encoder, replace=replace, check=check)
    _print_import(workspace, done)
    sys.exit(done.record.exit_code)


@command.command()
@workspace_option
@out_argument
@out_format_option("jsonl", "parquet")
@click.option("--encoder", metavar="NAME", help="openai, head or an encoder_id; by default the one that there is.")
def export(workspace: Workspace, out: str, format_: str | None, encoder: str | None) -> None:
    """Write the newest embedding of each photo to OUT: .jsonl, .jsonl.gz or .parquet; - is standard output.

    Vectors are float32, to which the stored float16 widens exactly. `import` takes the file.
    """
    done = export_embeddings(workspace, configured(workspace), out, format_, encoder)
    say(f"{out}: {done.photos:,} photos, {done.images:,} images and {done.titles:,} titles of {done.encoder_id}",
        err=True)  # fmt: skip


def _print_import(workspace: Workspace, done: ImportedVectors) -> None:
    record = done.record
    reason = f" ({record.stop_reason}; the same command goes on)" if record.stop_reason else ""
    name = f"run {record.run_id}" if record.chunks else "nothing committed"  # and then there is no record of the run
    say(f"{name}: {record.status}{reason}; encoder {record.encoder_id}")
    say(f"  {done.vectors:,} vectors of {record.pending:,} photos: {done.taken:,} taken, "
        f"{done.known:,} stored already, {done.kept:,} other than stored and left")  # fmt: skip
    if done.images_only or done.titles_only:
        say(f"  photos without the other vector: {done.images_only:,} have an image alone, "
            f"{done.titles_only:,} a title; a backfill encodes what the head needs")  # fmt: skip
    if done.checked:
        say(f"  checked: {done.checked}")
    if done.compared:
        say(f"  {done.compared:,} vectors agreed with stored ones of the same photos")
    for why, count in done.refused.most_common():
        say(f"  {count:,} refused: {why}")
    if done.rejected_file:
        say(f"  refused lines: {done.rejected_file.relative_to(workspace.root)}")
    rate = f", {record.embedded / max(record.seconds, 1e-9):,.0f} photos/s" if record.chunks else ""
    say(f"  {record.seconds:.1f} s{rate}")
