"""The page in a browser: reviewing by keyboard, by touch, with two reviewers, and titles that mean harm."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from tests.review.archive import HOSTILE
from tests.review.browser import open_page, serious_problems
from tests.review.conftest import Server, decided, end_server, start_server

CURRENT = ".card[aria-current]"


@pytest.fixture(scope="module")
def served(review_archive: Callable[[int], Workspace]) -> Iterator[Server]:
    """Serve 2,000 predictions."""
    started = start_server(review_archive(2000), "--reviewer", "ann")
    yield started
    end_server(started)


def current(page: Page) -> int:
    return int(page.locator(CURRENT).get_attribute("data-photo") or 0)


def suggested(page: Page) -> list[str]:
    lines = page.locator(f'{CURRENT} .tag[data-kind="suggested"]')
    return [line.get_attribute("data-tag") or "" for line in lines.all()]


def saved(page: Page) -> None:
    expect(page.locator("[data-underway]")).to_have_count(0)
    expect(page.locator("#saving")).to_be_hidden()


def overflow(page: Page) -> int:
    """Return the pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def of(server: Server, photo: int) -> dict[str, str]:
    return {tag: decision for number, tag, decision, _ in decided(server.workspace) if number == photo}


@pytest.mark.slow
def test_a_reviewer_accepts_rejects_adds_skips_undoes_and_reloads_by_keyboard_alone(served: Server) -> None:
    with open_page(served.address) as (page, complaints):
        expect(page.locator("#waiting")).to_have_text("2,000")
        first, tags = current(page), suggested(page)
        page.keyboard.press("a")
        second, others = current(page), suggested(page)
        assert second != first
        page.keyboard.press("x")
        third = current(page)
        saved(page)
        assert of(served, first) == dict.fromkeys(tags, "accept")
        assert of(served, second) == dict.fromkeys(others, "reject")
        assert {reviewer for *_, reviewer in decided(served.workspace)} == {"ann"}

        page.keyboard.press("Digit1")
        page.keyboard.press("t")
        page.keyboard.type("burial")
        page.keyboard.press("Enter")
        saved(page)
        mine = suggested(page)[0]
        assert of(served, third) == {mine: "accept", "Burial ground, Crematorium": "add"}
        page.keyboard.press("u")
        page.keyboard.press("Shift+Digit1")
        saved(page)
        assert of(served, third) == {mine: "reject"}
        page.keyboard.press("Shift+Digit1")
        saved(page)
        assert of(served, third) == {}

        page.keyboard.press("s")
        skipped = third
        assert current(page) != skipped
        page.reload()
        expect(page.locator("#waiting")).to_have_text("1,998")
        shown = [int(card.get_attribute("data-photo") or 0) for card in page.locator(".card").all()]
        assert not {first, second} & set(shown)
        assert skipped in shown
        assert current(page) != skipped, "what was skipped is not offered first again"
        page.keyboard.press("u")
        assert current(page) == skipped, "skipping is undone too"
        for _ in range(3):  # what was decided on the third
            page.keyboard.press("u")
            saved(page)
        page.keyboard.press("u")  # the second is on no page any more: it is opened
        page.wait_for_url(f"**photo={second}")
        saved(page)
        assert of(served, second) == {}
        assert complaints == []


@pytest.mark.slow
def test_a_reviewer_filters_and_turns_pages_by_keyboard_alone(served: Server) -> None:
    with open_page(served.address) as (page, complaints):
        page.keyboard.press("f")
        page.keyboard.type("Coast")
        page.keyboard.press("Tab")
        page.keyboard.type("0.3")
        page.keyboard.press("Enter")
        page.wait_for_url("**tag=Coastal&low=0.3**")
        assert page.locator(f'{CURRENT} .tag[data-asked][data-tag="Coastal"]').count() == 1
        page.keyboard.press("?")
        expect(page.locator("#help")).to_be_visible()
        page.keyboard.press("Escape")
        before = page.locator(".card").first.get_attribute("data-photo")
        for _ in range(page.locator(".card").count()):
            page.keyboard.press("j")
        page.wait_for_url("**after=**")
        page.keyboard.press("k")
        page.wait_for_url("**before=**")
        assert page.locator(".card").first.get_attribute("data-photo") == before
        assert complaints == []


@pytest.mark.slow
def test_two_reviewers_on_one_photo_are_told_of_each_other_and_nothing_is_overwritten(served: Server) -> None:
    with open_page(f"{served.address}?order=newest") as (page, complaints):
        photo, tag = current(page), suggested(page)[0]
        append_decisions(served.workspace, [Decision(photo, tag, "reject", "bob", "import")])
        page.keyboard.press("a")
        note = page.locator(f"#photo-{photo} .note")
        expect(note).to_contain_text(f"bob has decided on photo {photo} meanwhile")
        expect(note).to_contain_text(f"rejected {tag}")
        assert current(page) == photo
        assert of(served, photo) == {tag: "reject"}
        assert page.locator(f'{CURRENT} .tag[data-tag="{tag}"] .by').inner_text() == "bob"
        page.keyboard.press("Digit1")
        saved(page)
        assert of(served, photo) == {tag: "accept"}
        assert [text for text in complaints if "409" not in text] == []


@pytest.mark.slow
def test_what_cannot_be_kept_is_not_shown_as_kept(review_archive: Callable[[int], Workspace]) -> None:
    served = start_server(review_archive(30), "--reviewer", "ann")
    with open_page(served.address) as (page, _):
        photo = current(page)
        end_server(served)
        page.keyboard.press("a")
        expect(page.locator(f"#photo-{photo} .note")).to_contain_text("nothing was kept")
        assert page.locator(f"#photo-{photo}[data-done]").count() == 0
        assert current(page) == photo
        expect(page.locator("#waiting")).to_have_text("30")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (420, True)])
def test_titles_that_mean_harm_do_nothing_and_the_page_serves_everybody(served: Server, width: int, dark: bool) -> None:
    asked = f"?state=all&photo={1910 if dark else 1930}"
    with open_page(served.address + asked, width=width, dark=dark) as (page, complaints):
        hostile = page.locator(".card", has_text="onerror").first
        title = hostile.locator("h2 a").evaluate("(link) => link.firstChild.textContent")
        assert title == HOSTILE
        assert "Cid <b>Bold</b>" in hostile.locator(".credit").inner_text()
        hostile.locator(".no:visible").first.click()
        saved(page)
        hostile.locator(".why summary").click()
        expect(hostile.locator(".why tbody tr")).not_to_have_count(0)
        hostile.locator("[data-do=add]").click()
        expect(hostile.locator("[role=listbox]")).to_be_visible()
        assert serious_problems(page) == []
        page.keyboard.press("Escape")
        page.locator("#help-button").click()
        assert serious_problems(page) == []
        assert overflow(page) == 0
        page.goto(f"{served.address}?tag=Coastal")
        assert overflow(page) == 0
        assert page.title().endswith("geotag review")
        assert complaints == []
