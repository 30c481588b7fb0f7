"""What every encoder keeps: the shipped fake one, the golden model, that in int8, and CLIP at full size."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder

TITLES = (
    "Heathrow Airport",
    "",
    "Exton : Xmoor-Rox Festival",
    "A title far longer than the context " * 30,
    "The west summit of Beinn na h-Eaglaise",
    "Ty\u0302 gwyn \U0001f3e1 \x00 \u202e <end_of_text> &amp;",
    "Shell garage - Trumpington",
)

Load = Callable[[], Encoder]


@pytest.fixture(
    scope="module",
    params=["fake", "golden", "golden_int8", pytest.param("full_size", marks=pytest.mark.slow)],
    ids=lambda name: name,
)
def load(request: pytest.FixtureRequest) -> Load:
    """Return a function that loads one of the encoders."""
    if request.param == "golden_int8":
        load_int8: Load = request.getfixturevalue("golden_int8")
        return load_int8
    config: Any = EncoderConfig(model="fake") if request.param == "fake" else request.getfixturevalue(request.param)
    encoder = config if isinstance(config, EncoderConfig) else config.encoder()
    return lambda: load_encoder(encoder, Path("/"))


@pytest.fixture(scope="module")
def encoder(load: Load) -> Encoder:
    """Return the encoder."""
    return load()


def pictures(encoder: Encoder, count: int) -> NDArray[np.uint8]:
    """Return images of the size that the encoder wants."""
    size = encoder.preprocess.size
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3), np.uint8)


def test_an_encoder_says_what_it_is(encoder: Encoder) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+-[0-9a-f]{8}", encoder.encoder_id)
    assert re.fullmatch(r"[0-9a-f]{64}", encoder.weights_sha256)
    assert (encoder.dim, encoder.device) == (512, "cpu")
    assert encoder.precision in ("float32", "int8")


def test_the_same_configuration_loads_the_same_encoder(load: Load, encoder: Encoder) -> None:
    again = load()
    assert (again.encoder_id, again.weights_sha256) == (encoder.encoder_id, encoder.weights_sha256)
    assert np.array_equal(again.encode_titles(TITLES), encoder.encode_titles(TITLES))
    assert np.array_equal(again.encode_images(pictures(again, 2)), encoder.encode_images(pictures(encoder, 2)))


def test_embeddings_are_finite_float32_and_not_normalised(encoder: Encoder) -> None:
    for embeddings in (encoder.encode_images(pictures(encoder, 3)), encoder.encode_titles(TITLES)):
        assert embeddings.dtype == np.float32
        assert embeddings.shape[1] == encoder.dim
        assert np.isfinite(embeddings).all()
        assert np.ptp(np.linalg.norm(embeddings, axis=1)) > 1e-3


def test_images_come_back_in_their_order_whatever_the_batch(encoder: Encoder) -> None:
    pixels = pictures(encoder, 5)
    together = encoder.encode_images(pixels)
    alone = np.concatenate([encoder.encode_images(pixels[row : row + 1]) for row in range(5)])
    assert np.abs(together - alone).max() < 1e-4
    assert np.abs(encoder.encode_images(pixels[::-1]) - together[::-1]).max() < 1e-4
    assert len(np.unique(together.round(3), axis=0)) == 5


def test_titles_come_back_in_their_order_whatever_their_lengths(encoder: Encoder) -> None:
    together = encoder.encode_titles(TITLES)
    alone = np.concatenate([encoder.encode_titles([title]) for title in TITLES])
    assert np.abs(together - alone).max() < 1e-4
    assert np.abs(encoder.encode_titles(TITLES[::-1]) - together[::-1]).max() < 1e-4
    assert len(np.unique(together.round(3), axis=0)) == len(TITLES)


def test_a_title_is_cut_where_the_context_ends_and_not_before(encoder: Encoder) -> None:
    fits = "a " * 75  # and the two marks of beginning and end
    assert [encoder.cuts_title(title) for title in ("", TITLES[0], fits, f"{fits} a", TITLES[3])] == [
        *(False, False, False),
        *(True, True),
    ]
    together = encoder.encode_titles([fits, f"{fits} bridge", f"{fits[:-2]} bridge"])
    assert np.abs(together[0] - together[1]).max() < 1e-4
    assert np.abs(together[0] - together[2]).max() > 1e-3


def test_nothing_gives_nothing(encoder: Encoder) -> None:
    assert encoder.encode_images(pictures(encoder, 0)).shape == (0, encoder.dim)
    assert encoder.encode_titles([]).shape == (0, encoder.dim)


def test_pixels_are_read_and_left_as_they_are(encoder: Encoder) -> None:
    pixels = pictures(encoder, 2)
    before = pixels.copy()
    pixels.setflags(write=False)
    encoder.encode_images(pixels)
    assert np.array_equal(pixels, before)


def test_pixels_of_another_size_or_type_are_refused(encoder: Encoder) -> None:
    pixels = pictures(encoder, 1)
    for wrong in (pixels[:, 1:], pixels[..., :1], pixels[0], pixels.transpose(0, 3, 1, 2)):
        with pytest.raises(ValueError, match="should be uint8"):
            encoder.encode_images(wrong)
    with pytest.raises(ValueError, match="float32"):
        encoder.encode_images(pixels.astype(np.float32))
