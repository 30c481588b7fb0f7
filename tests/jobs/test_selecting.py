"""Options that contradict each other, or make no sense, are usage errors that say what to change."""

import pytest
from click.testing import CliRunner

from geotag_batch.workspace import Workspace
from jobs.cli import cli
from jobs.selecting import job_of


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--force", "--redo-before", "2026-01-01"], "give one of the two"),
        (["--reembed"], "--reembed goes with --force or --redo-before"),
        (["--until", "06:30", "--max-minutes", "5"], "give one of --until and --max-minutes"),
        (["--max-minutes", "nan"], "nan is no number"),
        (["--until", "25:99"], "is not a time of day like 06:30"),
        (["--redo-before", "yesterday"], "is not a time like 2026-11-23T04:00"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--tagged", "--all"], "--tagged and --all contradict each other"),
        (["--select", "untagged", "--tagged"], "--untagged and --tagged contradict each other"),
        (["--select", "some"], "'some' is not one of"),
    ],
)
def test_options_that_make_no_sense_are_refused(workspace: Workspace, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["backfill", *arguments, "-C", str(workspace.root)])
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("flag", ["untagged", "tagged", "all"])
def test_a_kind_of_photos_may_be_given_as_a_flag_of_its_own(workspace: Workspace, flag: str) -> None:
    of_ray = ("ray_address", "workers", "gpus_per_worker", "cpus_per_worker")
    empty = dict.fromkeys(("ids", "limit", "until", "max_minutes", "redo_before", "select", *of_ray))
    off = dict.fromkeys(("force", "reembed", "retry_failed", "check_images", "untagged", "tagged", "all"), False)
    flags = {**empty, **off, "engine": "local"}
    assert job_of("embed", {**flags, flag: True}).selection.select == flag
    assert job_of("embed", {**flags, "select": flag}).selection.select == flag
    assert job_of("embed", {**flags, "select": flag}).options["select"] == flag
    assert job_of("embed", flags).selection.select == "untagged"
