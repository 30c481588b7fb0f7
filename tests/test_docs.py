"""The documentation agrees with the code."""

import re
from pathlib import Path

from geotag_batch import __version__
from geotag_batch.config import default_toml
from tests.readme_commands import BEGIN, END, README, with_commands

ROOT = README.parent


def test_the_command_section_of_the_readme_is_what_help_says() -> None:
    text = README.read_text(encoding="utf-8")
    assert BEGIN in text
    assert END in text
    assert text == with_commands(text), "README.md is stale: run `make docs`"


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert {"help", "setup", "demo", "check", "test", "bench", "build", "clean"} <= targets
    assert named <= targets


def test_every_file_that_the_documents_point_to_exists() -> None:
    for document in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_every_key_that_the_documents_set_is_in_the_configuration() -> None:
    known = set(re.findall(r"^(?:# )?([a-z_]+) = ", default_toml(), re.MULTILINE))
    for document in (README, *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
            assert set(re.findall(r"^([a-z_]+) = ", block, re.MULTILINE)) <= known, document.name


def test_the_changelog_has_the_current_version() -> None:
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_document_or_pinned_version_names_this_machine() -> None:
    checked = (
        README,
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        ROOT / "constraints.txt",
        *(ROOT / "docs").glob("*.md"),
    )
    for path in checked:
        assert not re.search(r"/(root|work|home|opt)/|file://|\+cpu|@ ", Path(path).read_text(encoding="utf-8")), path


def test_every_dependency_is_pinned_once() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [_plain(line.partition("==")[0]) for line in lines if line and not line.startswith("#")]
    lists = re.findall(r"(?:dependencies|dev) = \[\n(.*?)\n\]", pyproject, re.DOTALL)
    needed = {_plain(name) for listed in lists for name in re.findall(r'"([A-Za-z0-9_.-]+?)[<>=~"]', listed)}
    assert len(needed) > 15
    assert needed <= set(pinned)
    assert len(pinned) == len(set(pinned))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
