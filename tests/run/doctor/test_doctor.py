"""`geotag doctor`: on a sound workspace, on broken ones, and on what torch and weights can be."""

import json
import re
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from geotag_batch.config import set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import ConfigError
from geotag_batch.run.doctor.check import Check, make, ok, problem, warning
from geotag_batch.run.doctor.engines import judged
from geotag_batch.run.doctor.examine import exit_code
from geotag_batch.run.lock import hold_lock
from jobs.cli import cli
from tests.builders import RUN_1
from tests.data import write_run
from tests.run.conftest import Archive

Make = Callable[[int], Archive]
MACHINE = {"processor", "memory", "temporary files", "disk", "file system"}
"""Checks whose outcome is this machine's business."""


def doctor(*words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code, and the checks by name."""
    done = CliRunner().invoke(cli, ["doctor", "--format", "json", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.exit_code
    return done.exit_code, {check["name"]: check for check in found["checks"]}


def examined(made: Archive) -> dict[str, str]:
    """Return the level of each check that does not depend on the machine."""
    _, checks = doctor("-C", str(made.workspace.root))
    return {name: check["level"] for name, check in checks.items() if name not in MACHINE}


def files(folder: Path) -> dict[Path, int]:
    """Return every file below `folder` with its time of change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_sound_workspace_is_said_to_be_sound_and_nothing_in_it_changes(archive: Make) -> None:
    made = archive(3)
    made.backfill()
    before = files(made.workspace.root)
    levels = examined(made)
    assert levels.keys() == {
        *("python", "workspace", "clock", "lock", "runs", "staging", "catalogue", "images", "head", "views", "weights"),
    }
    assert set(levels.values()) == {"ok"}
    assert files(made.workspace.root) == before
    shown = CliRunner().invoke(cli, ["doctor", "-C", str(made.workspace.root)]).stdout
    assert "ok       catalogue       3 photos in 1 files\n" in shown


def test_what_killed_and_failed_runs_left_is_worth_a_warning(archive: Make) -> None:
    workspace = archive(1).workspace
    write_run(workspace, RUN_1, "running")
    left = workspace.staging / RUN_1 / "half.parquet.staged"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"half")
    _, checks = doctor("-C", str(workspace.root))
    assert [(checks[name]["level"], checks[name]["seen"]) for name in ("lock", "runs", "staging")] == [
        ("ok", "free"),
        ("warning", f"the last one, {RUN_1}, was killed"),
        ("warning", "1 files of killed commands"),
    ]
    with hold_lock(workspace):
        _, checks = doctor("-C", str(workspace.root))
    assert [checks[name]["level"] for name in ("lock", "runs", "staging")] == ["ok", "ok", "ok"]
    write_run(workspace, "29991231T000000Z-abcd", "failed", exit_code=5, stop_reason="no head")
    _, checks = doctor("-C", str(workspace.root))
    assert checks["runs"]["seen"].endswith("failed (model): no head")
    assert (checks["clock"]["level"], "2999-12-31" in checks["clock"]["seen"]) == ("warning", True)


def test_a_broken_workspace_is_a_list_of_problems_with_what_to_do_and_the_exit_code_of_a_run(archive: Make) -> None:
    made = archive(2)
    for path in (made.workspace.root / "photos").iterdir():
        path.write_bytes(b"no Parquet")
    (made.workspace.root / "images").rename(made.workspace.root / "unmounted")
    made.workspace.head_dir(str(made.config.head.current)).joinpath("head.json").write_text("{")
    code, checks = doctor("-C", str(made.workspace.root))
    assert code == 4
    wrong = {name: check["level"] for name, check in checks.items() if check["level"] != "ok"}
    assert {"catalogue", "images", "head", "views"} <= {name for name in wrong if name not in MACHINE}
    assert all(checks[name]["to_do"] for name in wrong)
    made.workspace.config_file.write_text("[run\n")
    code, checks = doctor("-C", str(made.workspace.root))
    assert (code, checks["workspace"]["level"], "catalogue" in checks) == (3, "problem", False)


def test_images_that_are_not_where_the_template_says_are_found_before_a_night_is_lost(archive: Make) -> None:
    made = archive(3)
    set_key(made.workspace, "images.template", "{gridimage_id}.jpeg")
    _, checks = doctor("-C", str(made.workspace.root))
    assert checks["images"]["level"] == "problem"
    assert "0 of 3 photos looked for have their image; photo 1: 1.jpeg: no such file" in checks["images"]["seen"]


@pytest.mark.parametrize(("url", "seen"), [("s3://bucket/a", "s3://bucket/a is in an object"), ("gs://b/a", "not sup")])
def test_a_bucket_is_not_taken_for_a_folder(url: str, seen: str) -> None:
    code, checks = doctor("-C", url)
    assert (code, checks["workspace"]["level"], seen in checks["workspace"]["seen"]) == (3, "problem", True)


def test_a_named_folder_must_be_a_workspace(tmp_path: Path) -> None:
    code, checks = doctor("-C", str(tmp_path))
    assert (code, checks["workspace"]["level"], "torch" in checks) == (3, "problem", False)
    assert "geotag init" in checks["workspace"]["to_do"]


def builds() -> tuple[str, str]:
    """Return what torch and torchvision were built for, such as cpu and cu130, as their own version.py says."""
    texts = []
    for package in ("torch", "torchvision"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        texts.append(Path(spec.origin).with_name("version.py").read_text(encoding="utf-8"))
    cuda = re.search(r"^cuda.*= '([0-9.]+)'", texts[0], re.MULTILINE)
    tag = re.search(r"^__version__ = '[0-9.]+\+(\w+)'", texts[1], re.MULTILINE)
    return f"cu{cuda.group(1).replace('.', '')}" if cuda else "cpu", tag.group(1) if tag else "cpu"


def test_a_machine_without_weights_and_one_whose_torchvision_is_of_another_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "error")  # what open_clip's import warns of is not the operator's business
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path))
    code, checks = doctor()
    assert (code, checks["workspace"]["level"]) == (5, "warning")
    assert checks["weights"]["level"] == "problem"
    assert checks["weights"]["seen"] == "weights 'openai' are not on this machine"
    assert "set encoder.weights to its path" in checks["weights"]["to_do"]
    torch, torchvision = builds()
    assert checks["torchvision"]["level"] == ("ok" if torch == torchvision else "warning")
    assert ("built for another torch" in checks["torchvision"]["seen"]) == (torch != torchvision)
    assert checks["device"]["level"] == "ok"


def test_a_loaded_encoder_is_compared_with_the_head_and_with_what_is_stored(archive: Make) -> None:
    made = archive(1)
    made.backfill()
    told = {"kind": "weights", "path": "/weights", "bytes": 1}
    others: dict[str, dict[str, Any]] = {
        "torch": {"version": "2", "built_for": None, "devices": [], "threads": 1, "instructions": "AVX2"},
        "open_clip": {"version": "3", "torchvision": "0", "mended": False},
        "device": {"device": "cpu", "precision": "float32"},
        "weights": told,
    }

    def encoder(loaded: dict[str, str] | None, end: str = "in time") -> Check:
        answers = others if loaded is None else others | {"loaded": loaded}
        return list(judged(answers, end, made.workspace, made.config))[-1]

    own = {"encoder_id": FakeEncoder.encoder_id, "sha256": FakeEncoder.weights_sha256}
    assert encoder(own).seen.endswith("loaded without the network, as the stored embeddings have it")
    changed = encoder(own | {"sha256": "f" * 64})
    assert (changed.level, "its stored embeddings were made by" in changed.seen) == ("problem", True)
    other = encoder(own | {"encoder_id": "another"})
    assert other.seen.endswith(f"the head in use was trained on {FakeEncoder.encoder_id}")
    assert (encoder(None).level, encoder(None, "by SIGKILL").exit_code) == ("ok", 5)


def test_a_torch_that_ends_its_process_is_a_problem_in_the_list(
    archive: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(1)
    set_key(made.workspace, "encoder.model", "ViT-B-32-quickgelu")
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code, checks = doctor("-C", str(made.workspace.root))
    assert (code, checks["torch"]["level"], checks["torch"]["seen"]) == (5, "problem", "looking at it ended by SIGILL")
    assert "weights" not in checks


def test_a_check_never_raises_and_never_takes_for_ever() -> None:
    def breaks() -> list[Check]:
        raise ZeroDivisionError("of ours")

    (broken,) = make("broken", breaks)
    assert (broken.level, broken.exit_code) == ("problem", 70)
    assert "ZeroDivisionError: of ours" in broken.seen
    ended = threading.Event()
    (slow,) = make("slow", lambda: [ok("slow", str(ended.wait(5)))], 0.01)
    ended.set()
    assert (slow.level, "no answer" in slow.seen) == ("problem", True)


def test_the_exit_code_is_that_of_the_worst() -> None:
    fine, odd = ok("a", ""), warning("b", "", None)
    assert [exit_code(checks) for checks in ([], [fine], [fine, odd])] == [0, 0, 1]
    wrong = [problem("c", "", None, code) for code in (5, ConfigError.exit_code, 4)]
    assert [exit_code([odd, *wrong]), exit_code(wrong[:2]), exit_code(wrong[:1])] == [4, 3, 5]
