"""The log file of a run: moved by logrotate, in a folder that is not there, on a full disk."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from geotag_batch.errors import StorageError
from geotag_batch.run.report import configure_logging

logger = logging.getLogger("geotag")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    yield
    for handler in logger.handlers:
        handler.close()
    logger.handlers = []


def test_a_log_that_is_moved_goes_on_in_a_new_file_after_what_is_there(tmp_path: Path) -> None:
    log, moved = tmp_path / "geotag.log", tmp_path / "geotag.log.1"
    log.write_text("last night's\n")
    configure_logging("json", log)
    logger.info("before")
    log.rename(moved)
    logger.info("after")
    old, new = moved.read_text(encoding="utf-8").splitlines(), log.read_text(encoding="utf-8").splitlines()
    assert (old[0], json.loads(old[1])["message"]) == ("last night's", "before")
    assert [json.loads(line)["message"] for line in new] == ["after"]


def test_a_log_that_cannot_be_opened_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot open the log .*No such file") as raised:
        configure_logging("text", tmp_path / "gone" / "geotag.log")
    assert raised.value.hint


def test_a_log_on_a_full_disk_is_said_once_and_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", Path("/dev/full"))
    logger.info("one")
    logger.info("two")
    said = capsys.readouterr().err
    assert said == "geotag: cannot write the log /dev/full: [Errno 28] No space left on device\n"
