"""int8: made once from the archive's photos, compared before it is used, and chosen where it is the fastest."""

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geotag_batch.config import set_key
from geotag_batch.encode import int8, speed
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError, HeadError
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.plan import Selection
from geotag_batch.run.precision import save_check
from geotag_batch.run.sample import read_calibration, read_sample
from geotag_batch.run.settle import check_now, load_settled
from tests.run.conftest import Archive
from tests.run.small_clip import precisions, use_small_clip

needs_extra = pytest.mark.skipif(not int8.is_installed(), reason="needs the extra geotag-batch[int8]")


@pytest.fixture
def small(archive: Callable[[int], Archive], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """Return an archive of 14 photos with a very small CLIP, which is to be encoded in int8."""
    made = archive(14)
    use_small_clip(made, tmp_path)
    set_key(made.workspace, "encoder.precision", "int8")
    set_key(made.workspace, "encoder.min_agreement", 0.01)
    monkeypatch.setattr(speed, "fastest_precision", lambda: "bfloat16")
    monkeypatch.setattr(logging.getLogger("geotag"), "propagate", True)
    return made


@needs_extra
def test_an_int8_encoder_is_made_and_compared_once_and_its_embeddings_say_so(small: Archive) -> None:
    record = small.backfill(limit=5)
    assert record.precision == "int8"
    (compared,) = (small.workspace.cache / "precision").glob("*--int8-full.json")
    (model,) = (small.workspace.cache / "int8").glob("*/*.xml")
    for part in (str(record.encoder_id), "openvino-", "nncf-"):
        assert part in model.parent.name
    before = [path.stat().st_mtime_ns for path in (model, compared)]
    assert small.backfill().predicted == 9
    assert [path.stat().st_mtime_ns for path in (model, compared)] == before
    assert precisions(small) == ["int8"]
    check = check_now(small.workspace, small.config, "int8", 400)
    assert (check.precision, check.photos, check.model) == ("int8", 14, model.parent.name)
    assert 0.99 < check.image_cosine_least < check.image_cosine_median < 1
    assert 0 < check.score_difference < 0.5

    model.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(EncoderError, match="cannot be used") as caught:
        check_now(small.workspace, small.config, "int8", 400)
    assert "remove that folder" in str(caught.value.hint)


@needs_extra
def test_int8_is_refused_with_the_figures_where_too_few_tags_agree(small: Archive) -> None:
    set_key(small.workspace, "encoder.min_agreement", 1.01)
    with pytest.raises(EncoderError, match=r"int8 gave \d+\.\d\d% of 14 photos float32's tags.*is 101\.00%") as caught:
        small.backfill()
    assert "min_agreement" in str(caught.value.hint)
    assert not list(small.workspace.dataset_files("embeddings"))


@needs_extra
def test_auto_takes_the_fastest_format_that_passes(small: Archive) -> None:
    scorer = load_scorer(small.workspace, str(small.config.head.current))
    set_key(small.workspace, "encoder.precision", "auto")
    set_key(small.workspace, "encoder.min_agreement", 0.95)
    made = {name: check_now(small.workspace, small.config, name, 400) for name in ("int8", "bfloat16")}
    chosen = {}
    for times, tags, others in [(2.0, 1.0, 1.0), (1.4, 1.0, 1.0), (2.0, 0.9, 1.0), (1.4, 1.0, 0.9), (2.0, 0.9, 0.9)]:
        save_check(small.workspace, scorer, replace(made["int8"], speedup=times, same_tags=tags))
        save_check(small.workspace, scorer, replace(made["bfloat16"], speedup=1.5, same_tags=others))
        chosen[times, tags, others] = load_settled(small.workspace, small.config, scorer).precision
    assert list(chosen.values()) == ["int8", "bfloat16", "bfloat16", "int8", "float32"]


@needs_extra
def test_without_a_head_in_use_nothing_vouches_for_int8(small: Archive) -> None:
    set_key(small.workspace, "head.current", "none")
    with pytest.raises(HeadError):
        run_embed(small.workspace, small.config, Job("embed", Selection()))


def test_without_the_extra_the_error_says_what_to_install(small: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EncoderError, match="needs openvino") as caught:
        small.backfill()
    assert "geotag-batch[int8]" in str(caught.value.hint)


@needs_extra
def test_the_engines_do_not_report_their_use(small: Archive) -> None:
    engine = int8.import_engine("openvino")
    int8.import_engine("nncf")
    assert engine.tools.ovc.telemetry.__class__.__module__ == "openvino.tools.ovc.telemetry_stub"
    assert type(sys.modules["nncf.telemetry"].telemetry).__name__ == "MagicMock"


def test_int8_is_not_calibrated_by_the_photos_that_it_is_compared_on(small: Archive) -> None:
    one = read_sample(small.workspace, small.config, FakeEncoder.preprocess, None, 7).pixels
    other = read_calibration(small.workspace, small.config, FakeEncoder.preprocess, 7)
    assert len(one) == len(other) == 7
    assert not any(np.array_equal(a, b) for a in one for b in other)
