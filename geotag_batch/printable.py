"""Text from outside made safe to show: titles, names and paths may hold what a terminal or a spreadsheet would obey.

What is escaped is written as in JSON (``\\u001b``), so that JSON that goes through here stays the same JSON.
"""

import re

__all__ = ["one_line", "printable", "spreadsheet_safe"]

_CONTROLS = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1: colours, cursor, window titles, overwritten lines
    r"\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # order, and what is not seen
    r"\ud800-\udfff\U000e0000-\U000e0fff"  # halves of characters (file names that are not UTF-8), invisible tags
)
"""Joiners (U+200C, U+200D) stay: scripts and emoji need them, and they can neither move nor hide anything."""

_UNSAFE, _UNSAFE_IN_A_LINE = re.compile(f"[{_CONTROLS}]"), re.compile(f"[{_CONTROLS}\t\n]")
_FORMULA = re.compile(r"[=+\-@\t\r\uff0b\uff0d\uff1d\uff20]")


def printable(text: str) -> str:
    """Return `text` with everything escaped that a terminal would obey or hide; newlines and tabs stay."""
    return _UNSAFE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return `text` as `printable` does, its newlines and tabs escaped too: it cannot pass for two lines of output."""
    return _UNSAFE_IN_A_LINE.sub(_escape, text)


def spreadsheet_safe(text: str) -> str:
    """Return `text` with an apostrophe before it if a spreadsheet might take it for a formula (=, +, -, @, tab)."""
    return f"'{text}" if _FORMULA.match(text) else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
