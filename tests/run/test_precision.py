"""Number formats: compared on the archive's own photos, chosen by what was found, and remembered."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geotag_batch.config import EncoderConfig, set_key
from geotag_batch.encode import int8, speed
from geotag_batch.encode.clip import load_encoder
from geotag_batch.errors import EncoderError, InputError
from geotag_batch.run.settle import check_now
from tests.run.conftest import Archive
from tests.run.small_clip import precisions, use_small_clip


@pytest.fixture
def small(archive: Callable[[int], Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Return an archive of 14 photos with a very small CLIP, on a CPU that likes bfloat16 and without OpenVINO."""
    made = archive(14)
    use_small_clip(made, tmp_path)
    monkeypatch.setattr(speed, "fastest_precision", lambda: "bfloat16")
    monkeypatch.setattr(int8, "is_installed", lambda: False)
    return made


def test_what_a_format_changes_is_measured_on_the_archives_photos(small: Archive) -> None:
    small.image(4).unlink()
    check = check_now(small.workspace, small.config, "bfloat16", 400)
    encoder = load_encoder(replace(small.config.encoder, precision="float32"), small.workspace.root)
    rounded = load_encoder(replace(small.config.encoder, precision="bfloat16"), small.workspace.root)
    titles = [str(photo["title"]) for photo in small.photos if photo["gridimage_id"] != 4]
    one, other = (each.encode_titles(titles).astype(np.float64) for each in (encoder, rounded))
    cosines = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert check.photos == 13
    assert check.title_cosine_least == pytest.approx(cosines.min(), abs=1e-4)
    assert check.title_cosine_median == pytest.approx(np.median(cosines), abs=1e-4)
    assert 0.9 < check.image_cosine_least <= check.image_cosine_median <= 1
    assert 0 < check.score_difference < 0.5
    assert 0 <= check.same_tags <= 1


def test_auto_takes_the_faster_format_where_enough_tags_agree_and_asks_once(
    small: Archive, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("geotag"), "propagate", True)
    caplog.set_level(logging.INFO)
    set_key(small.workspace, "encoder.min_agreement", 0.01)
    assert small.backfill(limit=5).precision == "bfloat16"
    assert "comparing bfloat16 with float32" in caplog.text
    assert "it passes" in caplog.text
    (path,) = (small.workspace.cache / "precision").glob("*.json")
    assert json.loads(path.read_text())["photos"] == 14
    caplog.clear()
    assert small.backfill().predicted == 9
    assert "comparing" not in caplog.text
    assert precisions(small) == ["bfloat16"]


def test_auto_stays_with_float32_where_too_few_agree_with_the_same_vectors_as_ever(small: Archive) -> None:
    set_key(small.workspace, "encoder.min_agreement", 1.01)
    assert small.backfill(limit=5).precision == "float32"  # after the comparison, which rounded the weights
    assert small.backfill().precision == "float32"
    auto = small.scores(str(small.config.head.current))
    set_key(small.workspace, "encoder.precision", "float32")
    small.backfill(redo_before=small.backfill().started_at, reembed=True)
    assert np.array_equal(small.scores(str(small.config.head.current)), auto)
    assert precisions(small) == ["float32"]


def test_a_precision_that_is_asked_for_is_taken_without_a_question(small: Archive) -> None:
    set_key(small.workspace, "encoder.precision", "bfloat16")
    set_key(small.workspace, "encoder.min_agreement", 1.01)
    assert small.backfill().precision == "bfloat16"
    assert not (small.workspace.cache / "precision").exists()


def test_a_cpu_that_is_not_faster_with_it_is_not_asked(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "fastest_precision", lambda: "float32")
    assert small.backfill().precision == "float32"
    assert not (small.workspace.cache / "precision").exists()


def test_what_cannot_be_compared_is_an_error_that_says_why(small: Archive) -> None:
    for number in range(1, 15):
        small.image(number).unlink()
    with pytest.raises(InputError, match="none of 14 photos has an image"):
        check_now(small.workspace, small.config, "bfloat16", 400)
    fake = replace(small.config, encoder=EncoderConfig(model="fake"))
    with pytest.raises(EncoderError, match="cannot be compared"):
        check_now(small.workspace, fake, "bfloat16", 400)


def test_the_measured_choice_is_one_of_the_two_formats() -> None:
    assert speed.fastest_precision() in ("float32", "bfloat16")
