"""The group `geotag`: lazy sub-commands, logging, and the one place where errors become exit codes."""

import atexit
import contextlib
import difflib
import errno
import importlib
import io
import os
import signal
import sys
import traceback

import click

from geotag_batch import __version__
from geotag_batch.errors import GeotagError, StorageError

from .say import say

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "init": "make a workspace: a folder with a commented geotag.toml",
    "doctor": "look whether this machine and the workspace are fit for a run",
    "ingest": "turn an archive's dumps into the catalogue",
    "plan": "show what a backfill would do and why, without doing it",
    "backfill": "tag pending photos, chunk by chunk",
    "embed": "embed photos without a head, for training",
    "status": "show what is done, pending and failed",
    "report": "tell what a run did, fit for a mail",
    "views": "rebuild review.duckdb, the views over everything committed",
    "query": "run one SELECT over the views",
    "search": "find photos by a text or by another photo, from stored embeddings",
    "explain": "tell the whole story of one photo",
    "review": "look at predictions and decide, in a browser",
    "verify": "re-read everything committed and report what is wrong",
    "prune": "remove what belongs to named heads, encoders or withdrawn photos",
    "compact": "merge small files into large ones",
    "precision-check": "compare a faster number format with float32 on the archive's photos",
    "heads": "import, list, show and choose heads",
    "decisions": "import, export and merge what people decided",
    "export": "write labels for the archive's site, all or what has changed",
    "embeddings": "import vectors that exist already, and export stored ones",
    "describe": "draw what the catalogue holds: tags, titles, places",
    "train": "train a head on the tagged photos",
    "evaluate": "show how good heads are, and whether one is better than another",
    "experiment": "train and compare the paper's grid of heads",
    "kaggle": "write the competition's file from a head",
    "demo": "draw a small archive and run the whole job on it",
}
"""Each sub-command with its line in `geotag --help`; the module jobs/<name>.py is imported when it is used."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name.replace('-', '_')}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does; for an unknown one name the nearest."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            matches = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            ctx.fail(f"no such command: {args[0]}{f'; did you mean {matches[0]}?' if matches else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="geotag")
def cli() -> None:
    """Tag the untagged photos of an archive with frozen CLIP and a trained head, night after night.

    Exit codes: 0 done or window over, 1 verify found something or doctor warns, 2 usage, 3 configuration, 4 input,
    5 model, 6 failure budget, 70 a bug of ours, 75 locked, 128 + n stopped by signal n.
    """


def main() -> None:
    """Run the command line; every error that is not a bug becomes one message and an exit code."""
    atexit.register(_end_in_silence)  # the first to be registered is the last to be called
    try:
        code = cli.main(prog_name="geotag", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        _say(shown.getvalue().rstrip("\n"))
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("geotag: interrupted")
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    except GeotagError as error:
        code = _explain(error)
    except Exception as error:  # noqa: BLE001  the last resort: say that it is our bug, with the traceback to report
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:  # standard output, for one, may be a file too
            code = _explain(StorageError(f"cannot write: {error}", hint="free space, then start again"))
        else:
            _say(traceback.format_exc())
            _say("geotag: this is a bug in geotag-batch; please report the lines above")
            code = GeotagError.exit_code
    sys.exit(code if isinstance(code, int) else 0)


def _end_in_silence() -> None:
    """Keep from standard error what native code has to say while the interpreter is taken down.

    Where torch keeps objects alive to the very end, DuckDB's bindings list theirs as leaked: forty lines, and from cron
    a mail, each night.
    """
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


def _explain(error: GeotagError) -> int:
    _say("geotag: " + error.message.replace("\n", "\n    "))
    if error.hint:
        _say(f"  try: {error.hint}")
    return error.exit_code


def _say(text: str) -> None:
    """Write to standard error; where it is a file on the full disk that this is about, the exit code has to do."""
    with contextlib.suppress(OSError):
        say(text, err=True)
