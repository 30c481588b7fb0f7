"""The commands that look: views, query, status, verify; and prune: what they print, and their exit codes."""

import json
import re

import pytest

from geotag_batch.config import set_key
from geotag_batch.workspace import Workspace
from tests.builders import write_catalogue
from tests.data import RUN_4, write_archive
from tests.jobs.conftest import Geotag


@pytest.fixture
def filled(workspace: Workspace) -> tuple[Workspace, str, str]:
    """Return the archive of tests/data.py, its current head and the other one."""
    _, head, other = write_archive(workspace)
    set_key(workspace, "head.current", head)
    return workspace, head, other


@pytest.fixture
def geotag(filled: tuple[Workspace, str, str], run_geotag: Geotag) -> Geotag:
    """Run a command in the archive; return exit code, output and errors."""
    assert filled
    return run_geotag


def test_views_are_listed_and_can_be_queried(geotag: Geotag) -> None:
    code, out, _ = geotag("query", "FROM predictions")
    assert code == 3
    code, out, _ = geotag("views")
    assert code == 0
    assert {"predictions", "head_diff", "coverage"} <= set(out.split())
    assert geotag("query", "SELECT count(*) AS n FROM predictions", "--format", "csv") == (0, "n\n8\n", "")


def test_a_query_comes_from_standard_input_too(geotag: Geotag) -> None:
    geotag("views")
    code, out, _ = geotag("query", "-", "--format", "json", stdin="SELECT tag FROM tag_counts\nLIMIT 1;\n")
    assert (code, json.loads(out)) == (0, [{"tag": "Paths"}])


@pytest.mark.parametrize("sql", ["COPY (SELECT 1) TO 'x'", "SELECT 1; SELECT 2", "FROM nowhere", "SELEC"])
def test_a_query_that_is_refused_is_one_message_with_a_hint(geotag: Geotag, sql: str) -> None:
    geotag("views")
    code, out, errors = geotag("query", sql)
    assert (code, out) == (2, "")
    assert errors.startswith("geotag: ")
    assert errors.count("\n  try: ") == 1
    assert "Traceback" not in errors


def test_status_says_what_is_done_and_which_run_was_interrupted(
    geotag: Geotag, filled: tuple[Workspace, str, str]
) -> None:
    _, head, other = filled
    code, out, _ = geotag("status", "--by-block")
    assert code == 0
    assert f"predicted  8 by {head} (in use)" in out
    assert f"3 by {other}\n" in out
    assert f"{RUN_4}  backfill interrupted" in out
    assert out.splitlines()[-1].split() == ["50000-99999", "2", "1", "1", "1", "0"]


def test_status_as_json(geotag: Geotag, filled: tuple[Workspace, str, str]) -> None:
    _, head, other = filled
    code, out, _ = geotag("status", "--format", "json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["photos"], facts["tagged"]) == (10, 4)
    assert facts["predicted"] == {head: 8, other: 3}
    assert facts["embedded"] == {"encoder-1": 8}
    assert {kind["error_class"]: kind["photos"] for kind in facts["failed"]} == {"missing": 1, "truncated": 1}


def test_verify_is_clean_until_something_is_wrong(geotag: Geotag, filled: tuple[Workspace, str, str]) -> None:
    code, out, _ = geotag("verify")
    assert (code, out.splitlines()[-1].rpartition("; ")[2]) == (0, "nothing wrong")
    next(filled[0].dataset_files("failures")).write_bytes(b"half")
    code, out, errors = geotag("verify")
    assert code == 1
    assert "WRONG failures/run_date=2026-01-01/" in out
    assert "things are wrong" in errors
    code, out, _ = geotag("verify", "--format", "json")
    assert code == 1
    assert any("its bytes are not those" in problem["what"] for problem in json.loads(out)["problems"])
    code, out, _ = geotag("verify", "--repair")
    assert code == 0
    assert out.startswith("set aside failures/run_date=2026-01-01/")
    code, out, _ = geotag("verify", "--repair", "--format", "json")
    assert (code, json.loads(out)["repair"]["moved"]) == (0, [])


def test_prune_says_what_and_how_much_and_asks_first(geotag: Geotag, filled: tuple[Workspace, str, str]) -> None:
    workspace, head, other = filled
    code, out, _ = geotag("prune", "--head", other, "--dry-run")
    assert (code, other in out, "3 rows" in out) == (0, True, True)
    code, out, errors = geotag("prune", "--head", other, stdin="n\n")
    assert code == 130
    assert len(list(workspace.dataset_files("predictions"))) == 3
    code, out, _ = geotag("prune", "--head", other, "--withdrawn", "--yes")
    assert code == 0
    assert geotag("query", "SELECT count(*) AS n FROM predictions_all", "--format", "csv")[1] == "n\n8\n"
    assert geotag("verify")[0] == 0
    code, _, errors = geotag("prune", "--head", head, "--yes")
    assert (code, "is the head in use" in errors) == (2, True)


def test_no_command_lets_a_terminal_obey_what_a_title_or_a_name_says(
    geotag: Geotag, filled: tuple[Workspace, str, str]
) -> None:
    hostile = "\x1b]0;owned\x07 \u202egpj \x9b2J\nWRONG forged"
    workspace = filled[0]
    write_catalogue(workspace, [{"gridimage_id": 901, "title": hostile, "tags": ["top:Coastal", hostile]}], name="more")
    (workspace.failures / hostile).write_text("")
    shown = []
    geotag("views")
    for format_ in ("table", "csv", "json"):
        shown.append(geotag("query", "SELECT title FROM photos WHERE gridimage_id = 901", "--format", format_))
    for command in ("describe", "status", "verify", "plan"):
        for format_ in ("text", "json"):
            shown.append(geotag(command, "--format", format_))
    for format_ in ("text", "json"):
        shown.append(geotag("explain", "901", "--format", format_))
    for wrong in (hostile, f"SELECT '{hostile}'::INTEGER", f'FROM "{hostile}"'):
        shown.append(geotag("query", wrong))
        shown.append(geotag("heads", wrong))
    shown.append(geotag("query", "SELECT 1", "--format", hostile))
    for number, (_, out, errors) in enumerate(shown):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out + errors)
        assert "\nWRONG forged" not in out or number == 1  # in CSV a quoted cell may have two lines
    assert json.loads(shown[2][1]) == [{"title": hostile}]
    assert "owned" in "".join(out for _, out, _ in shown[:9])
