"""What the page sends when somebody decides: checked, committed, and what is decided then."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geotag_batch.config import Config
from geotag_batch.errors import GeotagError, UsageError
from geotag_batch.review.filters import Filter
from geotag_batch.review.index import PhotoRow
from geotag_batch.review.queue import Queue
from geotag_batch.run.decisions import refresh_views
from geotag_batch.taxonomy import tag_index
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import KINDS, Decision, DecisionLog

__all__ = ["Asked", "Decider", "check_reviewer", "parse_asked"]

_LONGEST_NAME = 80
_SOURCE = "review"


@dataclass(frozen=True, slots=True)
class Asked:
    """One step of a reviewer: `changes` are tags with a decision, all on one photo.

    `seen` is the newest decision on it that the page knew, `run_id` that of the prediction that it showed.
    """

    photo: int
    head: str
    run_id: str
    reviewer: str
    seen: str | None
    changes: tuple[tuple[str, str], ...]


class Decider:
    """Commits steps, one at a time; any thread may ask."""

    def __init__(self, workspace: Workspace, config: Config, queue: Queue) -> None:
        """Write into a workspace, and tell the queue."""
        self._workspace = workspace
        self._config = config
        self._queue = queue
        self._log = DecisionLog(workspace)
        self._one_at_a_time = threading.Lock()
        self._views_are_fresh = False

    def decide(self, asked: Asked) -> None:
        """Commit a step; it is durable when this returns, and the queue knows it.

        Raises DecisionConflictError if another reviewer has decided on the photo since the page was made, UsageError
        if a run has predicted it again or it is not in the queue any more; LockedError, StorageError.
        """
        head = self._queue.open(asked.head)
        rows = self._queue.index.page(head, Filter(state="all", photo=asked.photo), None, 1)
        if not rows:
            raise UsageError(f"photo {asked.photo} is not in the queue of {head} any more")
        row = rows[0]
        if row.run_id != asked.run_id:
            raise UsageError(f"photo {asked.photo} was predicted again since this page was made; load the page again")
        with self._one_at_a_time:
            self._log.append(_decisions(asked, head, row), {asked.photo: asked.seen})
            self._refresh_views()
        self._queue.hear()

    def _refresh_views(self) -> None:
        """Let the views know of the workspace's first decision; it is kept whatever becomes of them."""
        if not self._views_are_fresh:
            self._views_are_fresh = True
            try:
                refresh_views(self._workspace, self._config)
            except GeotagError as error:
                self._queue.trouble = error


def _decisions(asked: Asked, head: str, row: PhotoRow) -> list[Decision]:
    scores = dict(row.suggested + row.perhaps)
    return [
        Decision(
            gridimage_id=asked.photo,
            tag=tag,
            decision=decision,
            reviewer=asked.reviewer,
            source=_SOURCE,
            head=head,
            policy_id=row.policy_id,
            run_id=row.run_id,
            score=scores.get(tag),
        )
        for tag, decision in asked.changes
    ]


def check_reviewer(name: str) -> str:
    """Return a reviewer's name without spaces around it. Raises UsageError if it is none."""
    name = name.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a reviewer has a name of at most {_LONGEST_NAME} characters")
    return name


def parse_asked(document: object) -> Asked:
    """Return what the page's JSON asks for. Raises UsageError if it makes no sense."""
    said = document if isinstance(document, Mapping) else {}
    photo, seen = said.get("photo"), said.get("seen")
    if isinstance(photo, bool) or not isinstance(photo, int) or not 0 < photo < 2**63:
        raise UsageError("photo should be a gridimage_id")
    if seen is not None and not isinstance(seen, str):
        raise UsageError("seen should be a decision_id or null")
    return Asked(
        photo=photo,
        head=_text(said, "head"),
        run_id=_text(said, "run"),
        reviewer=check_reviewer(_text(said, "reviewer")),
        seen=seen,
        changes=_changes(said.get("changes")),
    )


def _changes(listed: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise UsageError("changes should be a list of tags with their decisions")
    changes: dict[str, str] = {}
    for each in listed:
        change: Mapping[str, Any] = each if isinstance(each, Mapping) else {}
        tag, decision = change.get("tag"), change.get("decision")
        if not isinstance(tag, str) or tag not in tag_index() or decision not in KINDS or tag in changes:
            raise UsageError(f"{tag!r} cannot be decided as {decision!r}")
        changes[tag] = decision
    return tuple(changes.items())


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str):
        raise UsageError(f"{name} should be text")
    return value
