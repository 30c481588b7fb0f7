"""What is escaped before it is shown, and what is not."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotag_batch.printable import one_line, printable

_JOBS = Path(__file__).parents[1] / "jobs"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", "\\u001b[31mred\\u0007"),
        ("\x9b2J and \x7f", "\\u009b2J and \\u007f"),
        ("a\rb", "a\\u000db"),
        ("\u202egpj.exe\u2066\u200f", "\\u202egpj.exe\\u2066\\u200f"),
        ("\ufeff\u200b\u2028", "\\ufeff\\u200b\\u2028"),
        ("\udcff.jpg", "\\udcff.jpg"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("Llyn y Fan Fâch, عربى, 👩‍🌾, a\u00a0b\ttab\n", "Llyn y Fan Fâch, عربى, 👩‍🌾, a\u00a0b\ttab\n"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_escaped_and_nothing_else(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_one_line_stays_one_line() -> None:
    assert one_line("done\n2026-01-01 INFO forged\t") == "done\\u000a2026-01-01 INFO forged\\u0009"


@given(st.text())
def test_json_stays_the_same_json(text: str) -> None:
    shown = printable(json.dumps({"title": text}, ensure_ascii=False))
    assert json.loads(shown) == {"title": text}
    assert shown.isascii() or not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_commands_print_through_say_alone() -> None:
    echoes = [path.name for path in sorted(_JOBS.glob("*.py")) if "click.echo(" in path.read_text(encoding="utf-8")]
    assert echoes == ["query.py", "say.py"]  # query.py for --raw
