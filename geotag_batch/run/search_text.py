"""What a search found: for a terminal, as JSON, and as a page."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geotag_batch.atomic import write_elsewhere
from geotag_batch.config import Config
from geotag_batch.draw.page import render_page
from geotag_batch.printable import one_line
from geotag_batch.run.query import table_lines
from geotag_batch.run.search import Answer
from geotag_batch.run.thumbnails import Thumbnail, load_thumbnails
from geotag_batch.workspace import Workspace

__all__ = ["answer_json", "answer_text", "cut_warning", "write_answer_page"]

_SIZE = 224  # pixels of a picture's side


def answer_text(answer: Answer) -> Iterator[str]:
    """Yield the lines of a table, and what was compared, with nothing in them that a terminal would obey."""
    names = ["similarity", "gridimage_id", "title", "grid_reference", "contributor"]
    names += ["km"] if answer.wish.near else []
    rows = [tuple(getattr(match, name) for name in names) for match in answer.matches]
    *lines, _ = table_lines(names, iter([rows] if rows else []))
    yield from lines if rows else []
    yield f"({one_line(_found(answer))}, in {answer.seconds:.1f} s)"


def answer_json(answer: Answer) -> str:
    """Return the answer as a JSON document."""
    wish = {name: value for name, value in asdict(answer.wish).items() if value is not None}
    facts = {"encoder_id": answer.encoder_id, "compared": answer.compared, "cut": answer.cut}
    facts["seconds"] = round(answer.seconds, 3)
    return json.dumps(
        {**wish, **facts, "photos": [asdict(match) for match in answer.matches]}, indent=1, ensure_ascii=False
    )


def cut_warning(answer: Answer) -> str | None:
    """Return in words that the encoder read the beginning of the text alone; None if it read all."""
    if not answer.cut:
        return None
    return "the text is longer than the encoder reads (CLIP: 77 tokens, some 50 words); its end was left out"


def write_answer_page(workspace: Workspace, config: Config, answer: Answer, path: Path) -> Path:
    """Write the answer as one HTML file with the photos' pictures in it, replacing what is there.

    Raises StorageError if it cannot be written; CatalogueError, and ImageRootError where no image can be had.
    """
    ids = [match.gridimage_id for match in answer.matches]
    pictures = load_thumbnails(workspace, config, ids, _SIZE)
    review = config.review
    page = render_page(
        "search.html",
        sought=_sought(answer),
        found=_found(answer),
        cut=answer.cut,
        photos=[(match, pictures.get(match.gridimage_id) or _unknown(asdict(match))) for match in answer.matches],
        licence=review.licence,
        licence_url=review.licence_url if review.licence_url.startswith(("http://", "https://")) else None,
    )
    write_elsewhere(f"{page.rstrip()}\n".encode(), path)
    return path


def _unknown(match: dict[str, Any]) -> Thumbnail:
    return Thumbnail(match["gridimage_id"], "", "", "", match["photo_url"], None, "not in the catalogue")


def _sought(answer: Answer) -> str:
    wish = answer.wish
    return (
        f"photo {wish.like}"
        if wish.text is None
        else f"\N{LEFT DOUBLE QUOTATION MARK}{wish.text}\N{RIGHT DOUBLE QUOTATION MARK}"
    )


def _found(answer: Answer) -> str:
    wish, count = answer.wish, len(answer.matches)
    within = f" within {wish.near.km:g} km of {wish.near.reference}" if wish.near else ""
    tagged = f" tagged {wish.tag}" if wish.tag else ""
    compared = f"{answer.compared:,} {wish.modality} embeddings by {answer.encoder_id}{within}{tagged}"
    return f"{count:,} of {compared}" if count else f"nothing among {compared}"
