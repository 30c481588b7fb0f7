"""The story of a photo for people to read, and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from geotag_batch.predict.features import MODALITIES
from geotag_batch.printable import one_line
from geotag_batch.run.explain import Row, Said, Story

__all__ = ["story_json", "story_text"]


def story_json(story: Story) -> str:
    """Return the story as JSON; times are ISO 8601, UTC."""
    return json.dumps(asdict(story), indent=2, ensure_ascii=False, default=_iso)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def story_text(story: Story) -> str:
    """Return the story as lines of text, with nothing in them that a terminal would obey."""
    lines = [
        f"photo {story.gridimage_id}  {story.photo_url}",
        *_photo(story),
        "",
        *_section("embeddings", [_embedding(row) for row in story.embeddings]),
        "",
        *_section("predictions", [line for said in story.predictions for line in _said(said)]),
        "",
        *_section("decisions", [_decision(row) for row in story.decisions]),
        "",
        *_section("failures", [_failure(row) for row in story.failures]),
        "",
        *_section("runs", [_run(row) for row in story.runs]),
    ]
    return "\n".join(map(one_line, lines))


def _photo(story: Story) -> Iterator[str]:
    photo, image = story.photo, story.image
    for name, value in (
        ("title", photo["title"]),
        ("square", photo["grid_reference"]),
        ("by", photo["realname"]),
        ("taken", photo["imagetaken"]),
        ("tags", None if photo["tags"] is None else "; ".join(photo["tags"]) or "none"),
        ("updated", _time(photo["updated_at"])),
        ("image", image.reference),
        ("signature", image.signature or f"none: {image.problem}"),
    ):
        yield f"  {name:10}{'unknown' if value is None else value}"


def _section(name: str, lines: list[str]) -> list[str]:
    return [name, *(f"  {line}" for line in lines)] if lines else [f"{name}: none"]


def _embedding(row: Row) -> str:
    what = " and ".join(
        name for name, key in (("image", "image_signature"), ("title", "title_hash")) if row[key] is not None
    )
    return f"{row['encoder']}  {what}, {row['precision']}, run {row['run_id']}, {row['file']}"


def _said(said: Said) -> Iterator[str]:
    facts = said.facts
    marks = ["in use"] if said.is_current else []
    marks += [] if facts["is_newest"] else ["earlier"]
    member = f", scored by {said.head_id}" if said.head_id != facts["head"] else ""
    marked = f" ({', '.join(marks)})" if marks else ""
    yield f"{facts['head']}{marked}, run {facts['run_id']}{member}"
    forced = " (only because a photo gets at least one)" if facts["forced"] else ""
    yield f"  tags {'; '.join(facts['tags']) or 'none'}{forced}; chance that exactly these are right " + (
        f"{facts['set_probability']:.2f}; {facts['policy_id']}"
    )
    used = [name for name in MODALITIES if facts[f"has_{name}"]]
    yield f"  made from {', '.join(used) or 'nothing'}"
    yield from (f"  {line}" for line in _shares(said))


def _shares(said: Said) -> Iterator[str]:
    if said.unexplained is not None:
        yield f"contributions cannot be said: {said.unexplained}"
        for share in said.shares:
            yield f"{share.score:6.3f} {'*' if share.given else ' '} {share.tag}"
        return
    kind = "terms of the logit" if said.exact else "Shapley values of the logit, for an MLP is no sum"
    yield f" score   logit =   image +  title + location +  bias   ({kind}; * given)"
    for share in said.shares:
        parts = [share.logit, share.image, share.title, share.location, share.bias]
        numbers = [0.0 if part is None else part for part in parts]
        yield (
            f"{share.score:6.3f} {numbers[0]:7.2f}   {numbers[1]:7.2f}  {numbers[2]:7.2f}  {numbers[3]:7.2f}  "
            f"{numbers[4]:7.2f} {'*' if share.given else ' '} {share.tag}"
        )


def _decision(row: Row) -> str:
    score = "" if row["score"] is None else f", score {row['score']:.3f} by {row['head']}"
    overtaken = "" if row["counts"] else "  (overtaken)"
    return f"{_time(row['decided_at'])}  {row['decision']} {row['tag']}, {row['reviewer']}{score}{overtaken}"


def _failure(row: Row) -> str:
    if not row["stands"]:
        then = "done or tried again since"
    elif row["due"]:
        then = "the next backfill tries again"
    elif row["permanent"]:
        then = "permanent: not tried again by itself"
    else:
        then = f"next retry after {_time(row['retry_after'])}"
    what = f"{row['error_class']} ({row['stage']}): {row['message']}"
    return f"{_time(row['failed_at'])}  {what}; attempt {row['attempts']}, {then}"


def _run(row: Row) -> str:
    facts = [row["command"], row["status"], row["precision"], row["device"], row["encoder_id"], row["head"]]
    facts += [row["policy_id"], f"geotag-batch {row['versions'].get('geotag-batch', 'unknown')}"]
    return f"{row['run_id']}  {', '.join(str(fact) for fact in facts if fact is not None)}"


def _time(value: Any) -> str | None:  # noqa: ANN401
    return value.strftime("%Y-%m-%d %H:%M") if isinstance(value, datetime) else None
