"""The web application behind `geotag review`: the gallery, pictures, reasons, and taking decisions."""

import json
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode

import anyio
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from geotag_batch.config import Config
from geotag_batch.errors import DecisionConflictError, GeotagError, HeadError, UsageError
from geotag_batch.review.cards import make_card, spoken_words
from geotag_batch.review.deciding import Decider, parse_asked
from geotag_batch.review.filters import Filter, Place, parse_filter, parse_place
from geotag_batch.review.index import Counts, PhotoRow
from geotag_batch.review.pages import assets
from geotag_batch.review.pictures import Pictures
from geotag_batch.review.queue import Queue
from geotag_batch.review.view import Links, View, show_gallery, show_reasons
from geotag_batch.review.why import Why
from geotag_batch.workspace import Workspace

__all__ = ["PAGE_SIZE", "ReviewApp"]

PAGE_SIZE = 24
"""Photos on a page: two, three and four go into it, so that no row is left half empty."""

_LONGEST_BODY = 65_536  # bytes of a step; 49 tags take a tenth of it
_FOR_EVER = "private, max-age=31536000, immutable"  # the address changes when the content does
_PICTURES_AT_ONCE = 16  # threads that wait for pictures; others are left for pages and decisions


class ReviewApp:
    """Answers the page's requests; `asgi` is the application. To be closed."""

    def __init__(self, workspace: Workspace, config: Config, reviewer: str) -> None:
        """Prepare; the queue is read when it is asked for. `reviewer` is the name that a page begins with, or empty.

        Raises ConfigError if images.root makes no sense; LockedError, StorageError.
        """
        self._config = config
        self._reviewer = reviewer
        self.queue = Queue(workspace, config)
        self.queue.tidy()
        self._decider = Decider(workspace, config, self.queue)
        self._why = Why(workspace, config)
        self._pictures = Pictures(workspace, config)
        self._picture_threads: CapacityLimiter | None = None
        self.asgi = Starlette(
            routes=[
                Route("/", self._gallery),
                Route("/assets/{name}", self._asset),
                Route("/thumbnails/{photo:int}.jpg", self._picture),
                Route("/why/{photo:int}", self._reasons),
                Route("/decisions", self._decide, methods=["POST"]),
            ],
            exception_handlers={GeotagError: _trouble},
        )

    def prepare(self, asked: Filter) -> tuple[str, Counts]:
        """Make the first page once, so that the first reviewer does not wait for it; return head and counts.

        Raises HeadError if nothing is predicted; CatalogueError, StorageError.
        """
        head = self.queue.open(asked.head)
        self._page(head, asked, None)
        return head, self.queue.index.counts(head, asked)

    def close(self) -> None:
        """End the decoding processes."""
        self._pictures.close()

    def _gallery(self, request: Request) -> Response:
        self.queue.follow()
        try:
            asked, place = parse_filter(request.query_params), parse_place(request.query_params)
            head = self.queue.open(asked.head)
        except (UsageError, HeadError) as error:
            return HTMLResponse(self._page(self.queue.open(), Filter(), None, problem=f"{error.message}."), 400)
        return HTMLResponse(self._page(head, asked, place))

    def _page(self, head: str, asked: Filter, place: Place | None, problem: str | None = None) -> str:
        index, review = self.queue.index, self._config.review
        rows, before, after = ([], None, None) if problem else self._rows(head, asked, place)
        words = index.words([row.gridimage_id for row in rows])
        in_head = "" if asked.head is None else f"&{urlencode({'head': head})}"
        return show_gallery(
            View(
                head=head,
                heads=self.queue.heads,
                asked=asked,
                counts=Counts(0, 0) if problem else index.counts(head, asked),
                cards=[make_card(row, words[row.gridimage_id], review, asked.tag) for row in rows],
                links=Links(
                    home="/",
                    start="/" + asked.query(),
                    previous=None if before is None else "/" + asked.query(before=before),
                    next=None if after is None else "/" + asked.query(after=after),
                    decide="/decisions",
                    why=f"/why/PHOTO?{urlencode({'head': head})}",
                    photo=f"/?state=all{in_head}&photo=PHOTO",
                ),
                asset=_asset_address,
                picture=partial(_picture_address, head),
                place=f"{len(rows)} on this page",
                reviewer=self._reviewer,
                licence=review.licence,
                licence_url=review.licence_url if review.licence_url.startswith(("http://", "https://")) else None,
                suggested=index.suggested(head),
                problem=problem or (None if self.queue.trouble is None else self.queue.trouble.message),
            )
        )

    def _rows(
        self, head: str, asked: Filter, place: Place | None
    ) -> tuple[Sequence[PhotoRow], Place | None, Place | None]:
        """Return a page's rows, and the places that the pages before and after it start from, where there are any."""
        index = self.queue.index
        backwards = place is not None and place.backwards
        rows = index.page(head, asked, place, PAGE_SIZE + 1)
        more = len(rows) > PAGE_SIZE
        rows = rows[-PAGE_SIZE:] if backwards else rows[:PAGE_SIZE]
        if not rows:
            return rows, None, None
        first = Place(rows[0].rank, rows[0].gridimage_id, backwards=True)
        last = Place(rows[-1].rank, rows[-1].gridimage_id)
        before = more if backwards else place is not None and bool(index.page(head, asked, first, 1))
        after = bool(index.page(head, asked, last, 1)) if backwards else more
        return rows, first if before else None, last if after else None

    def _row(self, request: Request) -> PhotoRow:
        """Return the row of the photo that an address names. Raises UsageError if it is not in that head's queue."""
        head = self.queue.open(request.query_params.get("head"))
        photo = Filter(state="all", photo=min(request.path_params["photo"], 2**63 - 1))
        rows = self.queue.index.page(head, photo, None, 1)
        if not rows:
            raise UsageError(f"photo {photo.photo} is not in the queue")
        return rows[0]

    def _reasons(self, request: Request) -> Response:
        row = self._row(request)
        head = self.queue.open(request.query_params.get("head"))
        return HTMLResponse(show_reasons(self._why.of(head, [row])[row.gridimage_id]))

    async def _picture(self, request: Request) -> Response:
        if self._picture_threads is None:  # made where the event loop is
            self._picture_threads = CapacityLimiter(_PICTURES_AT_ONCE)
        return await anyio.to_thread.run_sync(self._get_picture, request, limiter=self._picture_threads)

    def _get_picture(self, request: Request) -> Response:
        picture = self._pictures.get(self._row(request))
        if picture.jpeg is not None:
            return Response(picture.jpeg, media_type="image/jpeg", headers={"Cache-Control": _FOR_EVER})
        # 200, for the address is right: it is the photo that has no picture.
        missing = assets()["missing.svg"]
        drawn = missing.content.replace(b"PROBLEM", (picture.problem or "").replace("_", " ").encode())
        return Response(drawn, media_type=missing.media_type)

    async def _decide(self, request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return JSONResponse({"message": "a step is sent as application/json"}, 415)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                return JSONResponse({"message": "that is more than one step"}, 413)
        return await anyio.to_thread.run_sync(self._take, body)

    def _take(self, body: bytes) -> Response:
        try:
            asked = parse_asked(json.loads(body))
        except (ValueError, RecursionError, UsageError) as error:
            return JSONResponse({"message": f"That is no step: {error}"}, 400)
        try:
            self._decider.decide(asked)
        except DecisionConflictError as error:
            self.queue.hear()
            return JSONResponse({"message": f"{error.message}.", "state": self._spoken(asked.photo)}, 409)
        except UsageError as error:
            return JSONResponse({"message": f"{error.message}."}, 409)
        except GeotagError as error:
            return JSONResponse({"message": f"Nothing was kept: {error.message}."}, 503)
        return JSONResponse(self._spoken(asked.photo))

    def _spoken(self, photo: int) -> dict[str, object]:
        return spoken_words(photo, self.queue.index.words([photo])[photo])

    @staticmethod
    async def _asset(request: Request) -> Response:
        asset = assets().get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("There is no such file.\n", 404)
        return Response(asset.content, media_type=asset.media_type, headers={"Cache-Control": _FOR_EVER})


def _asset_address(name: str) -> str:
    return f"/assets/{name}?v={assets()[name].version}"


def _picture_address(head: str, row: PhotoRow) -> str:
    return f"/thumbnails/{row.gridimage_id}.jpg?{urlencode({'head': head, 'v': row.version})}"


def _trouble(request: Request, error: Exception) -> Response:
    assert isinstance(error, GeotagError)
    status = 404 if isinstance(error, UsageError) else 503
    return PlainTextResponse(f"{error.message}\n{error.hint or ''}\n", status)
