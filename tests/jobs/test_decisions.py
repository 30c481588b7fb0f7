"""`geotag decisions`: what it prints, and its exit codes."""

from collections.abc import Callable

import pytest

from geotag_batch.workspace import Workspace
from jobs.cli import main
from tests.builders import write_catalogue

Geotag = Callable[..., tuple[int, str]]


@pytest.fixture
def geotag(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Geotag:
    """Run a sub-command of `geotag decisions` in a workspace of two photos; return exit code, output and errors."""
    write_catalogue(workspace, [{"gridimage_id": 1}, {"gridimage_id": 2}])

    def run(command: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["geotag", "decisions", command, "-C", str(workspace.root), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out + shown.err

    return run


def test_a_file_goes_in_and_comes_out(geotag: Geotag, workspace: Workspace) -> None:
    given, out = workspace.root / "in.csv", workspace.root / "out.csv"
    given.write_text("gridimage_id,tag,decision,mood\n1,Paths,accept,fine\n2,Cheese,add,hungry\n", encoding="utf-8")
    code, text = geotag("import", str(given), "--reviewer", "Ann")
    assert code == 0
    assert f"{given}: 2 rows; 1 taken, 0 known already, 1 refused" in text
    assert "  line 3: 'Cheese' is none of the 49 tags" in text
    assert "refused rows: rejected/decisions-" in text
    assert "columns ignored: mood" in text
    assert geotag("export", str(out), "--newest") == (0, f"{out}: 1 decisions\n")
    assert "Paths" in out.read_text(encoding="utf-8")
    assert geotag("export", str(workspace.root / "out.txt"))[0] == 2


def test_a_file_that_cannot_be_used_is_one_message_and_exit_code_4(geotag: Geotag, workspace: Workspace) -> None:
    code, text = geotag("import", str(workspace.root / "nowhere.csv"))
    assert code == 4
    assert "cannot be read" in text


def test_merging_says_what_it_did(geotag: Geotag, workspace: Workspace) -> None:
    for photo in (1, 2):
        given = workspace.root / "in.csv"
        given.write_text(f"gridimage_id,tag,decision\n{photo},Paths,accept\n", encoding="utf-8")
        geotag("import", str(given), "--reviewer", "Ann")
    code, text = geotag("compact")
    assert code == 0
    assert "2 files merged into one of 2 decisions" in text
    assert "2 merged files stay for those who read them now" in text
    assert geotag("compact", "--now") == (0, "2 merged files removed\n")
    assert geotag("compact") == (0, "nothing to merge\n")
