"""The views of review.duckdb, each by value, read with a plain DuckDB."""

import math
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import Config, HeadConfig, PhotosConfig, ReviewConfig, default_toml
from geotag_batch.duck import sql_names
from geotag_batch.errors import CatalogueError, StorageError
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from geotag_batch.write.views import MACROS, VIEWS, rebuild_views, views_are_stale
from tests.builders import commit, write_catalogue
from tests.data import ENCODER, PHOTOS, RUN_1, RUN_2, RUN_3, RUN_4, prediction, write_archive, write_head

URL = "https://www.geograph.org.uk/photo"


def ask(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, asked as a person with the duckdb shell would; give up on one that hangs."""
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        watchdog = threading.Timer(60, connection.interrupt)
        watchdog.start()
        try:
            return connection.execute(sql).fetchall()
        finally:
            watchdog.cancel()


def make_workspace(folder: Path) -> Workspace:
    folder.mkdir(parents=True)
    (folder / "geotag.toml").write_text(default_toml(), encoding="utf-8")
    return Workspace(folder.resolve())


def decide(workspace: Workspace, head: str) -> list[str]:
    """Photo 2 is decided, one tag of 4, and at 50,000 a word was withdrawn; return the decision_ids."""

    def decision(photo: int, tag: str, kind: str, reviewer: str) -> Decision:
        return Decision(photo, tag, kind, reviewer, "review", head)

    return [
        *append_decisions(workspace, [decision(2, "Paths", "accept", "Ann"), decision(2, "Coastal", "accept", "Ann")]),
        *append_decisions(workspace, [decision(2, "Coastal", "reject", "Bob")]),
        *append_decisions(workspace, [decision(4, "Coastal", "reject", "Bob"), decision(4, "Railways", "add", "Bob")]),
        *append_decisions(workspace, [decision(50_000, "Paths", "reject", "Ann")]),
        *append_decisions(workspace, [decision(50_000, "Paths", "withdraw", "Ann")]),
    ]


class Archive:
    """The archive of tests/data.py with its views, under a folder whose name is hard on globs and partitions."""

    def __init__(self, parent: Path) -> None:
        self.workspace = make_workspace(parent / "run_date=2020-01-01" / "head=x" / "[a] it's=b")
        self.config, self.head, self.other = write_archive(self.workspace)
        self.decided = decide(self.workspace, self.head)
        rebuild_views(self.workspace, self.config)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("views"))


def near(value: float) -> Any:  # noqa: ANN401  pytest's approx has no public type
    return pytest.approx(value, abs=1e-6)


SCORES = [0, 1, 0, 1, 0, 3], [1, 0, 1, 0, 1, 1]
"""How many photos of run 2 and of run 1 have their top_score in the tenths where any has."""


def psi(now: list[int], before: list[int], kinds: int) -> float:
    """Return the population stability index of counts, half a photo added to each of `kinds`."""
    counts = [[*each, *[0] * (kinds - len(each))] for each in (now, before)]
    shares = [[(count + 0.5) / (sum(each) + kinds / 2) for count in each] for each in counts]
    return math.fsum((a - b) * math.log(a / b) for a, b in zip(*shares, strict=True))


def expected(archive: Archive) -> dict[str, tuple[str, list[tuple[Any, ...]]]]:
    """Return for each view a query and its rows, worked out by hand from tests/data.py."""
    head, other = archive.head, archive.other
    newest = [
        (1, ["Coastal"], near(0.95), near(0.9), False, RUN_2),
        (2, ["Coastal", "Paths"], near(0.9), near(0.6), False, RUN_1),
        (3, ["Railways"], near(0.8), near(0.7), False, RUN_1),
        (4, ["Coastal", "Paths"], near(0.9), near(0.5), False, RUN_2),
        (5, ["Paths"], near(0.4), near(0.1), True, RUN_2),
        (8, ["Paths"], near(0.7), near(0.65), False, RUN_2),
        (9, ["Paths"], near(0.3), near(0.2), True, RUN_1),
        (50_000, ["Paths"], near(0.99), near(0.95), False, RUN_2),
    ]
    return {
        "tags": (
            "SELECT * FROM tags WHERE position IN (1, 8, 49) ORDER BY position",
            [
                (1, 479, "Energy infrastructure", "Human use"),
                (8, 832, "Boundary, Barrier", "Human habitat"),
                (49, 48550, "Barren Plateaux", "Natural environment"),
            ],
        ),
        "photos": (
            "SELECT gridimage_id, title, realname, wgs84_lat, tagged FROM photos WHERE gridimage_id IN (2, 3, 4, 7) "
            "ORDER BY ALL",
            [
                (2, "A path", "Bob", None, False),
                (3, "Halt", "Ann", None, True),
                (4, None, "Cid", None, True),
                (7, "Broken", "Bob", None, False),
            ],
        ),
        "squares": (
            "FROM squares ORDER BY ALL",
            [
                ("J3473", "J37", "J3473"),
                ("SU 387 148", "SU31", "SU3814"),
                ("SU38", "SU38", None),
                ("SU3871", "SU37", "SU3871"),
                ("SU38711487", "SU31", "SU3814"),
                ("SY6870", "SY67", "SY6870"),
                ("su3814", "SU31", "SU3814"),
            ],
        ),
        "decisions": (
            "SELECT decision_id, gridimage_id, tag, decision, reviewer FROM decisions ORDER BY decision_id",
            [
                (archive.decided[0], 2, "Paths", "accept", "Ann"),
                (archive.decided[1], 2, "Coastal", "accept", "Ann"),
                (archive.decided[2], 2, "Coastal", "reject", "Bob"),
                (archive.decided[3], 4, "Coastal", "reject", "Bob"),
                (archive.decided[4], 4, "Railways", "add", "Bob"),
                (archive.decided[5], 50_000, "Paths", "reject", "Ann"),
                (archive.decided[6], 50_000, "Paths", "withdraw", "Ann"),
            ],
        ),
        "decisions_newest": (
            "SELECT decision_id, gridimage_id, tag, decision, head FROM decisions_newest ORDER BY decision_id",
            [
                (archive.decided[0], 2, "Paths", "accept", head),
                (archive.decided[2], 2, "Coastal", "reject", head),
                (archive.decided[3], 4, "Coastal", "reject", head),
                (archive.decided[4], 4, "Railways", "add", head),
            ],
        ),
        "decisions_by_photo": (
            "SELECT * EXCLUDE decided_at FROM decisions_by_photo ORDER BY 1",
            [
                (2, ["Paths"], [], ["Coastal"], ["Coastal", "Paths"], ["Ann", "Bob"], archive.decided[2]),
                (4, [], ["Railways"], ["Coastal"], ["Coastal", "Railways"], ["Bob"], archive.decided[4]),
                (50_000, [], [], [], [], [], archive.decided[6]),
            ],
        ),
        "effective_tags": (
            "FROM effective_tags ORDER BY 1",
            [
                (2, ["Paths"], [], ["Paths"], [], ["Coastal"]),
                (3, ["Railways"], ["Railways"], [], [], []),
                (4, ["Railways"], ["Coastal"], [], ["Railways"], ["Coastal"]),
                (5, ["Paths", "Moorland"], ["Paths", "Moorland"], [], [], []),
                (50_000, ["Paths"], ["Paths"], [], [], []),
            ],
        ),
        "precision_per_tag": (
            "SELECT tag, decided, found_right, found_wrong, precision, low, high, missed FROM precision_per_tag "
            "WHERE decided + missed > 0",
            [
                ("Coastal", 2, 0, 2, 0.0, near(0.0), near(0.657619), 0),
                ("Paths", 1, 1, 0, 1.0, near(0.206549), near(1.0), 0),
                ("Railways", 0, 0, 0, None, None, None, 1),
            ],
        ),
        "predictions_all": (
            "SELECT head, run_date, count(*), min(gridimage_id), max(len(scores)) FROM predictions_all "
            "GROUP BY ALL ORDER BY run_date",
            [
                (head, date(2026, 1, 1), 4, 1, 49),
                (head, date(2026, 1, 2), 5, 1, 49),
                (other, date(2026, 1, 3), 3, 1, 49),
            ],
        ),
        "predictions_newest": (
            "SELECT gridimage_id, tags, top_score, set_probability, forced, run_id FROM predictions_newest ORDER BY 1",
            newest,
        ),
        "embeddings_newest": (
            "SELECT gridimage_id, encoder, len(image_embedding), list_sum(title_embedding), run_id "
            "FROM embeddings_newest ORDER BY 1",
            [(row[0], ENCODER, 512, 512.0, row[-1]) for row in newest],
        ),
        "predictions": (
            "SELECT gridimage_id, title, tags, grid_reference, credit, photo_url, contributed, run_date "
            "FROM predictions WHERE gridimage_id IN (1, 4, 9) ORDER BY 1",
            [
                (1, "Cliffs", ["Coastal"], "SY6870", "Ann", f"{URL}/1", [], date(2026, 1, 2)),
                (4, None, ["Coastal", "Paths"], "J3473", "Cid", f"{URL}/4", ["Coastal"], date(2026, 1, 2)),
                (9, None, ["Paths"], None, None, f"{URL}/9", None, date(2026, 1, 1)),
            ],
        ),
        "predicted_tags": (
            "SELECT gridimage_id, tag, score, tag_group, forced FROM predicted_tags "
            "WHERE gridimage_id IN (2, 4, 5) ORDER BY 1, 2",
            [
                (4, "Paths", near(0.8), "Communications", False),
                (5, "Paths", near(0.4), "Communications", True),
            ],
        ),
        "review_queue": (
            "SELECT gridimage_id, title, tags, undecided, credit, photo_url FROM review_queue",
            [
                (5, "Moor", ["Paths"], ["Paths"], "Cid", f"{URL}/5"),
                (9, None, ["Paths"], ["Paths"], None, f"{URL}/9"),
                (4, None, ["Coastal", "Paths"], ["Paths"], "Cid", f"{URL}/4"),
                (8, "Mended", ["Paths"], ["Paths"], None, f"{URL}/8"),
                (3, "Halt", ["Railways"], ["Railways"], "Ann", f"{URL}/3"),
                (1, "Cliffs", ["Coastal"], ["Coastal"], "Ann", f"{URL}/1"),
                (50_000, "Far", ["Paths"], ["Paths"], "Ann", f"{URL}/50000"),
            ],
        ),
        "tag_counts": (
            "SELECT tag_id, tag, tag_group, predicted, forced, contributed FROM tag_counts "
            "WHERE predicted + contributed > 0",
            [
                (809, "Paths", "Communications", 6, 2, 2),
                (787, "Coastal", "Topography", 3, 0, 1),
                (972, "Railways", "Communications", 1, 0, 1),
                (33096, "Moorland", "Natural environment", 0, 0, 1),
            ],
        ),
        "tag_counts_by_square": (
            "FROM tag_counts_by_square",
            [
                ("J37", "Coastal", 1),
                ("J37", "Paths", 1),
                ("SU31", "Coastal", 1),
                ("SU31", "Paths", 1),
                ("SU31", "Railways", 1),
                ("SU37", "Paths", 1),
                ("SY67", "Coastal", 1),
                (None, "Paths", 3),
            ],
        ),
        "disagreements": (
            "SELECT gridimage_id, predicted, contributed, only_predicted, only_contributed "
            "FROM disagreements ORDER BY 1",
            [
                (4, ["Coastal", "Paths"], ["Coastal"], ["Paths"], []),
                (5, ["Paths"], ["Paths", "Moorland"], [], ["Moorland"]),
            ],
        ),
        "head_diff": (
            "FROM head_diff",
            [
                (2, head, other, ["Coastal", "Paths"], ["Paths"], ["Coastal"], [], RUN_1, RUN_3),
                (3, head, other, ["Railways"], ["Moorland"], ["Railways"], ["Moorland"], RUN_1, RUN_3),
            ],
        ),
        "waiting": (
            "SELECT gridimage_id, tags, undecided, forced, len(scores) FROM waiting ORDER BY 1",
            [
                (1, ["Coastal"], ["Coastal"], False, 49),
                (3, ["Railways"], ["Railways"], False, 49),
                (4, ["Coastal", "Paths"], ["Paths"], False, 49),
                (5, ["Paths"], ["Paths"], True, 49),
                (8, ["Paths"], ["Paths"], False, 49),
                (9, ["Paths"], ["Paths"], True, 49),
                (50_000, ["Paths"], ["Paths"], False, 49),
            ],
        ),
        "queue_by_tag": (
            "SELECT tag, tag_group, waiting, forced, mean_score, mean_set_probability FROM queue_by_tag",
            [
                ("Paths", "Communications", 5, 2, near(0.638), near(0.48)),
                ("Coastal", "Topography", 1, 0, near(0.95), near(0.9)),
                ("Railways", "Communications", 1, 0, near(0.8), near(0.7)),
            ],
        ),
        "queue_by_hectad": (
            "FROM queue_by_hectad",
            [
                (None, 3, 2, near(0.95 / 3)),
                ("J37", 1, 0, near(0.5)),
                ("SU31", 1, 0, near(0.7)),
                ("SU37", 1, 0, near(0.95)),
                ("SY67", 1, 0, near(0.9)),
            ],
        ),
        "head_flips": (
            "FROM head_flips",
            [(head, other, "Coastal", 1, 0), (head, other, "Moorland", 0, 1), (head, other, "Railways", 1, 0)],
        ),
        "drift_by_tag": (
            "SELECT tag, photos_now, photos_before, share_now, share_before, change, psi > 0 FROM drift_by_tag LIMIT 4",
            [
                ("Railways", 0, 1, 0.0, near(0.25), near(-0.25), True),
                ("Moorland", 0, 1, 0.0, near(0.25), near(-0.25), True),
                ("Paths", 4, 2, near(0.8), near(0.5), near(0.3), True),
                ("Coastal", 2, 1, near(0.4), near(0.25), near(0.15), True),
            ],
        ),
        "drift_by_score": (
            "SELECT low, high, photos_now, photos_before, share_now, share_before FROM drift_by_score "
            "WHERE photos_now + photos_before > 0",
            [
                (near(0.3), near(0.4), 0, 1, 0.0, near(0.25)),
                (near(0.4), near(0.5), 1, 0, near(0.2), 0.0),
                (near(0.6), near(0.7), 0, 1, 0.0, near(0.25)),
                (near(0.7), near(0.8), 1, 0, near(0.2), 0.0),
                (near(0.8), near(0.9), 0, 1, 0.0, near(0.25)),
                (near(0.9), near(1.0), 3, 1, near(0.6), near(0.25)),
            ],
        ),
        "drift": (
            "FROM drift",
            [(RUN_2, 5, 4, near(psi([4, 2], [2, 1, 1, 1], 49)), near(0.4), near(psi(*SCORES, 10)), near(0.75))],
        ),
        "series": ("FROM series", []),  # tests/write/test_series.py has some
        "series_outliers": ("FROM series_outliers", []),
        "failures": (
            "SELECT gridimage_id, title, error_class, attempts, permanent, retry_after, due, failed_at, photo_url "
            "FROM failures",
            [
                (7, "Broken", "truncated", 2, True, None, False, datetime(2026, 1, 2), f"{URL}/7"),
                (6, "Gone", "missing", 1, False, datetime(2026, 1, 1, 20), True, datetime(2026, 1, 1), f"{URL}/6"),
            ],
        ),
        "runs": (
            "SELECT run_id, status, head, predicted, failed, failures, finished_at FROM runs",
            [
                (RUN_4, "running", head, 0, 0, {}, None),
                (RUN_3, "done", other, 3, 0, {}, datetime(2026, 1, 3, 0, 1)),
                (RUN_2, "done", head, 5, 1, {"truncated": 1}, datetime(2026, 1, 2, 0, 1)),
                (RUN_1, "done", head, 4, 3, {"missing": 2, "truncated": 1}, datetime(2026, 1, 1, 0, 1)),
            ],
        ),
        "coverage": (
            "FROM coverage",
            [(0, 0, 49_999, 8, 3, 7, 7, 2), (1, 50_000, 99_999, 2, 1, 1, 1, 0)],
        ),
        "workspace": (
            "SELECT root, head FROM workspace",
            [(str(archive.workspace.root), head)],
        ),
    }


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_says_what_the_archive_holds(archive: Archive, view: str) -> None:
    sql, rows = expected(archive)[view]
    assert ask(archive.workspace, sql) == rows


def test_no_view_is_without_a_test_or_a_place_in_the_order(archive: Archive) -> None:
    assert set(VIEWS) == set(sql_names("views")) == set(expected(archive))


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_states_its_grain_and_its_columns(view: str) -> None:
    folder = Path(__file__).parents[2] / "sql" / "views"
    header = [line for line in (folder / f"{view}.sql").read_text("utf-8").splitlines() if line.startswith("--")]
    assert any(line.startswith("-- Grain: one row") for line in header)
    assert any(line.startswith("-- Columns: ") for line in header)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_can_be_read_in_part(archive: Archive, view: str) -> None:
    assert len(ask(archive.workspace, f"FROM {view} LIMIT 1")) == min(1, len(expected(archive)[view][1]))


def test_the_file_answers_in_another_directory_and_under_another_name(archive: Archive, tmp_path: Path) -> None:
    program = (
        "import duckdb, sys\n"
        "shell = duckdb.connect()\n"
        'shell.execute("ATTACH \'" + sys.argv[1].replace("\'", "\'\'") + "\' AS other (READ_ONLY)")\n'
        "for view in sys.argv[2:]:\n"
        "    print(view, shell.execute(f'SELECT count(*) FROM other.{view}').fetchone()[0])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(archive.workspace.database), *VIEWS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    counts = dict(line.split() for line in answer.stdout.splitlines())
    assert counts["predictions"] == "8"
    assert counts["predictions_all"] == "12"
    assert counts["tags"] == "49"


def test_partitions_above_the_workspace_are_not_taken_for_columns(archive: Archive) -> None:
    assert ask(archive.workspace, "SELECT DISTINCT head FROM predictions") == [(archive.head,)]
    assert ask(archive.workspace, "SELECT min(run_date) FROM predictions_all") == [(date(2026, 1, 1),)]
    columns = [row[0] for row in ask(archive.workspace, "DESCRIBE photos")]
    assert columns[-1] == "tagged"
    assert "run_date" not in columns


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_there_before_the_first_prediction_without_catalogue_and_head(
    view: str, workspace: Workspace
) -> None:
    rebuild_views(workspace, Config())
    rows = {"tags": 49, "tag_counts": 49, "precision_per_tag": 49, "workspace": 1}.get(view, 0)
    assert len(ask(workspace, f"FROM {view}")) == rows


def test_a_catalogue_of_ids_alone_has_typed_nulls_for_the_rest(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1}])
    commit(workspace, RUN_1, predictions=[prediction(1, {"Paths": 0.9})])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    sql = "SELECT gridimage_id, title, wgs84_lat, credit, contributed FROM predictions"
    assert ask(workspace, sql) == [(1, None, None, None, None)]
    assert ask(workspace, "FROM tag_counts_by_square") == [(None, "Paths", 1)]
    types = dict(row[:2] for row in ask(workspace, "DESCRIBE photos"))
    assert (types["tags"], types["updated_at"], types["tagged"]) == ("VARCHAR[]", "TIMESTAMP", "BOOLEAN")


def test_the_newest_prediction_is_of_the_greatest_run_id_however_the_ids_lie(workspace: Workspace) -> None:
    # Photos 15 and 16 are neighbours in two blocks of 16, 31 and 32 as well; 32 is predicted three times.
    runs = {RUN_1: (15, 16, 31, 32, 33), RUN_2: (16, 32), RUN_3: (32, 47)}
    for run_id, photos in runs.items():
        rows = [prediction(photo, {"Paths": 0.9}) for photo in photos]
        commit(workspace, run_id, predictions=rows, embeddings=[])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    newest = dict(ask(workspace, "SELECT gridimage_id, run_id FROM predictions_newest"))
    assert newest == {15: RUN_1, 16: RUN_2, 31: RUN_1, 32: RUN_3, 33: RUN_1, 47: RUN_3}
    assert ask(workspace, "SELECT count(*) FROM predictions_newest") == [(6,)]


def test_the_newest_prediction_is_found_however_often_each_photo_was_predicted(workspace: Workspace) -> None:
    # In blocks of 64 ids by themselves and all mixed: once, twice, three times, four times, and never.
    chance, runs = random.Random(3), (RUN_1, RUN_2, RUN_3, RUN_4)
    times = [1, 2, 3, 4, 1, 0]
    wanted: dict[int, str] = {}
    by_run: dict[str, list[int]] = {}
    for photo in range(64 * len(times) + 200):
        count = times[photo // 64] if photo < 64 * len(times) else chance.choice([0, 1, 1, 1, 2, 3, 4])
        for run_id in chance.sample(runs, count):
            wanted[photo] = max(wanted.get(photo, ""), run_id)
            by_run.setdefault(run_id, []).append(photo)
    for run_id, photos in by_run.items():
        commit(workspace, run_id, predictions=[prediction(photo, {"Paths": 0.9}) for photo in photos], embeddings=[])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    rows = ask(workspace, "SELECT gridimage_id, run_id FROM predictions_newest")
    assert len(rows) == len(wanted)
    assert dict(rows) == wanted


def test_a_failure_stands_until_a_later_embedding_or_prediction(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}], predictions=[prediction(2, {"Paths": 0.9})])
    commit(workspace, RUN_2, failures=[{"gridimage_id": photo} for photo in (1, 2, 3, 4)])
    commit(workspace, RUN_3, embeddings=[{"gridimage_id": 3}], predictions=[prediction(4, {"Paths": 0.9})])
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT gridimage_id FROM failures ORDER BY 1") == [(1,), (2,)]


def test_a_failure_is_due_once_the_photo_was_updated(workspace: Workspace) -> None:
    earlier, later = datetime(2025, 12, 31), datetime(2026, 1, 2)
    write_catalogue(
        workspace,
        [{"gridimage_id": 1, "updated_at": earlier}, {"gridimage_id": 2, "updated_at": later}, {"gridimage_id": 3}],
    )
    permanent = [{"gridimage_id": photo, "permanent": True, "error_class": "corrupt"} for photo in (1, 2)]
    waiting = {"gridimage_id": 3, "retry_after": datetime(2999, 1, 1)}
    commit(workspace, RUN_1, failures=[*permanent, waiting])
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT gridimage_id, due FROM failures ORDER BY 1") == [(1, False), (2, True), (3, False)]


@pytest.mark.parametrize(
    ("reference", "square"),
    [
        ("SU31", "SU31"),
        ("su 38 14", "SU31"),
        ("SU3871414872", "SU31"),
        ("J37", "J37"),
        ("O 1234 5678", "O15"),
        ("SU", None),
        ("SU387", None),
        ("SU387141487212", None),
        ("3814", None),
        ("SUX3814", None),
        ("", None),
    ],
)
def test_the_square_is_the_hectad_of_references_of_two_to_ten_figures(
    reference: str, square: str | None, workspace: Workspace
) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1, "grid_reference": reference}])
    commit(workspace, RUN_1, predictions=[prediction(1, {"Paths": 0.9})])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    assert ask(workspace, "FROM tag_counts_by_square") == [(square, "Paths", 1)]


def test_three_heads_are_compared_in_pairs(workspace: Workspace) -> None:
    for run_id, head, tag in ((RUN_1, "a", "Paths"), (RUN_2, "b", "Coastal"), (RUN_3, "c", "Paths")):
        commit(workspace, run_id, head=head, predictions=[prediction(1, {tag: 0.9})])
    commit(workspace, RUN_4, head="b", predictions=[prediction(1, {"Coastal": 0.9, "Paths": 0.8})])
    rebuild_views(workspace, Config())
    rows = ask(workspace, "SELECT head_a, head_b, only_a, only_b FROM head_diff")
    assert rows == [("a", "b", [], ["Coastal"]), ("b", "c", ["Coastal"], [])]


def test_embedded_counts_the_encoder_of_the_current_head_alone(workspace: Workspace) -> None:
    commit(workspace, RUN_1, embeddings=[{"gridimage_id": 1}, {"gridimage_id": 2}])
    sql = "SELECT embedded FROM coverage"
    rebuild_views(workspace, Config())
    assert ask(workspace, sql) == [(2,)]
    for encoder, embedded in ((ENCODER, 2), ("another", 0)):
        head = write_head(workspace, f"of-{encoder}", encoder)
        rebuild_views(workspace, replace(Config(), head=HeadConfig(head)))
        assert ask(workspace, "SELECT coalesce(sum(embedded), 0) FROM coverage") == [(embedded,)]


def test_other_links_to_photos_are_quoted(workspace: Workspace) -> None:
    commit(workspace, RUN_1, failures=[{"gridimage_id": 7}])
    config = replace(Config(), review=ReviewConfig("https://it's.example/?p={gridimage_id}#{gridimage_id}"))
    rebuild_views(workspace, config)
    assert ask(workspace, "SELECT photo_url FROM failures") == [("https://it's.example/?p=7#7",)]


def test_photos_added_to_the_catalogue_later_are_seen_without_new_views(workspace: Workspace) -> None:
    write_catalogue(workspace, [{"gridimage_id": 1, "title": "First"}], "part-1")
    rebuild_views(workspace, Config())
    write_catalogue(workspace, [{"gridimage_id": 2, "title": "Second"}], "part-2")
    assert ask(workspace, "SELECT title FROM photos ORDER BY 1") == [("First",), ("Second",)]


def test_what_is_committed_later_is_seen_without_new_views(workspace: Workspace) -> None:
    commit(workspace, RUN_1, predictions=[prediction(1, {"Paths": 0.9})])
    rebuild_views(workspace, replace(Config(), head=HeadConfig("head-1")))
    commit(workspace, RUN_2, predictions=[prediction(1, {"Coastal": 0.9}), prediction(2, {"Coastal": 0.9})])
    assert ask(workspace, "SELECT gridimage_id, tags FROM predictions ORDER BY 1") == [
        (1, ["Coastal"]),
        (2, ["Coastal"]),
    ]


def test_temporary_files_and_dotfiles_of_others_do_not_break_the_views(archive: Archive, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "copy")
    shutil.copytree(archive.workspace.root, workspace.root)
    folder = workspace.predictions_file(archive.head, RUN_1, 1).parent
    for name in (f"tmp_{RUN_1}-000001.parquet", f".{RUN_1}-000009.parquet", "notes.parquet"):
        (folder / name).write_bytes(b"half a file")
    rebuild_views(workspace, archive.config)
    assert ask(workspace, "SELECT count(*) FROM predictions") == [(8,)]


def test_a_broken_committed_file_is_one_clear_error_and_leaves_the_old_views(archive: Archive, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "copy")
    shutil.copytree(archive.workspace.root, workspace.root)
    before = workspace.database.read_bytes()
    for file in workspace.dataset_files("predictions"):
        file.write_bytes(b"half a file")
    with pytest.raises(StorageError, match="predictions_all") as caught:
        rebuild_views(workspace, archive.config)
    assert caught.value.hint == "run `geotag verify`"
    assert workspace.database.read_bytes() == before


def test_a_catalogue_with_ids_as_text_is_refused(workspace: Workspace) -> None:
    (workspace.root / "photos").mkdir()
    pq.write_table(pa.table({"gridimage_id": ["1"]}), workspace.root / "photos" / "part.parquet")
    with pytest.raises(CatalogueError, match="gridimage_id is string"):
        rebuild_views(workspace, Config())


def test_the_file_holds_views_and_nothing_else_and_is_closed(archive: Archive) -> None:
    workspace = archive.workspace
    with duckdb.connect(str(workspace.database)) as connection:  # for writing: nobody else may have it open
        assert connection.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)
        views = connection.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
    assert {row[0] for row in views} == set(VIEWS)
    assert not list(workspace.root.glob("*.wal"))
    assert not list(workspace.staging.glob("review*"))


def test_leftovers_of_a_killed_command_do_not_get_into_the_new_file(archive: Archive, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "workspace")
    workspace.staging.mkdir()
    (workspace.staging / "review.duckdb.staged").write_bytes(b"half a database")
    workspace.database.with_name("review.duckdb.wal").write_bytes(b"half a log")
    rebuild_views(workspace, Config())
    assert ask(workspace, "SELECT count(*) FROM tags") == [(len(tag_names()),)]


@pytest.fixture
def tagged(workspace: Workspace) -> Iterator[tuple[Workspace, Config]]:
    write_catalogue(workspace, PHOTOS)
    commit(workspace, RUN_1, predictions=[prediction(1, {"Paths": 0.9})])
    config = replace(Config(), head=HeadConfig("head-1"))
    rebuild_views(workspace, config)
    assert not views_are_stale(workspace, config)
    yield workspace, config


def test_the_views_are_stale_once_a_dataset_gets_its_first_file(tagged: tuple[Workspace, Config]) -> None:
    workspace, config = tagged
    commit(workspace, RUN_2, predictions=[prediction(2, {"Paths": 0.9})])
    assert not views_are_stale(workspace, config)
    commit(workspace, RUN_3, failures=[{"gridimage_id": 3}])
    assert views_are_stale(workspace, config)
    rebuild_views(workspace, config)
    assert not views_are_stale(workspace, config)


def test_the_views_are_stale_with_another_head_catalogue_or_place(tagged: tuple[Workspace, Config]) -> None:
    workspace, config = tagged
    assert views_are_stale(workspace, replace(config, head=HeadConfig("head-2")))
    assert views_are_stale(workspace, replace(config, photos=PhotosConfig("elsewhere/*.parquet")))
    moved = Workspace(workspace.root.with_name("moved"))
    workspace.root.rename(moved.root)
    assert views_are_stale(moved, config)


def test_the_views_are_stale_where_the_file_is_missing_or_broken(tagged: tuple[Workspace, Config]) -> None:
    workspace, config = tagged
    workspace.database.write_bytes(b"half a database")
    assert views_are_stale(workspace, config)
    workspace.database.unlink()
    assert views_are_stale(workspace, config)


CALLS = {
    "queue": "queue(2)",
    "queue_for_tag": "queue_for_tag('Paths')",
    "queue_in_hectad": "queue_in_hectad('su31')",
    "photo": "photo(2)",
    "series_of": "series_of(3)",
    "similar_to": "similar_to(2, first_rows := 3)",
    "similar_to_title": "similar_to_title(2, first_rows := 2)",
}


@pytest.mark.parametrize("macro", MACROS)
def test_each_macro_answers_with_its_views_empty_or_filled(macro: str, archive: Archive, workspace: Workspace) -> None:
    photos = {"queue": [5, 9], "queue_for_tag": [5, 9, 4, 8, 50_000], "queue_in_hectad": [3], "photo": [2, 2]}
    photos |= {"similar_to": [1, 3, 4], "similar_to_title": [1, 3]}
    rows = ask(archive.workspace, f"SELECT gridimage_id FROM {CALLS[macro]}")
    assert rows == [(number,) for number in photos.get(macro, [3])]
    rebuild_views(workspace, Config())
    assert ask(workspace, f"FROM {CALLS[macro]}") == []


def test_one_photo_shows_its_predictions_decisions_and_failure(archive: Archive) -> None:
    sql = "SELECT title, head, tags, accepted, added, rejected, failure FROM"
    assert ask(archive.workspace, f"{sql} photo(2)") == [
        ("A path", archive.other, ["Paths"], ["Paths"], [], ["Coastal"], None),
        ("A path", archive.head, ["Coastal", "Paths"], ["Paths"], [], ["Coastal"], None),
    ]
    assert ask(archive.workspace, f"{sql} photo(6)") == [("Gone", None, None, None, None, None, "missing")]
    assert ask(archive.workspace, f"{sql} photo(99)") == []


def test_macros_answer_under_another_name_once_it_is_used(archive: Archive) -> None:
    with duckdb.connect() as shell:
        shell.execute(f"ATTACH '{str(archive.workspace.database).replace(chr(39), chr(39) * 2)}' AS other (READ_ONLY)")
        shell.execute("USE other")
        assert shell.execute("SELECT gridimage_id FROM queue(1)").fetchall() == [(5,)]


def test_no_macro_is_without_a_call_or_a_place_in_the_list() -> None:
    assert set(MACROS) == set(sql_names("macros")) == set(CALLS)
