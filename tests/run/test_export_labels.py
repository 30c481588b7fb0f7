"""Labels for the site: what heads and people say now, the same in every form, and what changed since."""

import gzip
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from geotag_batch.config import Config, HeadConfig
from geotag_batch.errors import CatalogueError, LockedError, StorageError, UsageError
from geotag_batch.run.export_labels import ExportedLabels, LabelExport, export_labels
from geotag_batch.run.remembered import Remembered
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.builders import write_catalogue
from tests.data import (
    COASTAL,
    MOORLAND,
    PATHS,
    PHOTOS,
    RAILWAYS,
    RUN_1,
    RUN_2,
    RUN_4,
    commit_run,
    prediction,
    run_time,
    write_archive,
)

Rows = list[tuple[Any, ...]]

NOW = [
    (1, COASTAL, 0.95),
    (2, COASTAL, 0.7),
    (2, PATHS, 0.9),
    (3, RAILWAYS, 0.8),
    (4, COASTAL, 0.9),
    (4, PATHS, 0.8),
    (5, PATHS, 0.4),
    (6, "Failed", None),
    (7, "Failed", None),
    (8, PATHS, 0.7),
    (50_000, PATHS, 0.99),
]
"""What is to be exported of `write_archive`: photo 9 was withdrawn, 8 failed first, 50,001 is pending."""


@pytest.fixture
def config(workspace: Workspace) -> Config:
    """Return the configuration of a workspace with the small archive in it."""
    return write_archive(workspace)[0]


def decide(workspace: Workspace, *words: tuple[int, str, str]) -> None:
    append_decisions(workspace, [Decision(photo, tag, word, "Ann", "test") for photo, tag, word in words])


def read(path: Path, columns: str = "gridimage_id, label, score") -> Rows:
    """Return the rows of an exported file, read by DuckDB, scores as float32."""
    typed = "{'gridimage_id': 'BIGINT', 'label': 'VARCHAR', 'score': 'FLOAT', 'source': 'VARCHAR'}"
    reader = {
        ".csv": f"read_csv('{path}', nullstr = '', all_varchar = true)",
        ".jsonl": f"read_json('{path}', format = 'newline_delimited', columns = {typed})",
        ".parquet": f"'{path}'",
    }[path.suffixes[0]]
    with duckdb.connect() as connection:
        rows = connection.execute(f"SELECT {columns.replace('score', 'CAST(score AS FLOAT)')} FROM {reader}").fetchall()
    return [(int(row[0]), row[1], None if row[2] is None else float(row[2]), *row[3:]) for row in rows]


def rounded(rows: Rows) -> Rows:
    return [(*row[:2], None if row[2] is None else round(row[2], 6), *row[3:]) for row in rows]


def export(
    workspace: Workspace,
    config: Config,
    name: str = "labels.jsonl",
    **wanted: Any,  # noqa: ANN401
) -> tuple[ExportedLabels, Rows]:
    out = workspace.root.parent / name
    done = export_labels(workspace, config, str(out), LabelExport(**wanted))
    return done, rounded(read(out, f"gridimage_id, label, score{', source' if wanted.get('with_source') else ''}"))


def test_every_form_holds_the_same_rows(workspace: Workspace, config: Config) -> None:
    for name in ("a.jsonl", "a.jsonl.gz", "a.csv.gz", "a.parquet"):
        done, rows = export(workspace, config, name)
        assert rows == NOW, name
    assert (done.photos, done.labels, done.none, done.failed, done.withdrawn) == (9, 9, 0, 2, 0)
    scores = [read(workspace.root.parent / name) for name in ("a.jsonl", "a.csv.gz", "a.parquet")]
    assert scores[0] == scores[1] == scores[2], "to the bit"
    text = (workspace.root.parent / "a.jsonl").read_text(encoding="utf-8")
    assert gzip.decompress((workspace.root.parent / "a.jsonl.gz").read_bytes()).decode() == text
    assert json.loads(text.splitlines()[0]) == {"gridimage_id": 1, "label": COASTAL, "score": 0.95}


def test_a_photo_without_a_label_over_the_score_has_a_row_none(workspace: Workspace, config: Config) -> None:
    done, rows = export(workspace, config, min_score=0.9)
    assert rows == [
        (1, COASTAL, 0.95),
        (2, "None", None),  # 0.9 itself is not over it
        (3, "None", None),
        (4, "None", None),
        (5, "None", None),
        (6, "Failed", None),
        (7, "Failed", None),
        (8, "None", None),
        (50_000, PATHS, 0.99),
    ]
    assert (done.labels, done.none, done.failed) == (2, 5, 2)


def test_what_people_decided_is_so_whatever_the_head_says(workspace: Workspace, config: Config) -> None:
    decide(workspace, (2, COASTAL, "reject"), (2, PATHS, "accept"), (3, RAILWAYS, "reject"), (6, MOORLAND, "add"))
    decide(workspace, (50_001, MOORLAND, "reject"), (4, COASTAL, "reject"), (4, COASTAL, "withdraw"))
    done, rows = export(workspace, config, with_source=True)
    assert [row for row in rows if row[0] in (2, 3, 4, 6, 50_001)] == [
        (2, PATHS, 1.0, "accepted"),
        (3, "None", None, "head"),
        (4, COASTAL, 0.9, "head"),
        (4, PATHS, 0.8, "head"),
        (6, MOORLAND, 1.0, "added"),
        (50_001, "None", None, "head"),
    ]
    assert (done.confirmed, done.rejected) == (2, 2)


class Site:
    """What the site has: it replaces all that it had of each photo in a file, as docs/exchange.md says."""

    def __init__(self) -> None:
        self.rows: dict[int, Rows] = {}

    def take(self, rows: Rows) -> None:
        for photo in {row[0] for row in rows}:
            self.rows[photo] = [row for row in rows if row[0] == photo and row[1] != "Withdrawn"]

    @property
    def all(self) -> Rows:
        return [row for photo in sorted(self.rows) for row in self.rows[photo]]


def test_one_full_export_and_then_what_changed_is_the_same_as_a_full_export_now(
    workspace: Workspace, config: Config
) -> None:
    site = Site()
    head = config.head.current
    assert head is not None

    def given() -> Rows:
        rows = export(workspace, config, since="last")[1]
        site.take(rows)
        return rows

    assert given() == NOW
    assert given() == []
    steps: list[tuple[Callable[[], object], set[int]]] = [
        (lambda: decide(workspace, (2, COASTAL, "reject"), (3, RAILWAYS, "accept")), {2, 3}),
        (
            lambda: commit_run(
                workspace, "20260105T000000Z-eeee", head, predictions=[prediction(6, {PATHS: 0.6}), prediction(1, {})]
            ),
            {1, 6},
        ),
        (lambda: write_catalogue(workspace, [photo for photo in PHOTOS if photo["gridimage_id"] != 4]), {4}),
        (lambda: decide(workspace, (50_001, COASTAL, "add")), {50_001}),
        (lambda: decide(workspace, (50_001, COASTAL, "withdraw")), {50_001}),
    ]
    for change, photos in steps:
        change()
        assert {row[0] for row in given()} == photos
        assert site.all == export(workspace, config, "full.jsonl")[1]
    site.take(export(workspace, config, since="last", min_score=0.75)[1])
    assert site.all == export(workspace, config, "full.jsonl", min_score=0.75)[1]


def test_labels_stand_until_another_head_has_spoken_and_are_all_replaced_then(
    workspace: Workspace, config: Config
) -> None:
    site = Site()
    site.take(export(workspace, config, since="last")[1])
    (other,) = {path.name for path in workspace.heads.iterdir()} - {config.head.current}
    config = replace(config, head=HeadConfig(other))
    done, rows = export(workspace, config, since="last")
    site.take(rows)
    assert {row[0] for row in rows} == {1, 2, 3}
    assert site.rows[1] == [(1, COASTAL, 0.6)]
    assert site.rows[2] == [(2, PATHS, 0.9)], "COASTAL, which the other head does not give, is gone"
    assert site.rows[4] == [(4, COASTAL, 0.9), (4, PATHS, 0.8)], "of photo 4 it has said nothing yet"
    assert done.withdrawn == 0


def test_each_consumer_has_a_last_export_of_its_own_and_a_plain_export_moves_none(
    workspace: Workspace, config: Config
) -> None:
    assert export(workspace, config, since="last")[0].complete, "the first"
    assert export(workspace, config, since="last", consumer="mirror")[0].complete
    decide(workspace, (2, COASTAL, "reject"))
    export(workspace, config)
    assert export(workspace, config, since="last")[0].photos == 1
    assert export(workspace, config, since="last", consumer="mirror")[0].photos == 1
    decide(workspace, (2, COASTAL, "withdraw"))
    assert export(workspace, config, remember=True)[0].complete
    assert export(workspace, config, since="last")[0].photos == 0
    with pytest.raises(UsageError, match="cannot name a consumer"):
        export(workspace, config, since="last", consumer="../site")


def test_since_a_run_or_a_time_are_the_photos_of_which_a_run_or_a_reviewer_has_spoken(
    workspace: Workspace, config: Config
) -> None:
    assert {row[0] for row in export(workspace, config, since=RUN_2)[1]} == {1, 4, 5, 7, 8, 50_000}
    started = run_time(RUN_2)
    for moment, photos in (
        (run_time(RUN_1), {row[0] for row in NOW}),
        (started + timedelta(seconds=59), {1, 4, 5, 7, 8, 50_000}),  # it ended after a minute
        (started + timedelta(seconds=61), set[int]()),
        (run_time(RUN_4), set[int]()),
    ):
        assert {row[0] for row in export(workspace, config, since=moment)[1]} == photos
    before = datetime(2026, 2, 1)
    decide(workspace, (2, COASTAL, "reject"), (3, RAILWAYS, "reject"))
    decide(workspace, (3, RAILWAYS, "withdraw"))
    rows = export(workspace, config, since=before)[1]
    assert rows == [(2, PATHS, 0.9), (3, RAILWAYS, 0.8)]
    with pytest.raises(UsageError, match="neither last"):
        export(workspace, config, since="yesterday")


def test_a_run_under_way_counts_as_speaking_still(workspace: Workspace, config: Config) -> None:
    head = config.head.current
    assert head is not None
    commit_run(workspace, "20260105T000000Z-eeee", head, status="running", predictions=[prediction(6, {PATHS: 0.6})])
    assert {row[0] for row in export(workspace, config, since=datetime(2100, 1, 1))[1]} == {6}


def test_an_export_that_fails_leaves_the_file_before_and_remembers_nothing(
    workspace: Workspace, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    out = workspace.root.parent / "labels.jsonl"
    export(workspace, config, since="last")
    decide(workspace, (2, COASTAL, "reject"))
    catalogue = workspace.root / "photos" / "photos.parquet"
    catalogue.rename(workspace.root / "away")
    with pytest.raises(CatalogueError):
        export(workspace, config, since="last")
    (workspace.root / "away").rename(catalogue)
    broken = next(workspace.dataset_files("predictions"))
    data = broken.read_bytes()
    broken.write_bytes(data[:-9])
    with pytest.raises(StorageError):
        export(workspace, config, since="last")
    broken.write_bytes(data)
    assert rounded(read(out)) == NOW
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    assert {row[0] for row in export(workspace, config, since="last")[1]} == {2}


@pytest.mark.parametrize("since", [None, "last"])
def test_before_the_first_run_there_are_no_labels_and_all_come_after_it(
    workspace: Workspace, config: Config, since: str | None
) -> None:
    for dataset in (workspace.predictions, workspace.failures):
        dataset.rename(workspace.root / f"{dataset.name}.away")
    done, rows = export(workspace, config, since=since)
    assert (done.photos, rows) == (0, [])
    for dataset in (workspace.predictions, workspace.failures):
        (workspace.root / f"{dataset.name}.away").rename(dataset)
    assert export(workspace, config, since=since)[1] == NOW


def test_an_empty_catalogue_withdraws_nothing(workspace: Workspace, config: Config) -> None:
    export(workspace, config, since="last")
    write_catalogue(workspace, [])
    with pytest.raises(CatalogueError, match="no photos"):
        export(workspace, config, since="last")


def test_two_exports_for_one_consumer_do_not_get_in_each_others_way(workspace: Workspace, config: Config) -> None:
    with Remembered(workspace, "site").held(), pytest.raises(LockedError, match="another export"):
        export(workspace, config, since="last")


def test_a_dash_is_standard_output(workspace: Workspace, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for format_ in (None, "parquet"):
        stream = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(stream))
        export_labels(workspace, config, "-", LabelExport(), format_)
        path = workspace.root.parent / f"out.{format_ or 'jsonl'}"
        path.write_bytes(stream.getvalue())
        assert rounded(read(path)) == NOW
        os.remove(path)


@pytest.mark.parametrize("out", ["labels", "labels.txt", "labels.parquet.gz", "labels.gz"])
def test_a_name_that_says_no_format_is_refused(workspace: Workspace, config: Config, out: str) -> None:
    with pytest.raises(UsageError, match=r"does not say what to write|compressed already"):
        export_labels(workspace, config, str(workspace.root.parent / out), LabelExport())
