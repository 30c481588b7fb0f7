"""What tests of the command line share: a command run in this process, as `geotag` runs it."""

import io
import logging
from collections.abc import Callable

import pytest

from geotag_batch.workspace import Workspace
from jobs.cli import main

Geotag = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_geotag(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Geotag:
    """Run a command in the workspace; return exit code, output and errors.

    Where it sends its log is undone after the test: standard error is another one in the next.
    """
    logger = logging.getLogger("geotag")
    monkeypatch.setattr(logger, "handlers", logger.handlers)
    monkeypatch.setattr(logger, "propagate", logger.propagate)
    monkeypatch.setattr(logger, "level", logger.level)

    def run(command: str, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["geotag", *command.split(), "-C", str(workspace.root), *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return run
