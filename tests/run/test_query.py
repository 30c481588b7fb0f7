"""`geotag query`: one SELECT as table, CSV or JSON, and nothing else."""

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from geotag_batch.config import load_config
from geotag_batch.errors import ConfigError, GeotagError, StorageError, UsageError
from geotag_batch.run.query import query
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views
from tests.builders import HEAD, RUN_1, commit, write_catalogue

TITLE = 'Bob\'s \x1b[31mred\x07 "house", <b>\nsecond line'


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """Return a workspace with one prediction, its views made, under a folder with an awkward name."""
    moved = workspace.root.parent / "[a] it's=b"
    shutil.move(workspace.root, moved)
    found = Workspace(moved)
    write_catalogue(found, [{"gridimage_id": 1, "title": TITLE}])
    commit(found, RUN_1, predictions=[{"gridimage_id": 1}])
    rebuild_views(found, load_config(found, {}).with_flags({"head.current": HEAD}))
    return found


def ask(workspace: Workspace, sql: str, format_: str = "table", *, raw: bool = False) -> str:
    """Return the answer to a query."""
    return "\n".join(query(workspace, load_config(workspace, {}), sql, format_, raw=raw))  # type: ignore[arg-type]


def test_a_table_has_a_line_a_row_and_nothing_that_a_terminal_would_obey(filled: Workspace) -> None:
    lines = ask(filled, "SELECT gridimage_id, title, tags, 0.123456::DOUBLE AS x, NULL AS y FROM predictions").split(
        "\n"
    )
    assert len(lines) == 4
    assert lines[0].split() == ["gridimage_id", "title", "tags", "x", "y"]
    assert "\\u001b[31mred\\u0007" in lines[2] and "\\u000a" in lines[2] and "0.1235" in lines[2]
    assert "Energy infrastructure" in lines[2]
    assert lines[3] == "(1 row)"


def test_csv_starts_no_formula_and_obeys_no_escape_unless_it_is_asked_for_raw(filled: Workspace) -> None:
    hostile = "=HYPERLINK(A1)", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "\x1b[2J", "\u202egpj.exe"
    columns = ", ".join(f"'{text}' AS c{number}" for number, text in enumerate(hostile))
    sql = f"SELECT {columns}, -1 AS number, -0.5::DOUBLE AS fraction, 'a - b' AS plain, 1 AS \"=1\""
    names, row = csv.reader(io.StringIO(ask(filled, sql, "csv"), newline=""))
    assert row[:7] == ["'=HYPERLINK(A1)", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\\u000d=1", "'\uff1d1"]
    assert row[7:] == ["\\u001b[2J", "\\u202egpj.exe", "-1", "-0.5", "a - b", "1"]
    assert names[-1] == "'=1"
    raw = list(csv.reader(io.StringIO(ask(filled, sql, "csv", raw=True), newline="")))
    assert raw[1] == [*hostile, "-1", "-0.5", "a - b", "1"]


def test_raw_csv_comes_back_as_it_was(filled: Workspace) -> None:
    text = ask(filled, "SELECT gridimage_id, title, tags FROM predictions", "csv", raw=True)
    assert list(csv.reader(text.splitlines(keepends=True))) == [
        ["gridimage_id", "title", "tags"],
        ["1", TITLE, '["Energy infrastructure"]'],
    ]


def test_json_is_valid_and_has_null_for_what_is_not_a_number(filled: Workspace) -> None:
    sql = "SELECT title, tags, predicted_at, 'nan'::DOUBLE AS x, {'a': 'inf'::FLOAT} AS y FROM predictions"
    (row,) = json.loads(ask(filled, sql, "json"))
    assert row == {
        "title": TITLE,
        "tags": ["Energy infrastructure"],
        "predicted_at": "2026-01-01T00:00:00",
        "x": None,
        "y": {"a": None},
    }


def test_decimals_are_numbers_in_json(filled: Workspace) -> None:
    assert ask(filled, "SELECT 0.5 AS x, 3.0 AS y, sum(1) AS z", "json") == '[\n{"x": 0.5, "y": 3, "z": 1}\n]'


def test_two_columns_of_one_name_are_refused_in_json_rather_than_one_lost(filled: Workspace) -> None:
    with pytest.raises(UsageError, match="two columns are called x"):
        ask(filled, "SELECT 1 AS x, 2 AS x", "json")
    assert ask(filled, "SELECT 1 AS x, 2 AS x", "csv") == "x,x\n1,2"


@pytest.mark.parametrize(("format_", "expected"), [("table", "x\n(0 rows)"), ("csv", "x"), ("json", "[\n]")])
def test_no_rows_are_an_answer_too(filled: Workspace, format_: str, expected: str) -> None:
    assert ask(filled, "SELECT 1 AS x WHERE false", format_) == expected


def test_many_rows_are_all_there(filled: Workspace) -> None:
    assert len(json.loads(ask(filled, "SELECT * FROM range(2500)", "json"))) == 2500
    assert len(ask(filled, "SELECT * FROM range(2500)", "csv").splitlines()) == 2501
    assert ask(filled, "SELECT * FROM range(2500)").splitlines()[-1] == "(2500 rows)"


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{target}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}'",
        "SET threads = 1",
        "ATTACH '{target}' AS other",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY (SELECT 1) TO '{target}'",
        "CREATE TABLE x (y INT)",
        "DROP VIEW predictions",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "PRAGMA database_list",
        "WITH a AS (COPY (SELECT 1) TO '{target}') SELECT 1",
        "WITH a AS (SELECT 1), b AS MATERIALIZED (COPY (FROM a) TO '{target}') FROM a ORDER BY 1 LIMIT 1",
        "WITH a AS (INSERT INTO predictions VALUES (1)) SELECT 1",
        "",
        "-- nothing",
    ],
)
def test_anything_but_one_select_is_refused_and_does_nothing(filled: Workspace, sql: str) -> None:
    target = filled.root / "written"
    with pytest.raises(UsageError, match="runs one SELECT, this"):
        ask(filled, sql.replace("{target}", str(target).replace("'", "''")))
    assert not target.exists()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM json_execute_serialized_sql(json_serialize_sql('WITH a AS (COPY (SELECT 1) TO ''{target}'') FROM a'))",
        "SELECT (SELECT count(*) FROM query('SELECT 1'))",
        "FROM enable_logging(storage = 'file', storage_path = '{target}')",
        "FROM ENABLE_PROFILING(save_location = '{target}.json')",
        "FROM checkpoint()",
        "FROM tags, LATERAL (FROM read_text('{target}'))",
    ],
)
def test_functions_that_do_more_than_read_the_views_are_refused(filled: Workspace, sql: str) -> None:
    target = str(filled.root / "written").replace("'", "''''" if "serialized" in sql else "''")
    with pytest.raises(UsageError, match="does not run the table function"):
        ask(filled, sql.replace("{target}", target))
    assert not list(filled.root.glob("written*"))


def test_a_query_that_is_nested_beyond_reason_is_refused(filled: Workspace) -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        ask(filled, "SELECT " + "+".join(["1"] * 900))


@pytest.mark.parametrize(
    "sql", ["FROM predictions", "SHOW TABLES", "DESCRIBE predictions", "WITH a AS (SELECT 1) FROM a", "FROM queue(1)"]
)
def test_other_spellings_of_select_are_selects(filled: Workspace, sql: str) -> None:
    assert ask(filled, sql)


def test_files_outside_the_workspace_are_out_of_reach(filled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret")
    with pytest.raises(GeotagError, match="Permission Error"):
        ask(filled, f"FROM '{tmp_path}/secret.csv'")


def test_a_catalogue_outside_the_workspace_is_within_reach(filled: Workspace, tmp_path: Path) -> None:
    outside = tmp_path / "cata[log]ue" / "2026"
    outside.mkdir(parents=True)
    shutil.move(filled.root / "photos" / "photos.parquet", outside / "part-1.parquet")
    for path in (f"{tmp_path}/cata[[]log]ue/2026/part-?.parquet", f"{tmp_path}/*/20[0-9]6/*.parquet"):
        config = load_config(filled, {}).with_flags({"photos.path": path, "head.current": HEAD})
        rebuild_views(filled, config)
        assert "1 row" in "\n".join(query(filled, config, "SELECT title FROM predictions"))


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("SELEC 1", "not valid SQL", "one SELECT"),
        ("FROM nowhere", "nowhere does not exist", "there are the views coverage, decisions"),
        ("SELECT now()", "pytz", "now()::TIMESTAMP"),
        ("SELECT nothing FROM predictions", '"nothing" not found', "DESCRIBE"),
    ],
)
def test_a_mistake_in_the_sql_is_explained(filled: Workspace, sql: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        ask(filled, sql)
    assert hint in str(caught.value.hint)


def test_a_workspace_without_views_says_how_to_make_them(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="is not there yet") as caught:
        ask(workspace, "SELECT 1")
    assert caught.value.hint == "make the views with `geotag views`"


def test_a_moved_workspace_says_to_rebuild_the_views(filled: Workspace) -> None:
    moved = filled.root.parent / "elsewhere"
    filled.root.rename(moved)
    with pytest.raises(ConfigError, match="the views were made when the workspace was in") as caught:
        ask(Workspace(moved), "FROM predictions")
    assert caught.value.hint == "run `geotag views`"


def test_a_file_without_our_views_says_to_rebuild_them(filled: Workspace) -> None:
    filled.database.unlink()
    duckdb.connect(str(filled.database)).close()
    with pytest.raises(ConfigError, match="has not the views of this version") as caught:
        ask(filled, "FROM predictions")
    assert caught.value.hint == "run `geotag views`"


def test_a_file_that_somebody_has_open_for_writing_says_so(filled: Workspace) -> None:
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(filled.database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StorageError, match="cannot be opened") as caught:
            ask(filled, "FROM predictions")
        other.stdin.close()
    assert "close the program that has it open for writing" in str(caught.value.hint)


def test_a_query_larger_than_memory_spills_within_the_workspace(filled: Workspace) -> None:
    config = load_config(filled, {}).with_flags({"run.memory_limit": "60MB"})
    sql = "SELECT md5(range::VARCHAR) AS x FROM range(1500000) ORDER BY x DESC LIMIT 5 OFFSET 1400000"
    assert "(5 rows)" in "\n".join(query(filled, config, sql))
