"""`geotag prune`: what is named goes, nothing else, and verify knows that it went on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from geotag_batch.atomic import remove_committed
from geotag_batch.config import Config
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import CatalogueError, UsageError
from geotag_batch.run import prune as prune_module
from geotag_batch.run.prune import PruneRequest, plan_prune, prune
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace
from tests.builders import RUN_1, commit, query, write_catalogue
from tests.heads import make_head
from tests.run.conftest import Archive

Make = Callable[[int], Archive]


def two_heads(make: Make) -> tuple[Archive, str, str]:
    """Return an archive of seven photos, predicted by two heads, the second in use."""
    made = make(7)
    made.backfill()
    first = str(made.config.head.current)
    second = make_head(made.workspace, FakeEncoder.encoder_id, seed=2)
    made.use(second)
    made.backfill()
    return made, first, second


def test_a_heads_predictions_go_and_nothing_else(archive: Make) -> None:
    made, first, second = two_heads(archive)
    removed = prune(made.workspace, made.config, PruneRequest(heads=(first,)))
    assert sum(removal.rows for removal in removed) == 7
    assert made.rows("SELECT head, count(*) FROM predictions_all GROUP BY head") == [(second, 7)]
    assert verify(made.workspace).problems == []
    assert made.backfill().photos == 0


def test_an_encoders_embeddings_go_and_are_made_again_when_needed(archive: Make) -> None:
    made, _, _ = two_heads(archive)
    prune(made.workspace, made.config, PruneRequest(encoders=(FakeEncoder.encoder_id,)))
    assert not list(made.workspace.embeddings.rglob("*.parquet"))
    assert verify(made.workspace).problems == []
    made.use(make_head(made.workspace, FakeEncoder.encoder_id, seed=3))
    assert made.backfill().images_encoded == 7


def test_rows_of_withdrawn_photos_go_and_their_neighbours_stay_as_they_were(archive: Make) -> None:
    made, _, second = two_heads(archive)
    before = made.scores(second)
    made.photos = [photo for photo in made.photos if photo["gridimage_id"] not in (2, 6, 7)]
    made.write()
    removed = prune(made.workspace, made.config, PruneRequest(withdrawn=True))
    assert sum(removal.rows for removal in removed) == 9
    assert [row[0] for row in made.rows("SELECT DISTINCT gridimage_id FROM predictions_all ORDER BY 1")] == [1, 3, 4, 5]
    assert (made.scores(second) == before[[0, 2, 3, 4]]).all()
    assert query(f"SELECT count(*) FROM '{made.workspace.root}/embeddings/*/*.parquet'") == [(4,)]
    assert verify(made.workspace).problems == []
    assert prune(made.workspace, made.config, PruneRequest(withdrawn=True)) == []


def test_a_prune_that_is_killed_half_way_is_not_wrong_and_can_be_done_again(
    archive: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, first, _ = two_heads(archive)
    done: list[Path] = []

    def remove_one(path: Path) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(path)
        remove_committed(path)

    monkeypatch.setattr(prune_module, "remove_committed", remove_one)
    with pytest.raises(KeyboardInterrupt):
        prune(made.workspace, made.config, PruneRequest(heads=(first,)))
    assert verify(made.workspace).problems == []
    monkeypatch.undo()
    prune(made.workspace, made.config, PruneRequest(heads=(first,)))
    assert verify(made.workspace).problems == []
    assert not list((made.workspace.predictions / f"head={first}").rglob("*.parquet"))


def test_rows_that_are_lost_after_a_prune_are_still_missed(archive: Make) -> None:
    made, first, second = two_heads(archive)
    prune(made.workspace, made.config, PruneRequest(heads=(first,)))
    max((made.workspace.predictions / f"head={second}").rglob("*.parquet")).unlink()
    assert [problem.what for problem in verify(made.workspace).problems] == ["says 7 predictions, there are 5"]


def test_rows_that_are_lost_from_a_file_that_was_pruned_are_still_missed(archive: Make) -> None:
    made, _, second = two_heads(archive)
    made.photos = [photo for photo in made.photos if photo["gridimage_id"] != 1]
    made.write()
    (pruned,) = [
        removal.path
        for removal in prune(made.workspace, made.config, PruneRequest(withdrawn=True))
        if f"head={second}" in removal.path.parts
    ]
    rows = query(f"SELECT count(*) FROM '{pruned}'")[0][0]
    pruned.unlink()
    assert [problem.what for problem in verify(made.workspace).problems] == [
        f"has 0 rows, after it was pruned it should have {rows}"
    ]


def test_a_file_that_was_pruned_and_is_broken_now_is_named(archive: Make) -> None:
    made, _, _ = two_heads(archive)
    made.photos = made.photos[1:]
    made.write()
    path = prune(made.workspace, made.config, PruneRequest(withdrawn=True))[0].path
    path.write_bytes(b"half")
    assert any("its bytes are not those" in problem.what for problem in verify(made.workspace).problems)


def test_a_head_named_like_a_folder_above_the_workspace_takes_nothing_with_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "head=head-1" / "archive")
    commit(workspace, RUN_1, head="head-2", predictions=[{"gridimage_id": 1}])
    with pytest.raises(UsageError, match="there are no predictions of head 'head-1'"):
        plan_prune(workspace, Config(), PruneRequest(heads=("head-1",)))
    assert plan_prune(workspace, Config(), PruneRequest(heads=("head-2",)))


def test_planning_removes_nothing(archive: Make) -> None:
    made, first, _ = two_heads(archive)
    assert sum(removal.bytes for removal in plan_prune(made.workspace, made.config, PruneRequest(heads=(first,)))) > 0
    assert made.rows("SELECT count(*) FROM predictions_all") == [(14,)]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (PruneRequest(), "nothing is named"),
        (PruneRequest(heads=("other",)), "there are no predictions of head 'other'"),
        (PruneRequest(encoders=("other",)), "there are no embeddings of encoder 'other'"),
    ],
)
def test_a_request_that_names_nothing_is_refused(archive: Make, request_: PruneRequest, message: str) -> None:
    made = archive(1)
    made.backfill()
    with pytest.raises(UsageError, match=message):
        prune(made.workspace, made.config, request_)


def test_the_head_in_use_is_not_pruned_by_mistake(archive: Make) -> None:
    made, _, second = two_heads(archive)
    with pytest.raises(UsageError, match="is the head in use"):
        prune(made.workspace, made.config, PruneRequest(heads=(second,)))
    prune(made.workspace, made.config, PruneRequest(heads=(second,), even_current=True))
    assert made.rows("SELECT count(*) FROM predictions") == [(0,)]


def test_a_missing_or_empty_catalogue_withdraws_nothing(archive: Make) -> None:
    made = archive(1)
    made.backfill()
    (made.workspace.root / "photos" / "photos.parquet").unlink()
    with pytest.raises(CatalogueError, match="no catalogue"):
        prune(made.workspace, made.config, PruneRequest(withdrawn=True))
    write_catalogue(made.workspace, [])
    with pytest.raises(CatalogueError, match="the catalogue has no photos"):
        prune(made.workspace, made.config, PruneRequest(withdrawn=True))
    assert len(list(made.workspace.predictions.rglob("*.parquet"))) == 1
