"""Merging files of decisions: nothing lost, nothing doubled, readers undisturbed, whenever it is killed."""

import shutil
from typing import Any

import duckdb
import pytest

from geotag_batch.config import Config
from geotag_batch.errors import DecisionConflictError, StorageError
from geotag_batch.workspace import Workspace
from geotag_batch.write import compaction
from geotag_batch.write.compaction import Compacted, compact_decisions
from geotag_batch.write.decisions import Decision, append_decisions
from geotag_batch.write.views import rebuild_views


def decide(workspace: Workspace, *photos: int, reviewer: str = "Ann", **more: Any) -> list[str]:  # noqa: ANN401
    return append_decisions(workspace, [Decision(photo, "Paths", "accept", reviewer, "review") for photo in photos],
                            **more)  # fmt: skip


def everything(workspace: Workspace) -> list[tuple[Any, ...]]:
    rebuild_views(workspace, Config())
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        return connection.execute("FROM decisions ORDER BY decision_id").fetchall()


def names(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.dataset_files("decisions")}


@pytest.fixture
def decided(workspace: Workspace) -> Workspace:
    for photo in (3, 1, 2):
        decide(workspace, photo, photo + 10)
    return workspace


def test_one_file_takes_the_place_of_many_and_every_decision_stays(decided: Workspace) -> None:
    before = everything(decided)
    assert compact_decisions(decided, grace=0) == Compacted(merged=3, decisions=6, removed=3, left=0)
    assert len(names(decided)) == 1
    assert everything(decided) == before


def test_merged_files_stay_for_those_who_listed_them_and_go_later(decided: Workspace) -> None:
    before, small = everything(decided), names(decided)
    assert compact_decisions(decided) == Compacted(merged=3, decisions=6, removed=0, left=3)
    assert small < names(decided)
    assert everything(decided) == before
    assert compact_decisions(decided) == Compacted(merged=0, decisions=0, removed=0, left=3)
    assert compact_decisions(decided, grace=0) == Compacted(merged=0, decisions=0, removed=3, left=0)
    assert everything(decided) == before


def test_what_is_decided_afterwards_is_merged_too_and_sorts_last(decided: Workspace) -> None:
    compact_decisions(decided)
    (last,) = decide(decided, 4)
    before = everything(decided)
    assert before[-1][0] == last
    assert compact_decisions(decided, grace=0) == Compacted(merged=2, decisions=7, removed=5, left=0)
    assert everything(decided) == before
    assert decide(decided, 5)[0] > last


def test_a_merge_killed_before_it_removed_anything_is_finished_by_the_next(
    decided: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(decided)
    with monkeypatch.context() as patched:

        def killed(path: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(compaction, "remove_committed", killed)
        with pytest.raises(KeyboardInterrupt):
            compact_decisions(decided, grace=0)
    assert everything(decided) == before
    compact_decisions(decided, grace=0)
    assert len(names(decided)) == 1
    assert everything(decided) == before


def test_old_files_that_somebody_put_back_are_not_doubled(decided: Workspace) -> None:
    before = everything(decided)
    shutil.copytree(decided.decisions, decided.root / "backup")
    compact_decisions(decided, grace=0)
    compact_decisions(decided, grace=0)
    shutil.copytree(decided.root / "backup", decided.decisions, dirs_exist_ok=True)
    assert everything(decided) == before
    compact_decisions(decided, grace=0)
    assert len(names(decided)) == 1
    assert everything(decided) == before


def test_another_reviewers_word_is_still_known_after_a_merge(decided: Workspace) -> None:
    compact_decisions(decided, grace=0)
    with pytest.raises(DecisionConflictError, match="Ann has decided on photo 1"):
        decide(decided, 1, reviewer="Bob", expected={1: None})


def test_a_broken_file_is_named_and_nothing_is_removed(decided: Workspace) -> None:
    before = names(decided)
    (decided.decisions / sorted(before)[1]).write_bytes(b"PAR1 not really")
    with pytest.raises(StorageError, match=r"cannot be read"):
        compact_decisions(decided, grace=0)
    assert names(decided) == before


def test_without_decisions_there_is_nothing_to_merge(workspace: Workspace) -> None:
    assert compact_decisions(workspace) == Compacted(0, 0, 0, 0)
