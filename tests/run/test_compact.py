"""`geotag compact`: few files for many, every row and every view as before at each moment, and all else works on."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import Config, load_config, set_key
from geotag_batch.duck import dataset_relation
from geotag_batch.errors import StorageError
from geotag_batch.predict.features import DEFAULT_RULE
from geotag_batch.read.scan import open_embeddings
from geotag_batch.run.compact import Compacted, CompactRequest, compact, plan_compact
from geotag_batch.run.prune import PruneRequest, prune
from geotag_batch.run.repair import repair
from geotag_batch.train.dataset import Split, Wanted, read_training_set
from geotag_batch.workspace import Workspace
from geotag_batch.write.merging import merge as write_merged
from geotag_batch.write.runs import utc_now
from geotag_batch.write.sums import matches_sum
from geotag_batch.write.views import rebuild_views
from tests.builders import ENCODER, HEAD, RUN_1, RUN_2, commit, query, write_catalogue
from tests.run.conftest import Archive, rows_of
from tests.run.test_verify import flip, problems, record

Make = Callable[[int], Archive]
DATASETS = ("embeddings", "failures", "predictions")


def merge(workspace: Workspace, **options: Any) -> Compacted:  # noqa: ANN401
    """Merge; what is merged counts at once unless told otherwise, and the small files go with the next call."""
    request = CompactRequest(**{"target_rows": 100, "margin": -1, "grace": -10} | options)
    return compact(workspace, load_config(workspace, {}), request)


def settle(workspace: Workspace) -> None:
    """Merge, and remove what was merged."""
    merge(workspace)
    assert merge(workspace).left == 0


def files(workspace: Workspace, dataset: str) -> list[Path]:
    return list(workspace.dataset_files(dataset))


def everything(workspace: Workspace) -> list[list[tuple[Any, ...]]]:
    """Return what the views say, the views as they were made."""
    return [
        rows_of(workspace, "FROM predictions_all ORDER BY gridimage_id, run_id"),
        rows_of(workspace, "SELECT * EXCLUDE due FROM failures ORDER BY gridimage_id"),
        rows_of(workspace, "FROM coverage"),
    ]


def scan(workspace: Workspace) -> list[tuple[int, float]]:
    """Return photos and the first number of each image's vector, as a search reads them."""
    stored = open_embeddings(workspace, ENCODER, "1GiB")
    batches = [batch for place in range(len(stored.files)) for batch in stored.batches(place, "image")]
    return sorted((photo, vector[0]) for ids, vectors in batches for photo, vector in zip(ids, vectors, strict=True))


def sources(workspace: Workspace) -> set[str]:
    """Return the names of the files that the plan reads embeddings from."""
    relation = dataset_relation(workspace, "embeddings", ("gridimage_id",), filename=True)
    return {Path(name).name for (name,) in query(f"SELECT DISTINCT filename FROM {relation}")}


@pytest.fixture
def night(workspace: Workspace) -> Workspace:
    """Return a workspace after a night's run of three chunks: ten photos were predicted, two failed."""
    catalogue(workspace)
    for chunk, photos in enumerate(((1, 2, 3), (5, 4, 6, 9), (10, 11, 12)), 1):
        rows = [{"gridimage_id": photo} for photo in photos]
        commit(workspace, RUN_1, embeddings=rows, predictions=rows, number=chunk)
    for photo in (7, 8):
        commit(workspace, RUN_1, failures=[{"gridimage_id": photo, "permanent": True}], number=photo)
    record(workspace, RUN_1, embedded=10, predicted=10, failed=2)
    set_key(workspace, "head.current", HEAD)
    rebuild_views(workspace, load_config(workspace, {}))
    return workspace


def catalogue(workspace: Workspace, without: tuple[int, ...] = ()) -> None:
    photos = [photo for photo in range(1, 13) if photo not in without]
    write_catalogue(workspace, [{"gridimage_id": photo, "title": "a title"} for photo in photos])


def test_one_file_takes_the_place_of_many_and_every_row_stays(night: Workspace) -> None:
    before = everything(night)
    schema = pq.read_schema(files(night, "embeddings")[0])
    assert merge(night) == Compacted(merged=8, rows=22, files=3, removed=0, left=8)
    assert everything(night) == before
    assert problems(night) == []
    assert merge(night) == Compacted(removed=8)
    assert everything(night) == before
    assert problems(night) == []
    (merged,) = files(night, "embeddings")
    assert pq.read_schema(merged).equals(schema)
    assert {**pq.read_schema(merged).metadata, b"geotag.run_id": b"", b"geotag.merged": b""} == {
        **schema.metadata, b"geotag.run_id": b"", b"geotag.merged": b""
    }  # fmt: skip
    assert query(f"SELECT list(gridimage_id) FROM '{merged}'") == [([1, 2, 3, 4, 5, 6, 9, 10, 11, 12],)]
    assert matches_sum(night, merged)
    assert merge(night) == Compacted()


def test_before_its_time_a_merged_file_is_left_out_and_after_it_the_others(night: Workspace) -> None:
    small = {path.name for path in files(night, "embeddings")}
    for group in plan_compact(night):
        write_merged(night, group, margin=3600)
    assert sources(night) == small
    before = everything(night)
    (merged,) = {path.name for path in files(night, "embeddings")} - small
    for name in sorted(small):  # somebody whose clock is behind, or whose transaction is old, still finds every row
        next(night.embeddings.glob(f"*/{name}")).unlink()
        assert sources(night) == {merged}
    assert everything(night) == before


def test_once_its_time_has_come_the_small_files_are_not_read(night: Workspace) -> None:
    small = {path.name for path in files(night, "embeddings")}
    merge(night)
    assert sources(night) == {path.name for path in files(night, "embeddings")} - small


def test_the_next_run_removes_what_was_merged_long_ago_and_scores_the_newest_embeddings_again(archive: Make) -> None:
    made = archive(7)
    made.backfill()
    made.draw(3, shade=200)
    made.backfill(check_images=True)
    head = str(made.config.head.current)
    before = made.scores(head)
    merge(made.workspace, margin=-3600)
    os.utime(made.workspace.database, (time.time() - 3600,) * 2)
    again = made.backfill(redo_before=utc_now())
    assert (again.photos, again.images_encoded) == (7, 0)
    assert (made.scores(head) == before).all()
    assert len(files(made.workspace, "embeddings")) == 1
    assert problems(made.workspace) == []
    assert made.backfill().photos == 0


def test_training_and_search_read_the_same_from_a_merged_file(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": i, "title": "a title", "tags": ["Coastal"]} for i in (1, 2, 3, 4)])
    for number, run, photos in ((0, RUN_1, (4, 2, 3, 1)), (1, RUN_2, (3, 1))):
        for photo in photos:
            row = {"gridimage_id": photo, "image_embedding": np.full(512, photo + 10 * number, np.float16)}
            commit(workspace, run, embeddings=[row], number=photo)
    wanted = Wanted(ENCODER, 512, ("image", "title"), DEFAULT_RULE)
    before = read_training_set(workspace, Config(), wanted, Split(validation_ids=()))
    scanned = scan(workspace)
    settle(workspace)
    after = read_training_set(workspace, Config(), wanted, Split(validation_ids=()))
    assert (after.sha256, after.left_out) == (before.sha256, before.left_out)
    assert after.examples.parts["image"][:, 0].tolist() == [11, 2, 13, 4]
    assert scan(workspace) == scanned == [(1, 11), (2, 2), (3, 13), (4, 4)]


def withdraw(workspace: Workspace, *photos: int) -> None:
    """Take photos from the catalogue, and prune."""
    catalogue(workspace, photos)
    prune(workspace, load_config(workspace, {}), PruneRequest(withdrawn=True))
    assert problems(workspace) == []


def test_rows_are_pruned_from_a_merged_file_and_still_add_up(night: Workspace) -> None:
    withdraw(night, 2)
    settle(night)
    assert problems(night) == []
    withdraw(night, 2, 4, 7, 12)
    kept = rows_of(night, "SELECT list(gridimage_id ORDER BY gridimage_id) FROM predictions_all")
    assert kept == [([1, 3, 5, 6, 9, 10, 11],)]
    prune(night, load_config(night, {}), PruneRequest(encoders=(ENCODER,)))
    assert problems(night) == []


def test_what_is_pruned_does_not_come_back_from_files_that_were_merged(night: Workspace) -> None:
    merge(night)
    withdraw(night, 2, 11)
    assert rows_of(night, "SELECT count(*) FROM predictions_all") == [(8,)]
    prune(night, load_config(night, {}), PruneRequest(heads=(HEAD,), even_current=True))
    assert files(night, "predictions") == []
    assert problems(night) == []


def test_a_merged_file_that_breaks_is_set_aside_and_the_small_ones_count_again(night: Workspace) -> None:
    before = everything(night)
    merge(night)
    (broken,) = [path for path in files(night, "predictions") if "_" in path.name]
    flip(broken)
    with pytest.raises(StorageError, match="is damaged; nothing is removed"):
        merge(night)
    done = repair(night, load_config(night, {}))
    assert [file.file for file in done.moved] == [str(broken.relative_to(night.root))]
    assert (done.report.problems, done.missing) == ([], [])
    assert everything(night) == before
    settle(night)
    assert everything(night) == before
    assert problems(night) == []


def test_a_merged_file_that_breaks_later_is_set_aside_and_the_rows_are_known_to_be_missing(night: Workspace) -> None:
    settle(night)
    (broken,) = files(night, "predictions")
    flip(broken)
    done = repair(night, load_config(night, {}))
    assert done.report.problems == []
    assert [(each.run_id, each.dataset, each.rows) for each in done.missing] == [(RUN_1, "predictions", 10)]


def test_a_small_file_that_is_damaged_is_not_merged(night: Workspace) -> None:
    flip(files(night, "embeddings")[1])
    with pytest.raises(StorageError, match="not those that were committed") as caught:
        merge(night)
    assert "verify --repair" in str(caught.value.hint)
    assert not list(night.embeddings.glob("*/*_*"))


def test_what_was_set_aside_before_is_not_hidden_when_it_comes_back(workspace: Workspace, tmp_path: Path) -> None:
    for chunk in (1, 2, 3, 4):
        commit(workspace, RUN_1, predictions=[{"gridimage_id": chunk}], number=chunk)
    record(workspace, RUN_1, predicted=4)
    write_catalogue(workspace, [{"gridimage_id": photo} for photo in (1, 2, 3, 4)])
    away = files(workspace, "predictions")[1]
    kept = shutil.copy(away, tmp_path / "backup")
    flip(away)
    repair(workspace, Config())
    settle(workspace)
    assert len(files(workspace, "predictions")) == 2
    shutil.copy(kept, away)
    rebuild_views(workspace, Config())
    assert rows_of(workspace, "SELECT count(DISTINCT gridimage_id), count(*) FROM predictions_all") == [(4, 4)]
    assert problems(workspace) == []


def test_a_file_put_among_those_that_were_merged_is_named(workspace: Workspace) -> None:
    for chunk in (1, 3):
        commit(workspace, RUN_1, predictions=[{"gridimage_id": chunk}], number=chunk)
    record(workspace, RUN_1, predicted=2)
    settle(workspace)
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 2}], number=2)
    (found,) = problems(workspace)
    assert "is hidden by" in found


def test_files_that_say_different_things_of_themselves_and_large_ones_are_left_alone(workspace: Workspace) -> None:
    for chunk, photos in ((1, (1,)), (2, (2,)), (3, range(10, 70)), (4, (4,)), (5, (5,))):
        commit(workspace, RUN_1, embeddings=[{"gridimage_id": photo} for photo in photos], number=chunk)
    commit(workspace, RUN_2, embeddings=[{"gridimage_id": 6}], number=1)
    (other,) = [path for path in files(workspace, "embeddings") if RUN_2 in path.name]
    table = pq.read_table(other, partitioning=None)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, b"geotag.software": b"{}"}), other)
    (workspace.sums / f"{other.stem}.sha256").unlink()
    settle(workspace)
    rows = [pq.read_metadata(path).num_rows for path in files(workspace, "embeddings")]
    assert sorted(rows) == [1, 2, 2, 60]


def test_a_merge_of_merged_files_still_says_what_was_in_them(night: Workspace) -> None:
    before = everything(night)
    for target in (10, 100):
        merge(night, target_rows=target)
        merge(night, target_rows=target)
    assert everything(night) == before
    assert problems(night) == []
    assert len(files(night, "embeddings")) == 1


def test_an_open_database_sees_the_same_throughout(night: Workspace) -> None:
    with duckdb.connect(str(night.database), read_only=True) as connection:
        ask = "SELECT count(*), sum(hash(p))::VARCHAR FROM predictions_all AS p"
        before = connection.execute(ask).fetchall()
        connection.execute("BEGIN")
        merge(night, margin=0)
        assert connection.execute(ask).fetchall() == before
        merge(night)
        assert connection.execute(ask).fetchall() == before
