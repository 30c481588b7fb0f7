"""A generated section is replaced, and nothing around it."""

from pathlib import Path

import pytest

from tests.faults.report import markdown_table, write_section
from tests.faults.row import row, rows_table


def test_a_section_is_replaced_and_nothing_around_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin a -->\nold\n<!-- end a -->\nbetween\n<!-- begin b --><!-- end b -->\nafter")
    write_section("a", "new \\1", page)
    write_section("b", "other", page)
    write_section("a", "newer", page)
    assert page.read_text().split("\n\n") == [
        "before\n<!-- begin a -->",
        "newer",
        "<!-- end a -->\nbetween\n<!-- begin b -->",
        "other",
        "<!-- end b -->\nafter",
    ]


def test_a_page_without_the_section_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin a -->")
    with pytest.raises(ValueError, match="<!-- end a -->"):
        write_section("a", "text", page)


def test_cells_keep_their_row() -> None:
    assert markdown_table(("a", "b"), [("x|y", 1234), ("two\nlines", "")]) == (
        "| a | b |\n| --- | --- |\n| x\\|y | 1,234 |\n| two\\nlines |  |"
    )


def test_an_exception_ends_its_row_as_a_finding() -> None:
    with row("fault", "how") as made:
        Path("/no/such/file").read_text()
    assert not made.tally.clean
    assert "NOT CLEAN, 1 findings: broken off by FileNotFoundError" in rows_table([made])
