"""The crontab line of README and the units in docs/systemd, as they are written but for the paths on this machine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.run.conftest import Archive, archive

Make = Callable[[int], Archive]
ROOT = Path(__file__).parents[1]
UNITS = ROOT / "docs" / "systemd"
GEOTAG = Path(sys.executable).with_name("geotag")

__all__ = ["archive"]


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip a test, naming the program that is not there."""
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


def crontab() -> list[str]:
    """Return the commands of README's crontab, without the five fields before them."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- crontab -->\n```text\n(.*?)```", text, re.DOTALL)
    lines = [line for line in block.splitlines() if line and not re.match(r"[A-Z]+=", line)]
    assert all("%" not in line for line in lines)  # cron makes a newline of it
    for line in lines:
        for field, most in zip(line.split()[:5], (59, 23, 31, 12, 7), strict=True):
            assert field == "*" or 0 <= int(field) <= most
    return [line.split(maxsplit=5)[5] for line in lines]


def from_cron(command: str, made: Archive) -> "subprocess.CompletedProcess[str]":
    """Run a command as cron does, the paths replaced by those of this test."""
    folder = made.workspace.root.parent
    here = {"/usr/local/bin/geotag": str(GEOTAG), "/data/archive": str(made.workspace.root), "/var/log": str(folder)}
    for there, path in here.items():
        command = command.replace(there, path)
    poor = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "SHELL": "/bin/sh", "LOGNAME": "geotag"}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=poor, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@needs("nice", "ionice")
def test_the_crontab_line_is_silent_after_a_good_night_and_mails_what_to_do_after_a_bad_one(archive: Make) -> None:
    made = archive(6)
    night, week = crontab()
    (made.workspace.root.parent / "geotag").mkdir()
    good = from_cron(night, made)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert made.rows("SELECT count(*) FROM predictions") == [(6,)]
    log = made.workspace.root.parent / "geotag" / "backfill.log"
    assert "chunk 2 committed: 6 of 6 photos" in log.read_text(encoding="utf-8")
    made.workspace.config_file.rename(made.workspace.root / "gone.toml")
    for line in (night, week):
        bad = from_cron(line, made)
        assert (bad.returncode, bad.stdout) == (3, "")
        assert "is not a workspace: it has no geotag.toml\n  try: " in bad.stderr


@needs("systemd-analyze")
def test_systemd_has_nothing_to_say_against_the_units(tmp_path: Path) -> None:
    for stub in ("usr/local/bin/geotag", "bin/sh"):
        path = tmp_path / stub
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    shutil.copytree(UNITS, tmp_path / "etc" / "systemd" / "system")
    shutil.copytree("/lib/systemd/system", tmp_path / "usr" / "lib" / "systemd" / "system", ignore=_no_target)
    for unit in ("geotag-backfill@data-archive.service", "geotag-backfill@data-archive.timer",
                 "geotag-failed@data-archive.service"):  # fmt: skip
        done = subprocess.run(
            ["systemd-analyze", "verify", f"--root={tmp_path}", unit], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), unit


def _no_target(folder: str, names: list[str]) -> list[str]:
    """Keep the targets that units hang on, as files."""
    return [name for name in names if not name.endswith((".target", ".slice")) or not Path(folder, name).exists()]


def exec_start(unit: str, made: Archive, variables: Mapping[str, str]) -> list[str]:
    """Return a unit's command as systemd would start it, the paths replaced by those of this test."""
    text = (UNITS / unit).read_text(encoding="utf-8").replace("\\\n", "")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = []
    for word in shlex.split(line.replace("/usr/local/bin/geotag", str(GEOTAG))):
        if word.startswith("$") and not word.startswith("$$"):
            words += variables.get(word[1:], "").split()
        else:
            words.append(word.replace("$$", "$").replace("%i", "archive").replace("%f", str(made.workspace.root)))
    return words


def test_the_units_commands_work_and_the_mail_about_a_failure_has_journal_and_record(archive: Make) -> None:
    made = archive(2)
    folder = made.workspace.root.parent
    (made.workspace.root / "images").rename(folder / "unmounted")
    options = {"GEOTAG_OPTIONS": f"--metrics-file {folder}/geotag.prom"}
    command = exec_start("geotag-backfill@.service", made, options)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "FAILED\n" in done.stdout
    assert (folder / "geotag.prom").is_file()
    programs = folder / "programs"
    programs.mkdir()
    for name, script in (("journalctl", 'echo "journal $@"'), ("mail", 'echo "mail $@"; cat')):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin", "GEOTAG_MAILTO": "ann"}
    mail = exec_start("geotag-failed@.service", made, {})
    told = subprocess.run(mail, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert told.stderr == ""
    assert told.stdout.startswith(f"mail -s geotag failed in {made.workspace.root} ann\n")
    assert "journal --unit geotag-backfill@archive.service --lines 60" in told.stdout
    assert "has no run on record" in told.stdout
