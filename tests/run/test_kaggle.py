"""The competition's file: columns and order, every test id once, at least one tag."""

import csv
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from geotag_batch.errors import InputError
from geotag_batch.predict.head import save_policy
from geotag_batch.predict.policy import Policy
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.kaggle import Submission, SubmissionReport, competition_header, write_submission
from geotag_batch.run.plan import Selection
from geotag_batch.taxonomy import tags
from tests.run.conftest import Archive


@pytest.fixture
def embedded(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 30 photos, 1 to 25 of them embedded."""
    made = archive(30)
    run_embed(made.workspace, made.config, Job("embed", Selection(ids=tuple(range(1, 26)))))
    return made


def _submit(embedded: Archive, tmp_path: Path, ids: str, **options: str) -> SubmissionReport:
    test = tmp_path / "test.csv"
    test.write_text(ids)
    submission = Submission(test, tmp_path / "submission.csv.zip", **options)  # type: ignore[arg-type]
    return write_submission(embedded.workspace, embedded.config, submission)


def _rows(path: Path) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["submission.csv"]
        return list(csv.reader(io.StringIO(archive.read("submission.csv").decode("ascii"))))


def test_each_test_id_is_there_once_in_its_order_with_at_least_one_tag(embedded: Archive, tmp_path: Path) -> None:
    save_policy(embedded.workspace, str(embedded.config.head.current), Policy(0.9999, at_least_one=False))
    report = _submit(embedded, tmp_path, "\ufeffgridimage_id\r\n7\r\n3\r\n25\r\n3\r\n")
    header, *rows = _rows(report.path)
    assert header == ["gridimage_id", *(f"tag{tag.tag_id}" for tag in tags())]
    assert [row[0] for row in rows] == ["7", "3", "25"]
    assert {value for row in rows for value in row[1:]} == {"0", "1"}
    assert all("1" in row[1:] for row in rows)
    assert (report.photos, report.missing) == (3, 0)
    assert not list(tmp_path.glob(".*"))


def test_tags_are_those_that_backfill_gives(embedded: Archive, tmp_path: Path) -> None:
    report = _submit(embedded, tmp_path, "\n".join(str(number) for number in range(1, 26)))
    embedded.backfill(ids=tuple(range(1, 26)))
    given = dict(embedded.rows("SELECT gridimage_id, tags FROM predictions"))
    names = [tag.tag for tag in tags()]
    _, *rows = _rows(report.path)
    assert len(rows) == 25
    for number, *values in rows:
        assert given[int(number)] == [name for name, value in zip(names, values, strict=True) if value == "1"]


def test_the_same_head_gives_the_same_bytes(embedded: Archive, tmp_path: Path) -> None:
    first = _submit(embedded, tmp_path, "1\n2\n").path.read_bytes()
    assert _submit(embedded, tmp_path, "1\n2\n").path.read_bytes() == first


def test_photos_that_cannot_be_scored_are_named_or_get_the_tag_asked_for(embedded: Archive, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 of 4 test photos .*: 28, 29, 77") as caught:
        _submit(embedded, tmp_path, "1\n28\n29\n77\n")
    assert "geotag embed --all --ids" in str(caught.value.hint)
    assert not (tmp_path / "submission.csv.zip").exists()
    report = _submit(embedded, tmp_path, "28\n1\n77\n", missing_as="Islands")
    assert report.missing == 2
    header, *rows = _rows(report.path)
    place = header.index(f"tag{next(tag.tag_id for tag in tags() if tag.tag == 'Islands')}")
    for row in (rows[0], rows[2]):
        assert [column for column, value in enumerate(row) if column and value == "1"] == [place]
    with pytest.raises(InputError, match="'Seaside' is no tag"):
        _submit(embedded, tmp_path, "1\n", missing_as="Seaside")


@pytest.mark.parametrize("ids", ["7.5\n", "-3\n", "gridimage_id\nabc\n", ""])
def test_a_test_file_that_holds_something_else_is_an_error(embedded: Archive, tmp_path: Path, ids: str) -> None:
    with pytest.raises(InputError):
        _submit(embedded, tmp_path, ids)


def test_a_competition_with_other_columns_is_refused(embedded: Archive, tmp_path: Path) -> None:
    like = tmp_path / "train.csv"
    columns = competition_header()
    for wrong, message in (
        (["id", *columns[1:]], "column 1 is 'id', should be 'gridimage_id'"),
        ([*columns[:3], "tag1", *columns[4:]], "column 4 is 'tag1'"),
        (columns[:-1], "column 50 is missing"),
    ):
        like.write_text(",".join(wrong) + "\n")
        with pytest.raises(InputError, match=message):
            _submit(embedded, tmp_path, "1\n", like=like)  # type: ignore[arg-type]
    like.write_text(",".join(columns) + "\n")
    assert _submit(embedded, tmp_path, "1\n", like=like).photos == 1  # type: ignore[arg-type]


def test_the_columns_are_those_of_the_real_competition(shared: Path) -> None:
    with zipfile.ZipFile(shared / "train.csv.zip") as archive, archive.open(archive.namelist()[0]) as file:
        assert file.readline().decode().strip().split(",") == competition_header()
