"""Stored embeddings by ranges of ids: the newest of each photo, with few looks into all files."""

from collections.abc import Callable
from typing import Any

import pytest

from geotag_batch.duck import connect, fetch_arrow
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.run import stored_range
from geotag_batch.run.stored_range import StoredRanges
from tests.run.conftest import Archive


@pytest.mark.parametrize("ahead", [1, 5, 1000])
def test_ranges_hold_what_is_stored_and_all_files_are_looked_into_once_for_many_photos(
    archive: Callable[[int], Archive], monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    made = archive(12)
    made.backfill()
    queries: list[str] = []

    def count(connection: Any, purpose: str, name: str, parameters: Any) -> Any:  # noqa: ANN401
        queries.append(name)
        return fetch_arrow(connection, purpose, name, parameters)

    monkeypatch.setattr(stored_range, "fetch_arrow", count)
    monkeypatch.setattr(stored_range, "_AHEAD", ahead)
    with connect() as connection:
        stored = StoredRanges(connection, made.workspace, FakeEncoder.encoder_id, FakeEncoder.dim)
        bounds = [(0, 3), (4, 4), (5, 5), (6, 11), (12, 2**63 - 1), (2, 3), (13, 20)]
        found = [stored.read(*each).ids.tolist() for each in bounds]
        assert found == [[1, 2, 3], [4], [5], [6, 7, 8, 9, 10, 11], [12], [2, 3], []]
        whole = [photo for part in stored.ranges(5) for photo in part.ids.tolist()]
    assert whole == list(range(1, 13))
    assert queries.count("stored_blocks") == 1
    if ahead == 1000:
        assert queries.count("stored") == 2  # one for all that is read, one for what is yielded
