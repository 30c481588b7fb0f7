"""Headless Chromium, driven as a reviewer would; everything that the page complains about is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, sync_playwright

__all__ = ["CHROMIUM", "open_page", "serious_problems"]

CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@contextmanager
def open_page(address: str, *, width: int = 1280, dark: bool = False) -> Iterator[tuple[Page, list[str]]]:
    """Open a page in a browser of its own; yield it with a list of errors, script dialogs and requests elsewhere.

    The test is skipped where there is no Chromium.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM} (apt-get install chromium)")
    complaints: list[str] = []
    own = address.rpartition("/")[0].partition("?")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            size: ViewportSize = {"width": width, "height": 900}
            page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
            page.set_default_timeout(10_000)
            page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "request", lambda asked: None if asked.url.startswith((own, "blob:")) else complaints.append(asked.url)
            )

            def refuse(dialog: Any) -> None:  # noqa: ANN401
                complaints.append(dialog.message)
                dialog.dismiss()

            page.on("dialog", refuse)
            page.goto(address)
            yield page, complaints
        finally:
            browser.close()


def serious_problems(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical on the page."""
    source = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found = page.evaluate(f"{source}; axe.run({{preload: false}})")
    assert len(found["passes"]) > 15
    return [
        f"{problem['id']}: {problem['nodes'][0]['html'][:200]}"
        for problem in found["violations"]
        if problem["impact"] in ("serious", "critical")
    ]
