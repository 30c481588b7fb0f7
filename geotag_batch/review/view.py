"""What the gallery's template is given: the same for the server's pages and for plain files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from geotag_batch.review.cards import Card, TagLine
from geotag_batch.review.filters import Filter
from geotag_batch.review.index import Counts, PhotoRow
from geotag_batch.review.pages import render
from geotag_batch.review.why import Reasons
from geotag_batch.taxonomy import tag_names

__all__ = ["Links", "View", "show_gallery", "show_reasons"]

_BLANK = TagLine("", "other", None, "", None, None)  # what the page's script makes another line of


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses on a page; None or empty where there is no such thing."""

    home: str
    start: str
    previous: str | None = None
    next: str | None = None
    decide: str = ""
    why: str = ""
    photo: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One page of the gallery. `asset` and `picture` give the address of a file and of a photo's picture.

    `gallery` names a gallery of plain files, and is empty on the server's pages; those leave `reasons` None and give
    them when asked.
    """

    head: str
    heads: Sequence[str]
    asked: Filter
    counts: Counts
    cards: Sequence[Card]
    links: Links
    asset: Callable[[str], str]
    picture: Callable[[PhotoRow], str]
    place: str
    reviewer: str
    licence: str
    licence_url: str | None
    suggested: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[int, Reasons] | None = None
    gallery: str = ""
    problem: str | None = None

    @property
    def static(self) -> bool:
        """Return whether the page is a plain file, without a server."""
        return bool(self.gallery)

    def filtered(self, **changed: str) -> str:
        """Return the address of the first page with the filter changed."""
        return self.links.home + self.asked.but(**changed).query()


def show_gallery(view: View) -> str:
    """Return the page as HTML."""
    return render("gallery.html", view=view, tags=tag_names(), blank=_BLANK)


def show_reasons(reasons: Reasons) -> str:
    """Return the reasons of one photo as a part of a page."""
    return render("why.html", reasons=reasons)
