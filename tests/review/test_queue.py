"""The queue: every photo once, in order, as committed files and decisions say, compared with plain DuckDB."""

from collections.abc import Callable

import duckdb
import pytest

from geotag_batch.config import load_config
from geotag_batch.errors import HeadError
from geotag_batch.review.filters import Filter, Place
from geotag_batch.review.index import PhotoRow
from geotag_batch.review.queue import Queue
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.builders import RUN_2
from tests.heads import make_head
from tests.review.archive import commit_predictions
from tests.run.processes import wait_for


@pytest.fixture(scope="module")
def archive(review_archive: Callable[[int], Workspace]) -> Workspace:
    return review_archive(400)


def plain(workspace: Workspace, condition: str, order: str = "set_probability, gridimage_id") -> list[int]:
    """Return the photos for which a condition holds, without the library."""
    root = workspace.root
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"""
            SELECT gridimage_id
            FROM '{root}/predictions/*/*/*.parquet' JOIN '{root}/photos/*.parquet' USING (gridimage_id)
            WHERE {condition} ORDER BY {order}
            """
        ).fetchall()
    return [row[0] for row in rows]


def walk(queue: Queue, asked: Filter, size: int = 37) -> list[PhotoRow]:
    """Turn page after page to the end."""
    head, rows = queue.open(), []
    place = None
    while page := queue.index.page(head, asked, place, size):
        rows += page
        place = Place(page[-1].rank, page[-1].gridimage_id)
    return rows


def ids(rows: list[PhotoRow]) -> list[int]:
    return [row.gridimage_id for row in rows]


@pytest.mark.parametrize(
    ("asked", "condition", "order"),
    [
        (Filter(), "true", "set_probability, gridimage_id"),
        (Filter(order="sure"), "true", "set_probability DESC, gridimage_id"),
        (Filter(order="newest"), "true", "gridimage_id DESC"),
        (Filter(tag="Coastal"), "list_contains(predictions.tags, 'Coastal')", "set_probability, gridimage_id"),
        (Filter(low=0.7, high=0.9), "top_score BETWEEN 0.7 AND 0.9", "set_probability, gridimage_id"),
        (Filter(square="SU"), "grid_reference LIKE 'SU%'", "set_probability, gridimage_id"),
        (Filter(square="TQ53"), "grid_reference SIMILAR TO 'TQ5.3.'", "set_probability, gridimage_id"),
        (Filter(contributor="ó briain"), "realname = 'Bob Ó Briain'", "set_probability, gridimage_id"),
        (Filter(contributor="3"), "user_id = 3", "set_probability, gridimage_id"),
        (Filter(contributor="'; DROP TABLE words; --"), "false", "gridimage_id"),
    ],
)
def test_page_after_page_shows_each_photo_that_is_asked_for_once_and_in_order(
    archive: Workspace, asked: Filter, condition: str, order: str
) -> None:
    queue = Queue(archive, load_config(archive))
    found = ids(walk(queue, asked))
    assert found == plain(archive, condition.replace("predictions.tags", "tags"), order)
    assert queue.index.counts(queue.open(), asked).waiting == len(found)


def test_a_tag_with_a_score_finds_it_where_it_is_not_suggested_too(archive: Workspace) -> None:
    queue = Queue(archive, load_config(archive))
    found = walk(queue, Filter(tag="Coastal", low=0.3, high=0.6))
    place = "list_position((SELECT list(tag ORDER BY position) FROM tags), 'Coastal')"
    with duckdb.connect(str(archive.database), read_only=True) as connection:
        sql = f"SELECT gridimage_id FROM predictions_newest WHERE scores[{place}] BETWEEN 0.3 AND 0.6 ORDER BY ALL"
        wanted = [row[0] for row in connection.execute(sql).fetchall()]
    assert len(wanted) > 20
    assert sorted(ids(found)) == wanted
    assert any("Coastal" in dict(row.perhaps) for row in found)
    assert any("Coastal" in dict(row.suggested) for row in found)


def test_the_page_before_is_the_page_that_one_came_from(archive: Workspace) -> None:
    queue = Queue(archive, load_config(archive))
    head = queue.open()
    first = queue.index.page(head, Filter(), None, 24)
    second = queue.index.page(head, Filter(), Place(first[-1].rank, first[-1].gridimage_id), 24)
    back = Place(second[0].rank, second[0].gridimage_id, backwards=True)
    assert queue.index.page(head, Filter(), back, 24) == first
    assert queue.index.page(head, Filter(), Place(first[0].rank, first[0].gridimage_id, backwards=True), 24) == []


def test_decisions_of_others_take_photos_out_of_the_queue_and_a_withdrawal_brings_them_back(
    review_archive: Callable[[int], Workspace],
) -> None:
    archive = review_archive(60)
    queue = Queue(archive, load_config(archive))
    head = queue.open()
    row = next(row for row in queue.index.page(head, Filter(), None, 60) if len(row.suggested) > 1)
    photo, (first, *rest) = row.gridimage_id, [tag for tag, _ in row.suggested]

    def decide(decision: str, *tags: str) -> None:
        append_decisions(archive, [Decision(photo, tag, decision, "bob", "import") for tag in tags])
        queue.open()

    decide("reject", *rest)
    assert queue.index.counts(head, Filter()).waiting == 60
    assert photo not in ids(walk(queue, Filter(tag=rest[0])))
    assert photo in ids(walk(queue, Filter(tag=first)))
    decide("accept", first)
    assert queue.index.counts(head, Filter()).waiting == 59
    assert photo not in ids(walk(queue, Filter()))
    assert ids(walk(queue, Filter(state="decided"))) == [photo]
    decide("withdraw", first)
    assert photo in ids(walk(queue, Filter()))
    assert {word.tag: word.decision for word in queue.index.words([photo])[photo]} == {
        first: "withdraw",
        **dict.fromkeys(rest, "reject"),
    }


def test_a_new_run_is_shown_without_a_restart_and_what_is_decided_stays_decided(
    review_archive: Callable[[int], Workspace],
) -> None:
    archive = review_archive(40)
    queue = Queue(archive, load_config(archive))
    head = queue.open()
    append_decisions(
        archive, [Decision(1, tag, "accept", "bob", "import") for tag, _ in _row(queue, head, 1).suggested]
    )
    commit_predictions(archive, RUN_2, range(1, 21), seed=2)
    queue.follow()
    wait_for(lambda: _row(queue, head, 5).run_id == RUN_2)
    queue.open()
    assert _row(queue, head, 30).run_id < RUN_2
    known = {tag for tag, _ in _row(queue, head, 1).suggested}
    said = {word.tag for word in queue.index.words([1])[1]}
    assert (1 in ids(walk(queue, Filter()))) == bool(known - said)


def _row(queue: Queue, head: str, photo: int) -> PhotoRow:
    (row,) = queue.index.page(head, Filter(state="all", photo=photo), None, 1)
    return row


def test_a_head_is_found_by_its_name_and_one_without_predictions_is_said_to_have_none(
    review_archive: Callable[[int], Workspace],
) -> None:
    archive = review_archive(20)
    current = str(load_config(archive).head.current)
    queue = Queue(archive, load_config(archive))
    assert queue.open("test") == queue.open(current[:6]) == current
    make_head(archive, "another-encoder", seed=3)
    with pytest.raises(HeadError, match="beginning of"):
        queue.open("tes")
    other = next(path.name for path in archive.heads.iterdir() if path.name != current)
    with pytest.raises(HeadError, match=f"no predictions by a head '{other}'") as caught:
        queue.open(other)
    assert current in str(caught.value.hint)
    with pytest.raises(HeadError, match="no head 'nobody'"):
        queue.open("nobody")
