import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from geotag_batch.config import EncoderConfig
from geotag_batch.encode import towers
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder, EncoderMemoryError
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import Preprocess
from geotag_batch.read.images import ImageLimits, decode_image
from tests.encode.conftest import SMALL, Model

ROOT = Path("/")
LIMITS = ImageLimits(max_bytes=50_000_000, max_pixels=50_000_000)
TITLES = ["", "Moor", "Heathrow Airport", "Exton : Xmoor-Rox Festival", "St " * 40, "a long title " * 40]
Embeddings = NDArray[np.float32]


@pytest.fixture(scope="module")
def encoder(small: Model) -> Encoder:
    return load_encoder(small.encoder(), ROOT)


def least_cosine(one: Embeddings, other: Embeddings) -> float:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def photos(shared: Path, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the 49 real photos, decoded, in the order of their names."""
    paths = sorted((shared / "photos").glob("*.jpg"))
    return np.stack([decode_image(path.read_bytes(), preprocess, LIMITS) for path in paths])


def test_real_photos_and_titles_are_embedded_as_the_original_clip_does(shared: Path, golden: Model) -> None:
    encoder = load_encoder(golden.encoder(), ROOT)
    with np.load(shared / "golden" / "reference-embeddings.npz") as reference:
        assert [str(name) for name in reference["files"]] == sorted(p.name for p in (shared / "photos").glob("*.jpg"))
        images = encoder.encode_images(photos(shared, encoder.preprocess))
        titles = encoder.encode_titles([str(title) for title in reference["titles"]])
        assert images.shape == (49, 512)
        assert titles.shape == (16, 512)
        assert np.abs(images - reference["image"]).max() < 1e-4
        assert np.abs(titles - reference["title"]).max() < 1e-4


def test_pixels_are_normalised_as_the_models_own_transform_does(small: Model, encoder: Encoder) -> None:
    from torchvision import transforms  # noqa: PLC0415  importable once open_clip is

    open_clip: Any = import_open_clip()
    module = open_clip.CLIP(**SMALL)
    module.load_state_dict(small.tensors())
    pixels = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    own = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(encoder.preprocess.mean, encoder.preprocess.std)]
    )
    with torch.inference_mode():
        expected = module.eval().encode_image(torch.stack([own(image) for image in pixels])).numpy()
    assert np.abs(encoder.encode_images(pixels) - expected).max() < 1e-6


def padded(config: dict[str, Any], weights: dict[str, torch.Tensor], titles: list[str]) -> Embeddings:
    """Return what open_clip's own encode_text makes of titles padded to 77 tokens."""
    open_clip: Any = import_open_clip()
    module = open_clip.CLIP(**config)
    module.load_state_dict(weights)
    with torch.inference_mode():
        embeddings: Embeddings = module.eval().encode_text(open_clip.tokenize(titles)).numpy()
    return embeddings


def test_titles_cut_to_their_length_are_what_padded_ones_are(small: Model, encoder: Encoder) -> None:
    assert np.abs(encoder.encode_titles(TITLES) - padded(SMALL, small.tensors(), TITLES)).max() < 3e-6


@pytest.mark.slow
def test_at_full_size_cut_titles_are_what_padded_ones_are(full_size: EncoderConfig) -> None:
    open_clip: Any = import_open_clip()
    config = open_clip.get_model_config("ViT-B-32-quickgelu")
    tensors = Model(Path(full_size.model), Path(full_size.weights)).tensors()
    found = load_encoder(full_size, ROOT).encode_titles(TITLES)
    assert np.abs(found - padded(config, tensors, TITLES)).max() < 1e-5


def test_short_titles_do_not_go_through_the_tower_at_full_length(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_clip: Any = import_open_clip()
    ends = sorted((open_clip.tokenize(TITLES) != 0).sum(dim=1).tolist())
    seen: list[int] = []
    model: Any = encoder._model  # type: ignore[attr-defined]
    forward = model.transformer.forward

    def watched(x: torch.Tensor, attn_mask: torch.Tensor) -> object:
        seen.append(x.shape[1])
        return forward(x, attn_mask=attn_mask)

    monkeypatch.setattr(model.transformer, "forward", watched)
    monkeypatch.setattr(towers, "_TITLES_PER_BATCH", 2)
    encoder.encode_titles(TITLES)
    assert ends[0] == 2
    assert seen == [ends[1], ends[3], ends[5]]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_batches_of_titles_change_nothing(size: int, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = encoder.encode_titles(TITLES)
    monkeypatch.setattr(towers, "_TITLES_PER_BATCH", size)
    assert np.abs(encoder.encode_titles(TITLES) - expected).max() < 3e-6


def test_a_title_of_a_megabyte_takes_no_longer_than_a_long_one(encoder: Encoder) -> None:
    started = time.monotonic()
    embeddings = encoder.encode_titles(["qx" * 500_000, "qx" * 1_000])
    assert time.monotonic() - started < 20
    assert np.abs(embeddings[0] - embeddings[1]).max() < 3e-6


def test_the_tokenizers_memory_of_words_is_bounded(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(towers, "_MAX_CACHED_WORDS", 10)
    words: dict[str, str] = encoder._tokenizer.cache  # type: ignore[attr-defined]
    expected = encoder.encode_titles(["<end_of_text> moor"])
    for number in range(5):
        encoder.encode_titles([f"{letter}{'x' * number}y" for letter in "abcdefgh"])
    assert len(words) < 20
    assert np.array_equal(encoder.encode_titles(["<end_of_text> moor"]), expected)


def test_bfloat16_points_the_same_way(shared: Path, golden: Model) -> None:
    exact, coarse = (load_encoder(golden.encoder(precision=name), ROOT) for name in ("float32", "bfloat16"))
    assert coarse.precision == "bfloat16"
    assert coarse.encoder_id == exact.encoder_id
    pixels = photos(shared, exact.preprocess)
    images, titles = coarse.encode_images(pixels), coarse.encode_titles(TITLES)
    assert images.dtype == titles.dtype == np.float32
    assert least_cosine(images, exact.encode_images(pixels)) > 0.9995
    assert least_cosine(titles, exact.encode_titles(TITLES)) > 0.999
    assert not np.array_equal(images, exact.encode_images(pixels))


@pytest.mark.slow
def test_bfloat16_points_the_same_way_at_full_size(shared: Path, full_size: EncoderConfig) -> None:
    exact = load_encoder(full_size, ROOT)
    pixels = photos(shared, exact.preprocess)[:2]  # without native bfloat16 a CPU needs a second each
    images, titles = exact.encode_images(pixels), exact.encode_titles(TITLES[:4])
    del exact
    coarse = load_encoder(EncoderConfig(weights=full_size.weights, precision="bfloat16"), ROOT)
    assert least_cosine(coarse.encode_images(pixels), images) > 0.999
    assert least_cosine(coarse.encode_titles(TITLES[:4]), titles) > 0.999


def test_auto_is_float32_on_the_cpu(small: Model) -> None:
    encoder = load_encoder(small.encoder(device="cpu"), ROOT)
    assert (encoder.device, encoder.precision) == ("cpu", "float32")


@pytest.mark.parametrize(
    ("cuda", "mps", "device", "precision"),
    [(2, True, "cuda", "float16"), (0, True, "mps", "float32"), (0, False, "cpu", "float32")],
)
def test_auto_takes_the_fastest_device_there_is(
    cuda: int, mps: bool, device: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    chosen = towers.choose_device("auto")
    assert str(chosen) == device
    assert towers.choose_precision("auto", chosen) == precision


def test_the_second_of_two_devices_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(towers.choose_device("cuda:1")) == "cuda:1"
    for precision in ("float32", "bfloat16", "float16"):
        assert towers.choose_precision(precision, torch.device("cuda:1")) == precision


@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps", "cpu:1"])
def test_a_device_that_is_missing_is_an_error_and_never_another_device(device: str, small: Model) -> None:
    with pytest.raises(EncoderError, match=rf"'{device}' is not on this machine, which has cpu:0") as caught:
        load_encoder(small.encoder(device=device), ROOT)
    assert "auto" in str(caught.value.hint)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", ""])
def test_what_is_no_device_is_refused(device: str, small: Model) -> None:
    with pytest.raises(EncoderError, match="is no device"):
        load_encoder(small.encoder(device=device), ROOT)


def test_float16_on_the_cpu_is_refused(small: Model) -> None:
    with pytest.raises(EncoderError, match="'float16' is not offered on cpu") as caught:
        load_encoder(small.encoder(precision="float16"), ROOT)
    assert caught.value.hint == "use float32 or bfloat16 or int8"


def too_much(*_: object, **__: object) -> torch.Tensor:
    """Ask torch for more memory than there is."""
    return torch.empty(1 << 60, dtype=torch.uint8)


def test_images_that_take_too_much_memory_can_be_told_from_other_errors(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    model: Any = encoder._model  # type: ignore[attr-defined]
    monkeypatch.setattr(model, "encode_image", too_much)
    with pytest.raises(EncoderMemoryError):
        encoder.encode_images(pixels)
    monkeypatch.setattr(model, "encode_image", lambda *_, **__: torch.ones(2, 3) @ torch.ones(2, 3))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        encoder.encode_images(pixels)


def test_titles_that_take_too_much_memory_go_in_smaller_batches(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = encoder.encode_titles(TITLES)
    model: Any = encoder._model  # type: ignore[attr-defined]
    forward = model.transformer.forward
    monkeypatch.setattr(
        model.transformer, "forward", lambda x, attn_mask: forward(x, attn_mask=attn_mask) if len(x) < 2 else too_much()
    )
    assert np.abs(encoder.encode_titles(TITLES) - expected).max() < 3e-6
    monkeypatch.setattr(model.transformer, "forward", too_much)
    with pytest.raises(EncoderMemoryError):
        encoder.encode_titles(TITLES)
