import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.errors import EncoderError


def test_what_the_fake_encoder_makes_is_marked() -> None:
    assert FakeEncoder().encoder_id.startswith("fake-")


def test_the_fake_encoder_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from geotag_batch.config import EncoderConfig;"
        "from geotag_batch.encode.clip import load_encoder;"
        "load_encoder(EncoderConfig(model='fake'), Path('/')).encode_titles(['a']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_images_of_like_colours_are_nearer_than_others() -> None:
    noise = np.random.default_rng(0).integers(0, 30, (3, 64, 64, 3), np.uint8)
    noise[:2, :32] += np.uint8(200)  # two skies over dark ground, one all dark
    bright, also_bright, dark = FakeEncoder().encode_images(noise)
    assert np.linalg.norm(bright - also_bright) < np.linalg.norm(bright - dark) / 2


def test_titles_that_share_words_are_nearer_than_others() -> None:
    church, also_church, beach = FakeEncoder().encode_titles(["St Mary's Church", "the church of St Mary's", "a beach"])
    assert church @ also_church > 2 * abs(church @ beach)


def test_one_pixel_changes_the_embedding() -> None:
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    pixels[1, 63, 63, 2] = 1
    first, second = FakeEncoder().encode_images(pixels)
    assert not np.array_equal(first[48:], second[48:])


@pytest.mark.parametrize("changes", [{"device": "cuda"}, {"precision": "bfloat16"}])
def test_a_device_or_precision_that_it_does_not_have_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EncoderError, match="fake encoder cannot run"):
        load_encoder(EncoderConfig(model="fake", **changes), Path("/"))
