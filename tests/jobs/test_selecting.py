"""Options that contradict each other, or make no sense, are usage errors that say what to change."""

import pytest
from click.testing import CliRunner

from geotag_batch.workspace import Workspace
from jobs.backfill import command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--force", "--redo-before", "2026-01-01"], "give one of the two"),
        (["--reembed"], "--reembed goes with --force or --redo-before"),
        (["--until", "06:30", "--max-minutes", "5"], "give one of --until and --max-minutes"),
        (["--until", "25:99"], "is not a time of day like 06:30"),
        (["--redo-before", "yesterday"], "is not a time like 2026-11-23T04:00"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--select", "some"], "'some' is not one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(workspace: Workspace, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, [*arguments, "-C", str(workspace.root)])
    assert result.exit_code == 2
    assert message in result.output
