"""The plan as the operator sees it: reasons, chunks, disk and time."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace

import pytest

from geotag_batch.config import RunConfig, load_config
from geotag_batch.errors import ConfigError, HeadError, StorageError
from geotag_batch.run.plan import Selection, make_plan
from geotag_batch.run.report import plan_json, plan_text
from geotag_batch.workspace import Workspace
from tests.builders import write_catalogue
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def test_a_plan_counts_photos_chunks_images_and_distinct_titles(archive: Make) -> None:
    made = archive(12)
    with make_plan(made.workspace, made.config, Selection(limit=8)) as plan:
        facts, text = json.loads(plan_json(plan)), plan_text(plan)
    assert (facts["pending"], facts["photos"], facts["chunks"], facts["chunk_size"]) == (12, 8, 2, 5)
    assert facts["by_reason"] == {"new": 8}
    assert (facts["images_to_look_at"], facts["photos_to_embed"], facts["fits"]) == (8, 8, True)
    assert "8 photos of 12 pending in 2 chunks of up to 5:" in text
    assert "to encode: 8 images (fewer where they turn out unchanged), 7 distinct titles" in text
    assert "no earlier run to tell" in text
    assert not made.workspace.runs.exists()


def test_a_plan_with_nothing_to_do_says_so(archive: Make) -> None:
    made = archive(2)
    made.backfill()
    with make_plan(made.workspace, made.config, Selection()) as plan:
        assert "nothing to do" in plan_text(plan)
        assert (plan.pending, plan.bytes_needed, plan.chunks) == (0, 0, 0)


def test_the_time_is_estimated_from_earlier_runs_of_the_same_kind(archive: Make) -> None:
    made = archive(10)
    first = made.backfill(limit=5)
    with make_plan(made.workspace, made.config, Selection()) as plan:
        assert plan.seconds == pytest.approx(first.seconds, rel=1e-6)  # five more photos
    with make_plan(made.workspace, made.config, Selection(redo_before=datetime(2999, 1, 1))) as plan:
        assert plan.seconds is None  # no run has only scored yet


def test_a_run_that_cannot_fit_on_the_disk_refuses_to_start(archive: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    with make_plan(made.workspace, made.config, Selection()) as plan:
        assert "TOO LITTLE" in plan_text(plan)
        assert json.loads(plan_json(plan))["fits"] is False
    with pytest.raises(StorageError, match=r"this run needs about 67 MB, 1 MB are free"):
        made.backfill()
    assert not made.workspace.runs.exists()


def test_a_memory_limit_that_is_none_is_named(archive: Make) -> None:
    made = archive(1)
    with pytest.raises(ConfigError, match=r"run\.memory_limit = 'lots'"):
        make_plan(made.workspace, replace(made.config, run=RunConfig(memory_limit="lots")), Selection())


def test_a_plan_without_a_head_says_what_to_do(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    with pytest.raises(HeadError, match="no head is in use"):
        make_plan(workspace, load_config(workspace, {}), Selection())
