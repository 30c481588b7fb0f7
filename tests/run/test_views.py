"""When the views are made anew: on request, and by a run whenever they would not show what is committed."""

from collections.abc import Callable

import pytest

from geotag_batch.config import Config
from geotag_batch.errors import LockedError
from geotag_batch.run import views
from geotag_batch.run.lock import hold_lock
from geotag_batch.run.views import remake_views
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def test_the_views_are_made_on_request_and_named(workspace: Workspace) -> None:
    assert "review_queue" in remake_views(workspace, Config())
    assert workspace.database.exists()


def test_the_views_are_not_made_under_a_command_that_writes(workspace: Workspace) -> None:
    with hold_lock(workspace), pytest.raises(LockedError):
        remake_views(workspace, Config())
    assert not workspace.database.exists()


def test_a_run_with_nothing_to_do_still_mends_missing_views(archive: Make) -> None:
    made = archive(2)
    made.backfill()
    made.workspace.database.unlink()
    assert made.backfill().photos == 0
    assert made.rows("SELECT count(*) FROM predictions") == [(2,)]


def test_a_run_remakes_the_views_once_for_each_dataset_that_gets_its_first_file(
    archive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(14)  # chunks of five
    made.image(12).unlink()
    failures: list[int] = []

    def remake(workspace: Workspace, config: Config) -> None:
        rebuild_views(workspace, config)
        failures.append(made.rows("SELECT count(*) FROM failures")[0][0])

    monkeypatch.setattr(views, "rebuild_views", remake)
    made.backfill()
    assert failures == [0, 1, 1]  # after the first chunk, after the third, at the end
