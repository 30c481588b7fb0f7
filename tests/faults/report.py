"""docs/reliability.md: prose by hand around sections that `make test-faults` writes."""

import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PAGE", "markdown_table", "write_section"]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table; what would break a cell (a bar, a line's end) is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", "\\n").replace("\r", "\\r")


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between the comments ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of `page`.

    Raises ValueError unless both are there once.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    old = page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(old)) != 1 or old.count(begin) != 1 or old.count(end) != 1:
        raise ValueError(f"{page} should have {begin} and {end} once each, in that order")
    page.write_text(pattern.sub(lambda _: f"{begin}\n\n{text.strip()}\n\n{end}", old), encoding="utf-8")
