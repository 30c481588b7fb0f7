import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from geotag_batch.config import load_config
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.predict.head import list_heads
from geotag_batch.predict.policy import Policy
from geotag_batch.workspace import Workspace
from jobs.cli import cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a head file with a published name."""
    path = tmp_path / "linear-img-txt-loc-mixup.pth"
    torch.save({"weight": torch.zeros(49, 1026), "bias": torch.zeros(49)}, path)
    return path


def run(workspace: Workspace, *arguments: str) -> str:
    """Run `geotag heads ...` and return what it printed."""
    verb, *rest = arguments
    done = CliRunner().invoke(cli, ["heads", verb, "-C", str(workspace.root), *rest], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_head_is_imported_and_used_in_one_command(workspace: Workspace, file: Path) -> None:
    output = run(workspace, "import", str(file), "--use")
    (head,) = list_heads(workspace)
    assert f"imported {head.head_id}" in output
    assert OPENAI_ENCODER_ID in output
    assert load_config(workspace, {}).head.current == head.head_id


def test_what_a_file_does_not_state_can_be_said(workspace: Workspace, file: Path) -> None:
    other = file.rename(file.with_name("mine.pth"))
    words = ["--modalities", "title, image,location", "--type", "linear", "--name", "n", "--encoder", "e-00000000"]
    run(workspace, "import", str(other), *words)
    (head,) = list_heads(workspace)
    assert (head.name, head.modalities, head.encoder_id) == ("n", ("image", "title", "location"), "e-00000000")


def test_the_list_marks_the_head_in_use(workspace: Workspace, file: Path) -> None:
    assert "no heads yet" in run(workspace, "list")
    run(workspace, "import", str(file), "--name", "one")
    run(workspace, "import", str(file), "--name", "two", "--use")
    lines = run(workspace, "list").splitlines()
    assert [line[:5] for line in lines if line[2:5] in ("one", "two")] == ["  one", "* two"]
    assert sum("linear on image + title + location; tags over 0.5, at least one" in line for line in lines) == 2
    documents = json.loads(run(workspace, "list", "--format", "json"))
    assert [(document["name"], document["in_use"]) for document in documents] == [("one", False), ("two", True)]


def test_a_head_is_shown_as_text_and_as_json(workspace: Workspace, file: Path) -> None:
    run(workspace, "import", str(file))
    (head,) = list_heads(workspace)
    text = run(workspace, "show", "linear")
    assert f"head_id           {head.head_id}" in text.splitlines()
    assert f"policy_id         {Policy().policy_id}" in text.splitlines()
    document = json.loads(run(workspace, "show", "linear", "--format", "json"))
    assert document["encoder_id"] == OPENAI_ENCODER_ID
    assert len(document["tags"]) == 49


def test_the_policy_is_set_and_needs_something_to_set(workspace: Workspace, file: Path) -> None:
    run(workspace, "import", str(file))
    assert "tags over 0.2, or none" in run(workspace, "policy", "linear", "--threshold", "0.2", "--abstain")
    assert "tags over 0.2, at least one" in run(workspace, "policy", "linear", "--at-least-one")
    done = CliRunner().invoke(cli, ["heads", "policy", "-C", str(workspace.root), "linear"])
    assert done.exit_code == 2
    assert "--threshold" in done.output
