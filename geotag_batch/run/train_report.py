"""How a training tells what it does: a line for each epoch, and a progress bar on a terminal."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from geotag_batch.printable import printable
from geotag_batch.run.stop import Stop
from geotag_batch.train.learner import Epoch, Learner
from geotag_batch.train.trainer import Watch

__all__ = ["TrainReporter"]


class TrainReporter:
    """Follows heads in training, each with its name; writes to standard error."""

    def __init__(self, learners: Sequence[tuple[str, Learner]], *, bar: bool | None = None) -> None:
        """Draw a bar if `bar`, by default on a terminal."""
        self._names = {id(learner): name for name, learner in learners}
        self._learners = [learner for _, learner in learners]
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar = sys.stderr.isatty() if bar is None else bar
        self._progress: Progress | None = None
        self._task = TaskID(0)

    @contextmanager
    def running(self) -> Iterator["TrainReporter"]:
        """Show the bar for the length of a `with` block, and say what is gone on with."""
        for learner in self._learners:
            if learner.history:
                state = "finished before" if learner.finished else "going on"
                self._say(f"{self._names[id(learner)]}: {state} after epoch {len(learner.history)}")
        if not self._bar:
            yield self
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True) as self._progress:
            self._task = self._progress.add_task("", total=1.0)
            yield self
        self._progress = None

    def watch(self, stop: Stop, write_down: Callable[[Learner], None]) -> Watch:
        """Return what the trainer calls; `write_down` is called with each learner after its epoch."""

        def end_epoch(learner: Learner, epoch: Epoch) -> None:
            write_down(learner)
            best = "  best so far" if learner.best is epoch else ""
            self._say(
                f"{self._names[id(learner)]}: epoch {epoch.number:3}  loss {epoch.loss:.4f}  "
                f"subset accuracy {epoch.subset_accuracy:.4f}  macro F1 {epoch.macro_f1:.4f}{best}"
            )

        return Watch(self._step, end_epoch, stop)

    def _step(self, share: float) -> None:
        if self._progress is not None:
            done = min(len(learner.history) for learner in self._learners)
            self._progress.update(self._task, completed=share, description=f"epoch {done + 1}")

    def _say(self, line: str) -> None:
        self._console.print(printable(line), markup=False)
