"""What a reviewer asks for, as it stands in the page's address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from geotag_batch.errors import UsageError
from geotag_batch.taxonomy import tag_index

__all__ = ["ORDERS", "STATES", "Filter", "Place", "parse_filter", "parse_place"]

STATES = ("waiting", "decided", "all")
ORDERS = ("unsure", "sure", "newest")

_SQUARE = re.compile(r"[A-Z]{1,2}(\d\d){0,2}")
_LONGEST = 100  # characters of a contributor's name; more is no name


@dataclass(frozen=True, slots=True)
class Filter:
    """Which photos, in which order; None asks for nothing. `low` and `high` bound the score of `tag`.

    Without a tag they bound a photo's greatest score.
    """

    state: str = "waiting"
    tag: str | None = None
    low: float | None = None
    high: float | None = None
    square: str | None = None
    contributor: str | None = None
    photo: int | None = None
    order: str = "unsure"
    head: str | None = None

    def bound(self) -> dict[str, Any]:
        """Return the parameters of sql/review/matching.sql."""
        return {
            "state": self.state,
            "tag": None if self.tag is None else tag_index()[self.tag],
            "low": self.low,
            "high": self.high,
            "square": self.square,
            "contributor": self.contributor,
            "photo": self.photo,
            "order": self.order,
        }

    def query(self, **more: object) -> str:
        """Return the address's query: what differs from the default, then `more`; empty, or with its question mark."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        text = urlencode(said | {name: value for name, value in more.items() if value is not None})
        return f"?{text}" if text else ""

    @property
    def is_narrow(self) -> bool:
        """Return whether it asks for less than everything that is waiting."""
        return self.but(head=None, order="unsure") != Filter()

    def but(self, **changed: Any) -> "Filter":  # noqa: ANN401
        """Return the filter with some of it changed."""
        return replace(self, **changed)


@dataclass(frozen=True, slots=True)
class Place:
    """A row of the queue that a page starts from: what follows it, or precedes it. The order makes `rank` of it."""

    rank: float
    gridimage_id: int
    backwards: bool = False

    def __str__(self) -> str:
        """Return what `parse_place` takes."""
        return f"{self.rank!r}_{self.gridimage_id}"


def parse_filter(query: Mapping[str, str]) -> Filter:
    """Return the filter in an address's query; unknown keys are left alone. Raises UsageError naming what is wrong."""
    said = {name: value.strip() for name, value in query.items() if value.strip()}
    low, high = _score(said, "low"), _score(said, "high")
    if low is not None and high is not None and low > high:
        raise UsageError(f"no score is at least {low:g} and at most {high:g}")
    tag = said.get("tag")
    if tag is not None and tag not in tag_index():
        raise UsageError(f"{tag} is none of the {len(tag_index())} tags")
    square = said.get("square", "").replace(" ", "").upper() or None
    if square is not None and not _SQUARE.fullmatch(square):
        raise UsageError(f"{said['square']} is no square: SU, SU31 (10 km) or SU3814 (1 km)")
    contributor = said.get("contributor")
    if contributor is not None and len(contributor) > _LONGEST:
        raise UsageError(f"a contributor's name has at most {_LONGEST} characters")
    photo = said.get("photo")
    if photo is not None and not re.fullmatch(r"\d{1,18}", photo, re.ASCII):
        raise UsageError(f"{photo} is no photo's id")
    return Filter(
        state=_one_of(said, "state", STATES),
        tag=tag,
        low=low,
        high=high,
        square=square,
        contributor=contributor,
        photo=None if photo is None else int(photo),
        order=_one_of(said, "order", ORDERS),
        head=said.get("head"),
    )


def parse_place(query: Mapping[str, str]) -> Place | None:
    """Return the place that `after` or `before` in an address's query names; None if neither. Raises UsageError."""
    for name in ("after", "before"):
        text = query.get(name)
        if text:
            found = re.fullmatch(r"(-?\d[\d.]*(?:e[-+]?\d+)?)_(\d{1,18})", text, re.ASCII)
            try:
                rank, photo = found.groups() if found else ("", "")
                return Place(float(rank), int(photo), backwards=name == "before")
            except ValueError as error:
                raise UsageError(f"{name} = {text} is no place in the queue") from error
    return None


def _score(said: Mapping[str, str], name: str) -> float | None:
    if name not in said:
        return None
    try:
        value = float(said[name])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{said[name]} is no score: from 0 to 1")
    return value


def _one_of(said: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    value = said.get(name, choices[0])
    if value not in choices:
        raise UsageError(f"{name} = {value} is none of {', '.join(choices)}")
    return value
