"""A gallery of plain files: published whole, decided in without a server, its decisions downloaded."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

import geotag_batch.review.gallery as module
from geotag_batch.config import load_config
from geotag_batch.errors import InputError, StorageError, UsageError
from geotag_batch.review.filters import Filter
from geotag_batch.review.gallery import publish_gallery
from geotag_batch.run.decisions import import_decisions
from geotag_batch.workspace import Workspace
from tests.review.browser import open_page, serious_problems
from tests.review.conftest import decided


@pytest.fixture(scope="module")
def archive(review_archive: Callable[[int], Workspace]) -> Workspace:
    return review_archive(60)


def linked(folder: Path) -> set[Path]:
    """Follow every address in every page of a gallery; return the files, all of which must be there."""
    seen: set[Path] = set()
    todo = [folder / "index.html"]
    while todo:
        page = todo.pop()
        seen.add(page)
        assert page.is_file(), page
        if page.suffix == ".html":
            addresses = re.findall(r'(?:src|href)="([^"#?]+)', page.read_text(encoding="utf-8"))
            local = {(page.parent / address).resolve() for address in addresses if not address.startswith("http")}
            todo += [path for path in local if path not in seen]
            seen |= local
    return seen


def test_every_page_and_picture_of_a_gallery_is_there_and_it_leads_nowhere_else(
    archive: Workspace, tmp_path: Path
) -> None:
    made = publish_gallery(archive, load_config(archive), tmp_path / "out", Filter(), 50)
    files = linked(tmp_path / "out")
    assert (made.photos, made.pages) == (50, 3)
    assert sum(path.suffix == ".jpg" for path in files) == 50 - made.without_picture
    assert sum(path.suffix == ".html" for path in files) == 3
    assert all(path.is_relative_to(tmp_path / "out") for path in files)


def test_a_gallery_made_again_replaces_the_one_before_and_keeps_its_id(archive: Workspace, tmp_path: Path) -> None:
    folder, config = tmp_path / "out", load_config(archive)
    publish_gallery(archive, config, folder, Filter(), 10)
    first = json.loads((folder / "geotag-gallery.json").read_text())
    before = linked(folder)
    publish_gallery(archive, config, folder, Filter(order="newest"), 20)
    second = json.loads((folder / "geotag-gallery.json").read_text())
    assert second["id"] == first["id"]
    assert all(path.exists() for path in before), "whoever has the old one open goes on"
    publish_gallery(archive, config, folder, Filter(), 5)
    linked(folder)
    assert len(list(folder.glob("gallery-*"))) == 2
    assert {path.name for path in folder.iterdir() if not path.name.startswith("gallery-")} == {
        "index.html",
        "geotag-gallery.json",
    }


def test_a_gallery_that_cannot_be_finished_leaves_the_one_before_as_it_was(
    archive: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = tmp_path / "out", load_config(archive)
    publish_gallery(archive, config, folder, Filter(), 10)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_pages", full)
    with pytest.raises(StorageError, match="No space left"):
        publish_gallery(archive, config, folder, Filter(), 20)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_with_other_files_and_an_empty_queue_are_refused(archive: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="in use"):
        publish_gallery(archive, load_config(archive), tmp_path, Filter(), 10)
    with pytest.raises(InputError, match="no photo is waiting"):
        publish_gallery(archive, load_config(archive), tmp_path / "out", Filter(contributor="nobody"), 10)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_a_gallery_is_decided_in_without_a_server_and_its_decisions_downloaded(
    archive: Workspace, tmp_path: Path
) -> None:
    made = publish_gallery(archive, load_config(archive), tmp_path / "out", Filter(), 26)
    with open_page(made.index.as_uri()) as (page, complaints):
        photo = page.locator(".card[aria-current]").get_attribute("data-photo")
        tags = [
            line.get_attribute("data-tag") for line in page.locator(".card[aria-current] [data-kind=suggested]").all()
        ]
        page.keyboard.press("a")
        page.locator("#name-input").fill('ann "the" reviewer, 2nd')
        page.keyboard.press("Enter")
        expect(page.locator(f"#photo-{photo}[data-done]")).to_have_count(1)
        page.keyboard.press("w")
        expect(page.locator(".card[aria-current] .why tbody tr").first).to_be_visible()
        page.locator("#next").click()
        expect(page.locator(".card")).to_have_count(2)
        page.keyboard.press("x")
        page.locator("#previous").click()
        expect(page.locator(f"#photo-{photo}[data-done]")).to_have_count(1)
        page.keyboard.press("Digit1")
        page.keyboard.press("u")
        with page.expect_download() as started:
            page.locator("#download").click()
        saved = tmp_path / "decisions.csv"
        started.value.save_as(saved)
        assert complaints == []
    rows = list(csv.DictReader(io.StringIO(saved.read_text(encoding="utf-8"))))
    mine = [row for row in rows if row["gridimage_id"] == photo]
    assert [(row["tag"], row["decision"]) for row in mine] == [(tag, "accept") for tag in tags]
    assert {row["reviewer"] for row in rows} == {'ann "the" reviewer, 2nd'}
    assert {row["source"] for row in rows} == {"static"}
    assert len({row["gridimage_id"] for row in rows}) == 2
    assert all(row["head"] and row["run_id"] and row["policy_id"] and 0 < float(row["score"]) <= 1 for row in rows)
    totals = import_decisions(archive, load_config(archive), saved)
    assert (totals.taken, totals.refused) == (len(rows), [])
    assert {(str(photo), tag, decision, reviewer) for photo, tag, decision, reviewer in decided(archive)} == {
        (row["gridimage_id"], row["tag"], row["decision"], row["reviewer"]) for row in rows
    }
    with open_page(made.index.as_uri(), width=420, dark=True) as (page, _):
        page.locator(".card").nth(3).evaluate(
            "(card) => document.querySelector('.cards').replaceChildren(card.closest('li'))"
        )
        assert serious_problems(page) == []
