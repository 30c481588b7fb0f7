"""The demo, from an empty folder to answers. The commands in it are the real ones, each in a process of its own."""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geotag_batch.atomic import write_bytes
from geotag_batch.config import set_key
from geotag_batch.errors import ConfigError, GeotagError, LockedError
from geotag_batch.run.demo.archive import DemoPhoto, draw_images, invent_photos, write_catalogue
from geotag_batch.run.demo.encoder import make_random_encoder
from geotag_batch.run.init import init_workspace
from geotag_batch.run.lock import is_locked
from geotag_batch.taxonomy import tag_index
from geotag_batch.train.metrics import macro_f1, subset_accuracy
from geotag_batch.workspace import Workspace

__all__ = ["Demo", "prepare_folder"]

_MARKER = "drawn-by-geotag-demo"
_SEED = 2506
_CHUNK_SIZE = 60

QUESTIONS = (
    ("Which tags were given most?", "SELECT tag, predicted, contributed FROM tag_counts LIMIT 6"),
    (
        "Where should a person look first?",
        "SELECT gridimage_id, title, tags, round(set_probability, 2) AS sure FROM review_queue LIMIT 5",
    ),
    ("What could not be read?", "SELECT error_class, permanent, count(*) AS photos FROM failures GROUP BY ALL"),
)


def prepare_folder(folder: Path) -> Workspace:
    """Make `folder` an empty workspace for the demo, removing what an earlier demo drew there.

    Raises ConfigError if the folder has anything else in it, LockedError if a demo is writing there.
    """
    workspace = Workspace(folder.expanduser().resolve())
    marker = workspace.root / _MARKER
    if marker.exists():
        if is_locked(workspace):
            raise LockedError(f"another geotag command is writing to {workspace.root}", hint="wait for it to end")
        for path in workspace.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != marker:  # it goes on saying whose folder this is if the removing is interrupted
                path.unlink()
    elif workspace.root.exists() and (not workspace.root.is_dir() or any(workspace.root.iterdir())):
        raise ConfigError(
            f"{workspace.root} is not empty and was not made by `geotag demo`", hint="name a new or an empty folder"
        )
    write_bytes(b"", marker, workspace.staging, replace=True)
    return init_workspace(workspace.root)


class Demo:
    """One demo in `workspace`; `geotag` are the words that start the command line, `say` prints a line."""

    def __init__(self, workspace: Workspace, geotag: Sequence[str], say: Callable[[str], None]) -> None:
        """Keep what every step needs; nothing is done yet."""
        self._workspace, self._geotag, self._say = workspace, list(geotag), say
        self._photos: list[DemoPhoto] = []

    def run(self, count: int) -> None:
        """Tell the whole story with `count` photos. Raises GeotagError if a step does not end as it should."""
        self._draw(count)
        self._learn()
        self._backfill()
        self._ask()
        self._judge()
        self._say_goodbye()

    def _draw(self, count: int) -> None:
        self._head(f"An archive of {count} photos, drawn here")
        self._photos = invent_photos(count, _SEED)
        draw_images(self._photos, self._workspace.root / "images")
        write_catalogue(self._photos, self._workspace)
        tagged = sum(photo.tagged for photo in self._photos)
        broken = Counter(photo.flaw for photo in self._photos if photo.flaw)
        self._say(f"{tagged} are tagged already, {count - tagged} are not. Some images are no good:")
        self._say("  " + ", ".join(f"{number} {flaw}" for flaw, number in sorted(broken.items())) + ".")
        self._say(f"Look at them in {self._workspace.root / 'images'}")

    def _learn(self) -> None:
        self._head("An encoder that knows nothing, and a head that learns")
        make_random_encoder(self._workspace, _SEED)
        set_key(self._workspace, "run.chunk_size", _CHUNK_SIZE)
        set_key(self._workspace, "review.photo_url", "https://archive.example/photo/{gridimage_id}")
        self._say(
            "The encoder is a very small CLIP with seeded RANDOM weights: nothing is downloaded, and it has never"
        )
        self._say("seen a photo. It still tells colours and words apart, which is enough for drawings.")
        self._run("embed", "--tagged")
        self._run("train", "--use")

    def _backfill(self) -> None:
        self._head("A backfill that is interrupted, and goes on")
        self._run("plan")
        self._interrupt_after_first_chunk()
        self._run("status")
        self._run("backfill")
        self._run("verify")

    def _ask(self) -> None:
        self._head("Questions to review.duckdb")
        self._run("views")
        for question, sql in QUESTIONS:
            self._say(question)
            self._run("query", sql)

    def _judge(self) -> None:
        self._head("How good is it?")
        answer = self._output("query", "--format", "json", "SELECT gridimage_id, tags FROM predictions")
        predicted = {row["gridimage_id"]: row["tags"] for row in json.loads(answer)}
        unseen = [photo for photo in self._photos if photo.gridimage_id in predicted and not photo.tagged]
        truth = _labels([photo.tags for photo in unseen])
        usual = Counter(photo.tags for photo in self._photos if photo.tagged).most_common(1)[0][0]
        self._say(f"{len(unseen)} photos were tagged that the head never saw. The demo drew them, so it knows better:")
        self._say("                       whole set of tags right   macro F1")
        for name, tags in (
            ("the head", [predicted[photo.gridimage_id] for photo in unseen]),
            ("most common tag always", [usual] * len(unseen)),
        ):
            chosen = _labels(tags)
            self._say(f"  {name:22} {subset_accuracy(truth, chosen):19.1%} {macro_f1(truth, chosen):12.3f}")

    def _say_goodbye(self) -> None:
        self._head("The same on a real archive")
        for line in _GOODBYE:
            self._say(line)

    def _head(self, text: str) -> None:
        self._say(f"\n== {text}\n")

    def _run(self, *arguments: str) -> None:
        """Show a command and what it prints."""
        self._show_command(arguments)
        for line in self._output(*arguments).splitlines():
            self._say(f"  {line}".rstrip())
        self._say("")

    def _show_command(self, arguments: Sequence[str]) -> None:
        self._say(f"$ geotag {shlex.join(arguments)}")

    def _start(self, arguments: Sequence[str]) -> "subprocess.Popen[str]":
        command, *rest = arguments
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GEOTAG_")}
        environ["OMP_NUM_THREADS"] = "1"  # more threads only slow a model of this size down
        return subprocess.Popen(
            [*self._geotag, command, "-C", str(self._workspace.root), *rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environ,
        )

    def _output(self, *arguments: str) -> str:
        with self._start(arguments) as process:
            output, _ = process.communicate()
        if process.returncode:
            raise GeotagError(f"`geotag {shlex.join(arguments)}` ended with {process.returncode}:\n{output}")
        return output

    def _interrupt_after_first_chunk(self) -> None:
        """Start a backfill and send it SIGTERM as soon as it tells of its first chunk."""
        self._show_command(["backfill"])
        with self._start(["backfill"]) as process:
            for line in process.stdout or ():
                self._say(f"  {line.rstrip()}")
                if "chunk 1 committed" in line:
                    process.send_signal(signal.SIGTERM)
                    self._say("  (here the demo sends it SIGTERM)")
        self._say(f"  (exit code {process.returncode})\n")
        if process.returncode != 128 + signal.SIGTERM:
            raise GeotagError(f"the backfill ended with {process.returncode} instead of being interrupted")


def _labels(photos: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    index = tag_index()
    labels = np.zeros((len(photos), len(index)), np.bool_)
    for row, tags in enumerate(photos):
        labels[row, [index[tag] for tag in tags]] = True
    return labels


_GOODBYE = (
    "Random weights are for drawings. For photos take OpenAI's, which geotag.toml names by default (fetched once,",
    "then kept), and a published head:",
    "",
    "  geotag init archive && cd archive          # then look through geotag.toml",
    "  geotag ingest geograph FOLDER_WITH_DUMPS   # or put your own Parquet under photos/",
    "  geotag heads import mlp-img-txt-mixup.pth --use",
    "  geotag plan                                # what a run would do, and why",
    "  geotag backfill --until 06:30              # every night; it goes on where it stopped",
    "  geotag status",
    "  geotag query 'SELECT * FROM review_queue LIMIT 20'",
)
