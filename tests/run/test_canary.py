"""The canary: a run whose encoder does not make what is stored is refused before it mixes anything in."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.config import set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError
from geotag_batch.run.canary import REFUSED, WARNED
from tests.heads import make_head
from tests.run.conftest import Archive

Images = Callable[[FakeEncoder, NDArray[np.uint8]], NDArray[np.float32]]

encode_images, encode_titles = FakeEncoder.encode_images, FakeEncoder.encode_titles


@pytest.fixture
def night(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of nine photos that were done, and three new ones."""
    made = archive(9)
    assert made.backfill().canary is None
    return with_more(made)


def with_more(made: Archive) -> Archive:
    """Add three photos."""
    for number in range(len(made.photos) + 1, len(made.photos) + 4):
        made.photos.append({"gridimage_id": number, "title": f"Photo {number % 7}", "grid_reference": "TQ3080"})
        made.draw(number)
    made.write()
    return made


def other_titles(encoder: FakeEncoder, titles: Sequence[str]) -> NDArray[np.float32]:
    """Read titles backwards, as a broken tokenizer might."""
    return encode_titles(encoder, [title[::-1] for title in titles])


def test_a_run_that_makes_what_is_stored_says_so(night: Archive) -> None:
    record = night.backfill()
    assert (record.photos, record.canary) == (3, "8 stored vectors made again, at most 0 away")
    assert night.rows("SELECT canary FROM runs") == [(record.canary,), (None,)]


@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("encode_images", lambda encoder, pixels: encode_images(encoder, pixels[..., ::-1])),
        ("encode_titles", other_titles),
    ],
)
def test_an_encoder_that_makes_something_else_is_refused_unless_it_is_wanted(
    night: Archive, monkeypatch: pytest.MonkeyPatch, method: str, other: Images
) -> None:
    before = sorted(night.workspace.root.glob("*/*/**/*.parquet"))
    monkeypatch.setattr(FakeEncoder, method, other)
    with pytest.raises(EncoderError, match=rf"{method[7:-1]} of photo \d+.*{REFUSED} is the most") as refused:
        night.backfill()
    assert (refused.value.exit_code, "--no-canary" in str(refused.value.hint)) == (5, True)
    assert sorted(night.workspace.root.glob("*/*/**/*.parquet")) == before
    set_key(night.workspace, "run.canary", 0)
    record = night.backfill()
    assert (record.photos, record.canary) == (3, None)


def test_a_small_difference_is_warned_about_with_what_changed(
    night: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FakeEncoder, "precision", "bfloat16")
    monkeypatch.setattr(FakeEncoder, "encode_images", lambda *given: encode_images(*given) * np.float32(1.02))
    logging.getLogger("geotag").propagate = True
    with caplog.at_level(logging.WARNING, "geotag"):
        record = night.backfill()
    assert record.canary is not None
    assert "precision float32 then, bfloat16 now" in record.canary
    assert WARNED < float(record.canary.split("at most ")[1].split()[0]) < REFUSED
    assert record.photos == 3
    assert any("canary: " in line for line in caplog.messages)


def test_int8_may_differ_twice_as_much(night: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEncoder, "encode_images", lambda *given: encode_images(*given) * np.float32(1.1))
    with pytest.raises(EncoderError, match=r"0\.15 is the most"):
        night.backfill()
    monkeypatch.setattr(FakeEncoder, "precision", "int8")
    assert "precision float32 then, int8 now" in str(night.backfill().canary)


def test_photos_that_have_changed_since_are_not_compared(night: Archive) -> None:
    for number in range(1, 10):
        night.image(number).unlink()
    for photo in night.photos:
        photo["title"] = "another title"
    night.write()
    assert night.backfill(limit=3, ids=(10, 11, 12)).canary == "nothing stored to compare with"


def test_a_run_that_encodes_nothing_compares_nothing(night: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    night.photos = night.photos[:9]
    night.write()
    night.use(make_head(night.workspace, FakeEncoder.encoder_id, seed=2))
    monkeypatch.setattr(FakeEncoder, "encode_titles", other_titles)
    record = night.backfill()
    assert (record.photos, record.canary) == (9, None)
