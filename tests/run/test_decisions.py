"""Decisions from files and into files: all or nothing, never twice, and what is refused is named."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import Config
from geotag_batch.duck import sql_names
from geotag_batch.errors import InputError, StorageError, UsageError
from geotag_batch.run import decisions as module
from geotag_batch.run.decisions import export_decisions, import_decisions, refresh_views
from geotag_batch.run.prune import PruneRequest, prune
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace
from geotag_batch.write.compaction import compact_decisions
from geotag_batch.write.decisions import Decision, append_decisions
from tests.builders import HEAD, RUN_1, commit, write_catalogue
from tests.run.conftest import rows_of

STATIC = "gridimage_id,tag,decision,reviewer,decided_at,head,run_id,score\n"
"""The columns of the file that a page of `geotag review --static` lets people download."""


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace whose catalogue has photos 1 to 9."""
    write_catalogue(workspace, [{"gridimage_id": number, "title": "A photo"} for number in range(1, 10)])
    return workspace


def write(workspace: Workspace, text: str, name: str = "decided.csv") -> Path:
    path = workspace.root / name
    path.write_text(text, encoding="utf-8")
    return path


def take(workspace: Workspace, text: str, **more: Any) -> module.ImportTotals:  # noqa: ANN401
    return import_decisions(workspace, Config(), write(workspace, text), **more)


def newest(workspace: Workspace) -> list[tuple[Any, ...]]:
    refresh_views(workspace, Config())
    return rows_of(workspace, "SELECT gridimage_id, tag, decision, reviewer FROM decisions_newest ORDER BY ALL")


def problems(workspace: Workspace) -> list[str]:
    return [f"{problem.where}: {problem.what}" for problem in verify(workspace).problems]


def test_the_static_pages_file_is_taken_with_all_it_says(filled: Workspace) -> None:
    totals = take(
        filled,
        STATIC
        + '1,Paths,accept,"Ann, of Bath",2026-01-31T18:30:00.125Z,head-1,run-1,0.75\r\n'
        + "2,Coastal,reject,Bob,2026-01-31T19:30:00+01:00,,,\r\n",
        source="static",
    )
    assert (totals.rows, totals.taken, totals.known, totals.refused) == (2, 2, 0, [])
    assert rows_of(filled, "SELECT * EXCLUDE (decision_id, policy_id) FROM decisions ORDER BY 1") == [
        (1, "Paths", "accept", "Ann, of Bath", datetime(2026, 1, 31, 18, 30, 0, 125000), "static", "head-1", "run-1",
         0.75),
        (2, "Coastal", "reject", "Bob", datetime(2026, 1, 31, 18, 30), "static", None, None, None),
    ]  # fmt: skip


def test_the_same_file_again_adds_nothing(filled: Workspace) -> None:
    text = STATIC + "1,Paths,accept,Ann,2026-01-31T18:30:00Z,,,\n1,Paths,withdraw,Ann,2026-01-31T18:31:00Z,,,\n"
    take(filled, text)
    totals = take(filled, text)
    assert (totals.taken, totals.known) == (0, 2)
    assert newest(filled) == []
    assert len(list(filled.dataset_files("decisions"))) == 1


def test_a_file_without_times_is_taken_once_and_needs_a_name(filled: Workspace) -> None:
    text = "gridimage_id,tag,decision,remark\n3,Paths,add,nice\n"
    with pytest.raises(InputError, match="has no reviewer"):
        take(filled, text)
    for taken in (1, 0):
        totals = take(filled, text, reviewer="Ann")
        assert (totals.taken, totals.ignored_columns) == (taken, ("remark",))
    assert newest(filled) == [(3, "Paths", "add", "Ann")]


def test_the_last_word_in_a_file_is_the_latest_one_wherever_it_stands(filled: Workspace) -> None:
    take(filled, STATIC + "1,Paths,reject,Ann,2026-01-02,,,\n1,Paths,accept,Ann,2026-01-01,,,\n")
    assert newest(filled) == [(1, "Paths", "reject", "Ann")]


def test_each_bad_row_is_refused_with_its_line_and_its_reason(filled: Workspace) -> None:
    totals = take(
        filled,
        STATIC + "1,Paths,accept,Ann,2026-01-01,,,0.5\n"
        "1.5,Paths,accept,Ann,2026-01-01,,,\n"
        "1,Cheese,accept,Ann,2026-01-01,,,\n"
        "1,Paths,perhaps,Ann,2026-01-01,,,\n"
        "1,Paths,accept,,2026-01-01,,,\n"
        "1,Paths,accept,Ann,yesterday,,,\n"
        "1,Paths,accept,Ann,2026-01-01,,,7\n"
        "77,Paths,accept,Ann,2026-01-01,,,\n"
        "1,Paths\n"
        '"2","Paths",accept,"Ann\nand Bob",2026-01-01,,,\n'
        "0,Paths,accept,Ann,2026-01-01,,,\n",
    )
    assert (totals.rows, totals.taken) == (11, 2)
    reasons = {
        3: "'1.5' is no gridimage_id",
        4: "'Cheese' is none of the 49 tags",
        5: "'perhaps' is none of accept, reject, add, withdraw",
        6: "a decision on photo 1 has no reviewer or no source",
        7: "'yesterday' is no time such as 2026-01-31T18:30:00Z",
        8: "'7' is no score from 0 to 1",
        9: "photo 77 is not in the catalogue",
        10: "has 2 values, the header names 8 columns",
        13: "0 is no gridimage_id: it must be positive",
    }
    assert dict(totals.refused) == reasons
    assert totals.rejected_file is not None
    lines = [line.split("\t") for line in totals.rejected_file.read_text("utf-8").splitlines()]
    assert lines[0] == ["file", "line", "reason", "text"]
    assert {int(line[1]): line[2] for line in lines[1:]} == reasons
    assert lines[2][3] == "1,Cheese,accept,Ann,2026-01-01,,,"


def test_a_file_without_one_good_row_is_an_error_and_leaves_no_decision(filled: Workspace) -> None:
    with pytest.raises(InputError, match=r"no row can be used, the first one \(line 2\) because photo 77"):
        take(filled, STATIC + "77,Paths,accept,Ann,2026-01-01,,,\n")
    assert list(filled.dataset_files("decisions")) == []


def test_a_word_older_than_what_stands_does_not_overtake_it(filled: Workspace) -> None:
    take(filled, STATIC + "1,Paths,reject,Bob,2026-01-03,,,\n")
    totals = take(filled, STATIC + "1,Paths,accept,Ann,2026-01-02,,,\n1,Coastal,accept,Ann,2026-01-02,,,\n")
    assert totals.refused == [(2, "Bob decided later, on 2026-01-03 at 00:00:00 UTC")]
    assert newest(filled) == [(1, "Coastal", "accept", "Ann"), (1, "Paths", "reject", "Bob")]


def test_nothing_is_half_imported_when_the_disk_refuses(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("no space")

    monkeypatch.setattr("geotag_batch.write.decisions.publish_parquet", refuse)
    with pytest.raises(StorageError, match="no space"):
        take(filled, STATIC + "1,Paths,accept,Ann,2026-01-01,,,\n2,Paths,accept,Ann,2026-01-01,,,\n")
    assert list(filled.dataset_files("decisions")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column gridimage_id, tag, decision"),
        ("gridimage_id,tag\n1,Paths\n", "has no column decision"),
        ("gridimage_id,tag,decision,tag\n", "has the column tag twice"),
        ('gridimage_id,tag,decision\n1,"Paths\n', "cannot be read"),
    ],
)
def test_a_file_that_holds_no_decisions_is_an_error(filled: Workspace, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        take(filled, text)


def test_a_file_that_is_not_there_or_not_text_is_an_error(filled: Workspace) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        import_decisions(filled, Config(), filled.root / "nowhere.csv")
    (filled.root / "latin.csv").write_bytes("gridimage_id,tag,decision\n1,Päths,add\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        import_decisions(filled, Config(), filled.root / "latin.csv")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_was_exported_is_known_here_and_makes_the_same_elsewhere(
    filled: Workspace, tmp_path: Path, kind: str
) -> None:
    at = datetime(2026, 5, 4, 3, 2, 1, 123456)
    first = Decision(1, "Paths", "accept", "Ann", "review", "head-1", "policy-1", "run-1", 0.1, at)
    append_decisions(filled, [first, Decision(2, "Boundary, Barrier", "reject", 'B "x"', "review")])
    # By a clock that is behind: the order of decision_ids counts, here and elsewhere.
    append_decisions(filled, [Decision(1, "Paths", "reject", "Bob", "review", decided_at=at - timedelta(days=1))])
    out = filled.root / f"out.{kind}"
    assert export_decisions(filled, Config(), out) == 3
    assert import_decisions(filled, Config(), out).known == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "geotag.toml").touch()
    other = Workspace(tmp_path / "other")
    write_catalogue(other, [{"gridimage_id": number} for number in (1, 2)])
    assert import_decisions(other, Config(), out).taken == 3
    stands = [(1, "Paths", "reject", "Bob"), (2, "Boundary, Barrier", "reject", 'B "x"')]
    assert newest(other) == newest(filled) == stands
    columns = "SELECT * EXCLUDE decision_id FROM decisions ORDER BY decision_id"
    assert rows_of(other, columns) == rows_of(filled, columns)


def test_only_what_counts_now_can_be_exported(filled: Workspace) -> None:
    for kind in ("accept", "withdraw", "reject"):
        append_decisions(filled, [Decision(1, "Paths", kind, "Ann", "review")])
    out = filled.root / "out.parquet"
    assert export_decisions(filled, Config(), out, newest=True) == 1
    assert pq.read_table(out)["decision"].to_pylist() == ["reject"]
    with pytest.raises(UsageError, match=r"neither \.csv nor \.parquet"):
        export_decisions(filled, Config(), filled.root / "out.xlsx")


def test_parquet_with_other_types_is_read_by_what_it_means(filled: Workspace) -> None:
    table = pa.table({"gridimage_id": pa.array([4], pa.int32()), "tag": ["Paths"], "decision": ["add"]})
    pq.write_table(table, filled.root / "in.parquet")
    assert import_decisions(filled, Config(), filled.root / "in.parquet", reviewer="Ann").taken == 1


def test_verify_knows_the_decisions_and_names_each_damage(filled: Workspace) -> None:
    for photo in (1, 2):
        append_decisions(filled, [Decision(photo, "Paths", "accept", "Ann", "review")])
    compact_decisions(filled)
    report = verify(filled)
    assert (report.problems, report.rows["decisions"]) == ([], 4)  # two of them twice, until the small files go
    first, *_ = filled.dataset_files("decisions")
    table = pq.read_table(first)
    changed = table.set_column(2, table.schema.field("tag"), pa.array(["Cheese"]))
    pq.write_table(changed, first)
    (filled.decisions / "notes.txt").write_text("what is this?")
    found = "\n".join(problems(filled))
    assert "tag has 'Cheese', which is none of the 49" in found
    assert re.search(r"decisions: two files say different things under \d{8}T", found)
    assert "decisions/notes.txt: is not a committed file" in found
    first.rename(first.with_name(first.name.replace("0000001", "0000007")))
    assert any("has 1 rows, its name says 7" in what for what in problems(filled))


def test_prune_leaves_decisions_alone(filled: Workspace) -> None:
    commit(filled, RUN_1, predictions=[{"gridimage_id": 1}, {"gridimage_id": 99}])
    append_decisions(filled, [Decision(99, "Paths", "accept", "Ann", "review", HEAD)])
    prune(filled, Config(), PruneRequest(heads=(HEAD,)))
    commit(filled, RUN_1, predictions=[{"gridimage_id": 99}], number=2)
    assert prune(filled, Config(), PruneRequest(withdrawn=True))
    assert newest(filled) == [(99, "Paths", "accept", "Ann")]


def test_every_statement_about_decisions_is_run() -> None:
    assert sql_names("decisions") == ("everything", "known", "newest", "unknown_photos")
