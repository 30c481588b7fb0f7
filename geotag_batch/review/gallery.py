"""`geotag review --static`: the gallery as plain files, for any web server, or to be opened from a folder.

A gallery is a folder of its own, published whole; index.html beside it, the first page, is replaced last and leads to
it. Whoever looks at the one before goes on with it: that is removed with the publication after next.
"""

import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from geotag_batch.atomic import publish_folder, write_bytes
from geotag_batch.config import Config
from geotag_batch.errors import InputError, UsageError
from geotag_batch.review.cards import Card, make_card
from geotag_batch.review.filters import Filter, Place
from geotag_batch.review.index import Counts, PhotoRow
from geotag_batch.review.pages import assets
from geotag_batch.review.pictures import Pictures
from geotag_batch.review.queue import Queue
from geotag_batch.review.view import Links, View, show_gallery
from geotag_batch.review.why import Reasons, Why
from geotag_batch.workspace import Workspace

__all__ = ["Published", "publish_gallery"]

_PAGE_SIZE = 24
_AT_ONCE = 1000
_MARK = "geotag-gallery.json"


@dataclass(frozen=True, slots=True)
class Published:
    """What was made: photos and pages, how many photos are without picture, and the first page."""

    photos: int
    pages: int
    without_picture: int
    index: Path


@dataclass(frozen=True, slots=True)
class _Gallery:
    """All that goes into a gallery; `gallery_id` stays when it is made again, so that browsers keep its decisions."""

    head: str
    asked: Filter
    cards: Sequence[Card]
    reasons: dict[int, Reasons]
    gallery_id: str
    folder: str
    config: Config


def publish_gallery(workspace: Workspace, config: Config, into: Path, asked: Filter, limit: int) -> Published:
    """Write the first `limit` photos of a queue as a gallery in the folder `into`, replacing the one there.

    Raises UsageError if other files are in the way, InputError if there is nothing to show; HeadError, CatalogueError,
    StorageError.
    """
    before = _mark_of(into)
    gallery_id = before.get("id") or secrets.token_hex(8)
    queue = Queue(workspace, config)
    head = queue.open(asked.head)
    rows = _rows(queue, head, asked, limit)
    if not rows:
        raise InputError("no photo is waiting that this asks for", hint="ask for less, or see `geotag status`")
    words = queue.index.words([row.gridimage_id for row in rows])
    folder = f"gallery-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    gallery = _Gallery(
        head=head,
        asked=asked,
        cards=[make_card(row, words[row.gridimage_id], config.review, asked.tag) for row in rows],
        reasons=Why(workspace, config).of(head, rows),
        gallery_id=gallery_id,
        folder=folder,
        config=config,
    )
    pictures = Pictures(workspace, config)
    first: list[str] = []
    missing: dict[int, str] = {}

    def fill(staged: Path) -> None:
        missing.update(_write_pictures(pictures, rows, staged))
        first.append(_write_pages(gallery, missing, staged))

    staging = into / ".staging"
    try:
        publish_folder(fill, into / folder, staging)
    finally:
        pictures.close()
    mark = {"id": gallery_id, "current": folder, "head": head, "photos": len(rows)}
    write_bytes(json.dumps(mark, indent=1).encode(), into / _MARK, staging, replace=True)
    write_bytes(first[0].encode(), into / "index.html", staging, replace=True)
    shutil.rmtree(staging, ignore_errors=True)
    for old in into.glob("gallery-*"):
        if old.name not in (folder, before.get("current")):  # the one before stays for whoever has it open
            shutil.rmtree(old, ignore_errors=True)
    return Published(len(rows), -(-len(rows) // _PAGE_SIZE), len(missing), into / "index.html")


def _mark_of(into: Path) -> dict[str, str]:
    """Return id and current folder of the gallery that is there, or nothing. Raises UsageError if other files are."""
    try:
        mark = json.loads((into / _MARK).read_bytes())
        return {"id": str(mark["id"]), "current": str(mark["current"])}
    except FileNotFoundError:
        if into.exists() and (not into.is_dir() or any(path.name != ".staging" for path in into.iterdir())):
            raise UsageError(
                f"{into} is in use, and not by a gallery of geotag's", hint="name a folder that is new or empty"
            ) from None
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{into / _MARK} cannot be read: {error}", hint="name a folder that is new or empty"
        ) from error


def _rows(queue: Queue, head: str, asked: Filter, limit: int) -> list[PhotoRow]:
    rows: list[PhotoRow] = []
    while len(rows) < limit:
        place = Place(rows[-1].rank, rows[-1].gridimage_id) if rows else None
        more = queue.index.page(head, asked, place, min(_AT_ONCE, limit - len(rows)))
        rows += more
        if not more:
            break
    return rows


def _write_pictures(pictures: Pictures, rows: Sequence[PhotoRow], staged: Path) -> dict[int, str]:
    """Write each photo's picture; return which photos have none, and why."""
    missing = {}
    (staged / "photos").mkdir()
    for picture in pictures.get_all(rows):
        if picture.jpeg is None:
            missing[picture.gridimage_id] = picture.problem or ""
        else:
            (staged / "photos" / f"{picture.gridimage_id}.jpg").write_bytes(picture.jpeg)
    return missing


def _write_pages(gallery: _Gallery, missing: dict[int, str], staged: Path) -> str:
    """Write everything but the pictures; return the first page, which lies above the gallery's folder."""
    for asset in assets().values():
        (staged / asset.name).write_bytes(asset.content)
    starts = range(0, len(gallery.cards), _PAGE_SIZE)
    for number, start in enumerate(starts, 1):
        page = show_gallery(_view(gallery, missing, number, gallery.cards[start : start + _PAGE_SIZE]))
        if number == 1:
            first = page
        else:
            (staged / _page_name(number)).write_text(page, encoding="utf-8")
    return first


def _view(gallery: _Gallery, missing: dict[int, str], number: int, cards: Sequence[Card]) -> View:
    review, count = gallery.config.review, len(gallery.cards)
    pages = -(-count // _PAGE_SIZE)
    inside = f"{gallery.folder}/" if number == 1 else ""
    home = "index.html" if number == 1 else "../index.html"
    before = None if number == 1 else home if number == 2 else _page_name(number - 1)
    return View(
        head=gallery.head,
        heads=[gallery.head],
        asked=gallery.asked,
        counts=Counts(count, count),
        cards=cards,
        links=Links(
            home=home,
            start=home,
            previous=before,
            next=inside + _page_name(number + 1) if number < pages else None,
        ),
        asset=lambda name: inside + name,
        picture=partial(_picture_address, inside, missing),
        place=f"page {number} of {pages}",
        reviewer="",
        licence=review.licence,
        licence_url=review.licence_url if review.licence_url.startswith(("http://", "https://")) else None,
        reasons=gallery.reasons,
        gallery=gallery.gallery_id,
    )


def _picture_address(inside: str, missing: dict[int, str], row: PhotoRow) -> str:
    return inside + ("missing.svg" if row.gridimage_id in missing else f"photos/{row.gridimage_id}.jpg")


def _page_name(number: int) -> str:
    return f"page-{number:04d}.html"
