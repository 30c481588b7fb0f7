"""Titles, grid references and image paths as a catalogue may have them."""

from collections.abc import Iterator
from pathlib import Path

from tests.corpus.cases import GOOD, Case

__all__ = ["PATHS", "REFERENCES", "TITLES"]

_KEPT = "tagged, title as it was"

TITLES = (
    Case("title", "NULL", "tagged, no title", title=None),
    Case("title", "empty", "tagged, title as it was", title=b""),
    *(
        Case("title", name, _KEPT, title=text.encode())
        for name, text in {
            "only spaces": "   ",
            "10 kB in one word": "x" * 10_000,
            "1 MB of words": "hill " * 200_000,
            "NUL in the middle": "before\0after",
            "emoji joined by ZWJ": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f4\u200d\u2620\ufe0f",
            "right to left, with overrides": "\u202eevil\u202c \u0645\u0646\u0638\u0631 \u2067\u05e0\u05d5\u05e3\u2069",
            "200 combining marks": "Z" + "\u0301" * 200,
            "zero-width and byte-order mark": "\ufeffa\u200bb\u2060",
            "composed é": "caf\u00e9",
            "decomposed é": "cafe\u0301",
            "SQL": "'); DROP TABLE photos; --",
            "HTML": '"><script>alert(1)</script><img src=x onerror=alert(1)></title></textarea>',
            "a template": "{{7*7}} ${x} {gridimage_id} %s %(x)s",
            "a formula for spreadsheets": '=HYPERLINK("http://example.invalid","x")',
            "a formula with an at sign": "@SUM(1+1)*cmd|' /C calc'!A0",
            "terminal escapes": "\x1b[31mred\x1b[0m \x1b]0;owned\x07 \x9b31m",
            "a forged log line": "photo\r\nERROR geotag: all lost",
            "backspaces": "good\b\b\b\bbad",
            "the text NULL": "NULL",
            "the text NaN": "NaN",
            "non-characters": "\ufffe\uffff\U0010ffff",
            "control characters": "".join(map(chr, [*range(1, 32), 127, *range(128, 160)])),
        }.items()
    ),
    Case("title", "bytes that are no UTF-8", "tagged, title 'caf?'", title=b"caf\xe9"),
    Case("title", "UTF-8 cut in the middle", "tagged, title 'caf?'", title=b"caf\xc3"),
    Case("title", "a lone surrogate", "tagged, title 'x???y'", title=b"x\xed\xa0\x80y"),
    Case("title", "an overlong slash", "tagged, title '??'", title=b"\xc0\xaf"),
)

_UNKNOWN = "tagged, no location"

REFERENCES = (
    *(
        Case("grid reference", " ".join(text.decode().split()), f"tagged, at {place}", grid_reference=text)
        for text, place in (
            (b"TQ3080", "51.5 -0.1"),  # Westminster
            (b"NN1671", "56.8 -5.0"),  # Ben Nevis
            (b"TQ 30 80", "51.5 -0.1"),
            (b"tq3080", "51.5 -0.1"),
            (b" TQ\t300 804 ", "51.5 -0.1"),  # white space of all kinds
            (b"TQ3004480393", "51.5 -0.1"),
            (b"J3374", "54.6 -5.9"),  # Belfast
            (b"O1534", "53.3 -6.3"),  # Dublin
        )
    ),
    *(
        Case("grid reference", name, _UNKNOWN, grid_reference=text)
        for name, text in {
            "NULL": None,
            "empty": b"",
            "a dash": b"-",
            "the text NULL": b"NULL",
            "a 100 km square alone": b"TQ",
            "a 10 km square": b"TQ38",
            "an odd number of figures": b"TQ30800",
            "unequal halves": b"TQ 308 04",
            "12 figures": b"TQ300443803932",
            "the letter I": b"SI3080",
            "an Irish I": b"I3080",
            "a square off the British map": b"ZZ3080",
            "a square north of the map": b"JF0000",
            "three letters": b"TQX3080",
            "no letters": b"530000 180000",
            "degrees": b"51.5, -0.1",
            "full-width figures": "TQ\uff13\uff10\uff18\uff10".encode(),
            "Arabic figures": "TQ\u0663\u0660\u0668\u0660".encode(),
            "a Kelvin sign for K": "\u212a3080".encode(),
            "NUL at the end": b"TQ3080\0",
            "SQL": b"TQ3080'--",
            "a path": b"TQ/../../x",
            "a sign": b"TQ-3080",
            "an exponent": b"TQ1e10",
            "10 kB of figures": b"TQ" + b"1" * 10_000,
            "bytes that are no UTF-8": b"TQ\xff3080",
        }.items()
    ),
)


def _paths() -> Iterator[Case]:
    for name, reference, expected in (
        ("NULL", None, "missing"),
        ("up and out", b"../secret.jpg", "outside_root"),
        ("up and out further down", b"x/../../secret.jpg", "outside_root"),
        ("an absolute path", b"/etc/hostname", "outside_root"),
        ("a folder that links out of the root", b"out/secret.jpg", "outside_root"),
        ("file: URL", b"file:///etc/hostname", "outside_root"),
        ("FILE: without slashes", b"FILE:/etc/hostname", "outside_root"),
        ("http: URL", b"http://169.254.169.254/latest/meta-data", "outside_root"),
        ("s3: URL", b"s3://bucket/key", "outside_root"),
        ("data: URL", b"data:image/png;base64,iVBORw0KGgo=", "outside_root"),
        ("the root itself", b".", "not_a_file"),
        ("a tilde", b"~/secret.jpg", "missing"),
        ("a variable", b"$HOME/secret.jpg", "missing"),
        ("percent-encoded dots", b"%2e%2e/secret.jpg", "missing"),
        ("backslashes", b"..\\secret.jpg", "missing"),
        ("a pipe", b"|touch canary", "missing"),
        ("NUL", b"0.jpg\0.png", "missing"),
        ("a name of 300 bytes", b"x" * 300, "io_error"),
        ("a path of 10 kB", b"x/" * 5000, "io_error"),
        ("below a file", b"good.jpg/0.jpg", "missing"),
        ("a name that is no UTF-8", b"\xff.jpg", "missing"),
        ("dots within the root", b"x/../good.jpg", "tagged"),
    ):
        yield Case("path", name, expected, _place, reference)
    for name, file in (
        ("a line's end in the name", "line\nend.jpg"),
        ("a terminal escape in the name", "\x1b[31m.jpg"),
        ("glob characters in the name", "[1]*?.jpg"),
        ("percent and hash in the name", "a%20b#1.jpg"),
        ("quotes in the name", 'it\'s "so".jpg'),
        ("a colon in the name", "a:b.jpg"),
        ("a name in Arabic", "\u0645\u0646\u0638\u0631.jpg"),
    ):
        yield Case("path", name, "tagged", _writer(file), file.encode())


def _place(path: Path) -> None:
    """Lay out what the paths lead to: a good photo, a secret outside, a link to there, a name that is no UTF-8."""
    root = path.parent
    (root / "good.jpg").write_bytes(GOOD)
    (root / "x").mkdir(exist_ok=True)
    (root.parent / "secret.jpg").write_bytes(GOOD)
    (root.parent / "elsewhere").mkdir(exist_ok=True)
    (root.parent / "elsewhere" / "secret.jpg").write_bytes(GOOD)
    if not (root / "out").is_symlink():
        (root / "out").symlink_to("../elsewhere")
    Path(str(root / "name").replace("name", "\udcff.jpg")).write_bytes(GOOD)


class _writer:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, path: Path) -> None:
        (path.parent / self.name).write_bytes(GOOD)


PATHS = tuple(_paths())
