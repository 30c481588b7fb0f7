"""`geotag ingest` on the command line."""

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from geotag_batch.workspace import Workspace
from jobs.cli import cli


def test_ingest_prints_what_became_of_every_line(workspace: Workspace, tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    dumps.mkdir()
    (dumps / "metadata.csv").write_bytes(
        b"gridimage_id,title,grid_reference,ftf\n1,Caf\xe9,TQ0775,1\n7.5,Half,TQ0775,1\n\n2,Two,nowhere,1\n"
    )
    (dumps / "tags-top.csv").write_text("\ntag_id\n")
    result = CliRunner().invoke(cli, ["ingest", "kaggle", "-C", str(workspace.root), str(dumps)])
    assert result.exit_code == 0, result.output
    (rejected,) = workspace.rejected.iterdir()
    assert result.output.splitlines() == [
        f"{dumps}/metadata.csv: 4 lines; 2 taken; 1 rejected (gridimage_id is not a positive whole number: 1); "
        "1 blank; 1 read as Latin-1; columns ignored: ftf",
        f"{dumps}/tags-top.csv: ignored",
        "photos/kaggle.parquet: 2 photos; 0 tagged, 0 without a title, 1 without a location, 1 with a grid reference "
        "that names no square",
        f"rejected lines: rejected/{rejected.name}",
    ]


def test_ingest_says_that_the_catalogue_is_configured_elsewhere(workspace: Workspace, tmp_path: Path) -> None:
    base = tmp_path / "gridimage_base.tsv"
    base.write_text(
        "gridimage_id\tuser_id\trealname\ttitle\tgrid_reference\timagetaken\tmoderation_status\n"
        "4\t5\tA\tT\tTQ0775\t2020-01-01\tgeograph\n5\t5\tA\tT\tTQ0775\t2020-01-01\tpending\n"
    )
    environment = {"GEOTAG_PHOTOS_PATH": "elsewhere/*.parquet", "GEOTAG_WORKSPACE": str(workspace.root)}
    result = CliRunner().invoke(cli, ["ingest", "geograph", str(base)], env=environment)
    assert result.exit_code == 0, result.output
    assert "1 taken; 1 left out (moderation_status pending: 1)" in result.stdout
    assert "geotag.toml does not match" in result.stderr


def test_a_missing_dump_is_one_message_and_exit_code_4(workspace: Workspace) -> None:
    command = [sys.executable, "-c", "from geotag_batch.jobs.cli import main; main()"]
    result = subprocess.run(
        [*command, "ingest", "kaggle", "-C", str(workspace.root), "nowhere.csv"],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
        check=False,
    )
    assert (result.returncode, result.stderr) == (4, "geotag: nowhere.csv: there is no such file or folder\n")
