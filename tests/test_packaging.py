"""The wheel: what is in it, and that it works when it is installed, from a folder that is not the checkout."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from geotag_batch.taxonomy import tag_names
from tests.readme_commands import README

ROOT = README.parent


def _run(*command: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command without what could lead it to the checkout."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GEOTAG"))}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what is in the checkout, so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("geotag_batch", "jobs", "schemas", "sql"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into an environment that borrows only the dependencies; return its bin folder."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    command = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--prefix", folder, wheel)
    _run(sys.executable, *command, "--ignore-installed", cwd=folder)
    # A path in a .pth file comes after this environment's own packages, and .pth files in that path are not read:
    # the editable install of the checkout, which is one, does not reach in here.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_puts_only_geotag_batch_into_site_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {re.sub(r"-[\d.]+\.dist-info$", ".dist-info", top) for top in tops} == {
        "geotag_batch",
        "geotag_batch.dist-info",
    }
    for folder, pattern in (("schemas", "*.json"), ("schemas", "*.csv"), ("sql", "*/*.sql")):
        for path in (ROOT / folder).glob(pattern):
            assert f"geotag_batch/{path.relative_to(ROOT)}" in names
    for path in [*(ROOT / "geotag_batch").rglob("*.py"), *(ROOT / "jobs").glob("*.py")]:
        inside = path.relative_to(ROOT).as_posix()
        assert (inside if inside.startswith("geotag_batch/") else f"geotag_batch/{inside}") in names
    assert "geotag_batch/py.typed" in names
    for folder in ("draw/pages", "review/pages", "review/assets"):
        for path in (ROOT / "geotag_batch" / folder).iterdir():
            assert f"geotag_batch/{folder}/{path.name}" in names


@pytest.mark.slow
def test_the_installed_package_is_not_the_checkout(installed: Path) -> None:
    script = "import geotag_batch, geotag_batch.jobs.cli as cli; print(geotag_batch.__file__, cli.__file__)"
    shown = _run(installed / "python", "-c", script, cwd=Path("/")).stdout.split()
    assert all(Path(path).is_relative_to(installed.parent) for path in shown)


@pytest.mark.slow
def test_the_installed_wheel_runs_the_demo_from_the_root_folder(installed: Path, tmp_path: Path) -> None:
    told = _run(installed / "geotag", "demo", tmp_path / "demo", cwd=Path("/")).stdout
    assert "RANDOM weights" in told
    assert "(exit code 143)" in told
    assert "stopped" in told
    head, usual = (
        [float(number) for number in re.findall(r"[\d.]+", line)]
        for line in told.splitlines()
        if line.startswith(("  the head ", "  most common tag "))
    )
    assert head[0] > 55  # per cent of photos whose whole set of tags is right
    assert usual[0] < 15
    assert head[1] > 0.5  # macro F1
    assert usual[1] < 0.1
    answers = told.partition("== Questions")[2]
    assert sum(tag in answers for tag in tag_names()) >= 5
    assert "not_an_image" in answers
    assert "geotag heads import" in told
    gallery = (tmp_path / "gallery", "--limit", "3")
    told = _run(installed / "geotag", "review", "-C", tmp_path / "demo", "--static", *gallery, cwd=Path("/")).stdout
    assert told.startswith("3 photos on 1 page")
