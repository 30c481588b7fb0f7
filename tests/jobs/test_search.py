"""`geotag search` on the command line: the table, JSON and the page, and that --like needs no torch."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from geotag_batch.config import set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.workspace import Workspace
from tests.builders import RUN_1, commit, write_catalogue
from tests.jobs.conftest import Geotag

PHOTOS: list[dict[str, Any]] = [
    {"gridimage_id": 1, "title": "A <b>bridge</b> & more", "grid_reference": "TQ3080", "realname": "Ann"},
    {"gridimage_id": 2, "title": "A\x1b[31m red\nbridge", "grid_reference": "TQ3081", "realname": "Bob"},
    {"gridimage_id": 3, "title": None, "grid_reference": "SU3814"},
]


@pytest.fixture
def geotag(workspace: Workspace, run_geotag: Geotag) -> Geotag:
    """Search an archive of three photos and one that left the catalogue; return exit code, output and errors."""
    set_key(workspace, "encoder.model", "fake")
    set_key(workspace, "run.workers", 1)
    write_catalogue(workspace, PHOTOS)
    angles = {1: 0.0, 2: 0.1, 3: 1.0, 9: 2.0}
    rows = [
        {"gridimage_id": photo, "image_embedding": np.array([np.cos(angle), np.sin(angle)] + [0] * 510, np.float16)}
        for photo, angle in angles.items()
    ]
    commit(workspace, RUN_1, encoder=FakeEncoder.encoder_id, embeddings=rows, weights=FakeEncoder.weights_sha256)

    return partial(run_geotag, "search")


def test_the_table_has_a_line_a_photo_and_nothing_that_a_terminal_would_obey(geotag: Geotag) -> None:
    code, out, errors = geotag("--like", "1")
    assert (code, errors) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["similarity", "gridimage_id", "title", "grid_reference", "contributor"]
    assert re.split(r"  +", lines[2]) == ["0.995", "2", r"A\u001b[31m red\u000abridge", "TQ3081", "Bob"]
    assert [line.split()[1] for line in lines[2:5]] == ["2", "3", "9"]
    assert re.fullmatch(r"\(3 of 4 image embeddings by fake-\w+, in \d+\.\d s\)", lines[-1])
    assert "\x1b" not in out


def test_json_says_what_was_asked_and_what_was_found(geotag: Geotag) -> None:
    code, out, _ = geotag("--like", "1", "--near", "TQ3080", "--km", "2", "--limit", "1", "--format", "json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["like"], answer["near"]["km"], answer["modality"], answer["compared"]) == (1, 2, "image", 2)
    (photo,) = answer["photos"]
    assert (photo["gridimage_id"], photo["contributor"], round(photo["km"], 2)) == (2, "Bob", 1.0)
    assert photo["title"] == PHOTOS[1]["title"]
    assert photo["photo_url"].endswith("/photo/2")


def test_a_text_that_is_too_long_is_cut_and_said(geotag: Geotag) -> None:
    code, _, errors = geotag("bridge " * 80)
    assert code == 0
    assert errors.startswith("geotag: the text is longer than the encoder reads")
    assert geotag("bridge")[2] == ""


def test_the_page_holds_its_pictures_and_everything_in_it_is_escaped(geotag: Geotag, workspace: Workspace) -> None:
    image = workspace.root / "images" / "00000" / "2.jpg"
    image.parent.mkdir(parents=True)
    Image.new("RGB", (80, 60), (200, 30, 30)).save(image)
    page = workspace.root / "found" / "like.html"
    assert geotag("--like", "3", "--page", str(page))[1].splitlines()[-1] == f"written: {page}"
    html = page.read_text(encoding="utf-8")
    assert "A &lt;b&gt;bridge&lt;/b&gt; &amp; more" in html
    assert re.findall(r'src="(.{22})', html) == ["data:image/jpeg;base64"]
    assert html.count("no picture: missing") == 1
    assert html.count("no picture: not in the catalogue") == 1
    assert not re.search(r'(?:src|href)="(?!data:|https://(?:www\.geograph|creativecommons)\.org)', html)
    assert [path.name for path in page.parent.iterdir()] == ["like.html"]
    assert geotag("<i>bridge</i>", "--page", str(page))[0] == 0
    assert "Photos like <bdi>\u201c&lt;i&gt;bridge&lt;/i&gt;\u201d" in page.read_text(encoding="utf-8")
    os.mkfifo(page.with_name("pipe"))
    assert geotag("--like", "3", "--page", str(page.with_name("pipe")))[0] == 4
    assert page.with_name("pipe").is_fifo()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "either a text or --like"),
        (("--like", "one"), 2, "'one' is not the number of a photo\n  try: give its gridimage_id, such as 7606259\n"),
        (("--like", "7"), 4, "photo 7 is not in the catalogue"),
        (("bridge", "--near", "Berlin"), 2, "'Berlin' is no grid reference"),
        (("bridge", "--km", "5"), 2, "--km goes with --near"),
    ],
    ids=str,
)
def test_what_cannot_be_searched_is_one_message(
    geotag: Geotag, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended, out, errors = geotag(*arguments)
    assert (ended, out) == (code, "")
    assert message in errors
    assert "Traceback" not in errors


@pytest.mark.usefixtures("geotag")
def test_a_search_by_a_photo_imports_no_torch(workspace: Workspace, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom jobs.cli import cli\ncli.main(sys.argv[1:], standalone_mode=False)\n"
        "print('torch' in sys.modules, 'open_clip' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "search", "-C", str(workspace.root), "--like", "1"]
    command += ["--page", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "False False"
