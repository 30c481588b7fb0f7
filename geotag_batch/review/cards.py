"""What a card of the gallery shows, from a photo's row and what is decided on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geotag_batch.config import ReviewConfig
from geotag_batch.review.index import MOST_PERHAPS, PhotoRow, Word

__all__ = ["Card", "TagLine", "make_card", "spoken_words"]

_KEYS = "1234567890"


@dataclass(frozen=True, slots=True)
class TagLine:
    """One tag on a card. `score` None if under 0.1.

    `kind`: suggested; asked (not suggested, but what the filter is about); perhaps (not suggested, but near); other.
    `decision` is accept, reject, add or None; `reviewer` who said so; `key` the digit that decides it.
    """

    tag: str
    kind: str
    score: float | None
    key: str
    decision: str | None
    reviewer: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """One photo; `seen` is the newest decision_id on it, empty without one."""

    row: PhotoRow
    title: str
    url: str | None
    lines: tuple[TagLine, ...]
    seen: str

    @property
    def done(self) -> bool:
        """Return whether every tag that is suggested or asked for is decided."""
        return all(line.decision for line in self.lines if line.kind in ("suggested", "asked"))


def make_card(row: PhotoRow, words: Sequence[Word], review: ReviewConfig, tag: str | None = None) -> Card:
    """Return the card of a photo: suggested tags first, then what is near, then what was added otherwise.

    The `tag` that the filter is about comes before all, suggested or not.
    """
    said = {word.tag: word for word in words}
    scored = [(name, "suggested", score) for name, score in row.suggested]
    asked = [(name, "asked", score) for name, score in row.perhaps if name == tag]
    near = [(name, "perhaps", score) for name, score in row.perhaps if name != tag]
    # What is decided is shown, however unlikely.
    near = [each for place, each in enumerate(near) if place < MOST_PERHAPS or _is_decided(said, each[0])]
    shown = sorted(asked + scored, key=lambda each: each[0] != tag) + near
    named = {name for name, _, _ in shown}
    others = [(word.tag, "other", None) for word in words if word.tag not in named and _is_decided(said, word.tag)]
    lines = []
    for place, (name, kind, score) in enumerate([*shown, *others]):
        word = said[name] if _is_decided(said, name) else None
        key = _KEYS[place] if place < len(_KEYS) else ""
        lines.append(TagLine(name, kind, score, key, word.decision if word else None, word.reviewer if word else None))
    url = review.photo_url.replace("{gridimage_id}", str(row.gridimage_id))
    return Card(
        row=row,
        title=(row.title or "").strip() or "(no title)",
        url=url if url.startswith(("http://", "https://")) else None,
        lines=tuple(lines),
        seen=max((word.decision_id for word in words), default=""),
    )


def spoken_words(photo: int, words: Sequence[Word]) -> dict[str, Any]:
    """Return what is decided on a photo as the page's script takes it."""
    return {
        "photo": photo,
        "seen": max((word.decision_id for word in words), default=""),
        "words": [
            {
                "tag": word.tag,
                "decision": word.decision,
                "reviewer": word.reviewer,
                "at": word.decided_at.isoformat(timespec="seconds") + "Z",
            }
            for word in words
            if word.decision != "withdraw"
        ],
    }


def _is_decided(said: dict[str, Word], tag: str) -> bool:
    return tag in said and said[tag].decision != "withdraw"
