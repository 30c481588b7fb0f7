import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geotag_batch.config import EncoderConfig
from geotag_batch.encode.architecture import find_architecture, make_preprocess, preprocess_of_file
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.errors import EncoderError
from geotag_batch.preprocess import OPENAI_PREPROCESS
from tests.encode.conftest import SMALL, Model, random_model

ROOT = Path("/")
SILENT = {key: value for key, value in SMALL.items() if key != "quick_gelu"}
NAMED_FILE = "/nowhere/weights.safetensors"  # reached only by what is not refused before


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(facts: Mapping[str, Any]) -> str:
        raise OSError(f"no route to {facts['hf_hub']}")

    monkeypatch.setattr(import_open_clip(), "download_pretrained", refuse)


def refusal(**encoder: Any) -> EncoderError:  # noqa: ANN401
    """Return the error with which an [encoder] section is refused."""
    with pytest.raises(EncoderError) as caught:
        load_encoder(EncoderConfig(**encoder), ROOT)
    assert caught.value.hint
    return caught.value


def write_config(path: Path, config: object) -> str:
    path.write_text(json.dumps(config), encoding="utf-8")
    return str(path)


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    assert "did you mean ViT-B-32-quickgelu?" in refusal(model="ViT-B-32-quickgello").message


@pytest.mark.usefixtures("no_network")
def test_openai_weights_in_the_plain_model_are_refused_before_any_download() -> None:
    error = refusal(model="ViT-B-32", weights="openai")
    assert "ViT-B-32 has gelu" in error.message
    assert "'openai' has quickgelu" in error.message
    assert error.hint == "set encoder.model to ViT-B-32-quickgelu"


@pytest.mark.usefixtures("no_network")
def test_weights_that_cannot_be_fetched_say_what_to_do() -> None:
    error = refusal(model="ViT-B-32-quickgelu", weights="openai")
    assert "not on this machine" in error.message
    assert "no route to timm/" in error.message
    assert "encoder.weights" in str(error.hint)


def test_a_tag_of_the_plain_model_is_not_one_of_the_quickgelu_model() -> None:
    assert "ViT-B-32 has it" in refusal(model="ViT-B-32-quickgelu", weights="laion2b_s34b_b79k").message


def test_an_unknown_tag_is_refused_with_the_nearest_one() -> None:
    error = refusal(model="ViT-B-32", weights="laion2b_s34b_b78k")
    assert "did you mean laion2b_s34b_b79k?" in error.message


@pytest.mark.usefixtures("no_network")
def test_a_stated_activation_that_contradicts_a_tag_is_refused() -> None:
    assert "do not match" in refusal(model="ViT-B-32-quickgelu", weights="openai", activation="gelu").message


def test_a_weights_file_must_have_its_activation_stated() -> None:
    error = refusal(model="ViT-B-32", weights=NAMED_FILE)
    assert "nothing says with which activation" in error.message
    assert "encoder.activation" in str(error.hint)


@pytest.mark.parametrize(
    "stated", [{"model": "ViT-B-32-quickgelu"}, {"activation": "quickgelu"}, {"activation": "gelu"}]
)
def test_a_model_name_or_a_key_states_the_activation(stated: dict[str, str]) -> None:
    assert "there is no weights file" in refusal(**{"model": "ViT-B-32", "weights": NAMED_FILE, **stated}).message


def test_a_config_that_says_nothing_needs_the_activation_stated(small: Model, tmp_path: Path) -> None:
    silent = write_config(tmp_path / "silent.json", SILENT)
    assert "nothing says" in refusal(model=silent, weights=str(small.weights)).message
    quick, plain = (
        load_encoder(EncoderConfig(model=silent, weights=str(small.weights), activation=activation), ROOT)
        for activation in ("quickgelu", "gelu")
    )
    assert quick.encoder_id != plain.encoder_id
    assert quick.weights_sha256 == plain.weights_sha256
    assert np.abs(quick.encode_titles(["a"]) - plain.encode_titles(["a"])).max() > 1e-4


def test_a_config_and_a_key_that_contradict_each_other_are_refused(small: Model) -> None:
    error = refusal(model=str(small.config), weights=str(small.weights), activation="gelu")
    assert "the model small-clip has quickgelu, encoder.activation has gelu" in error.message


def test_paths_are_relative_to_the_workspace(small: Model) -> None:
    relative = EncoderConfig(model=small.config.name, weights=small.weights.name)
    assert load_encoder(relative, small.config.parent).encoder_id == load_encoder(small.encoder(), ROOT).encoder_id


def test_heads_of_attention_are_part_of_the_id_although_the_weights_do_not_show_them(
    small: Model, tmp_path: Path
) -> None:
    other = {**SMALL, "text_cfg": {**SMALL["text_cfg"], "heads": 1}}
    model = write_config(tmp_path / "small-clip.json", other)
    changed = load_encoder(EncoderConfig(model=model, weights=str(small.weights)), ROOT)
    assert changed.weights_sha256 == load_encoder(small.encoder(), ROOT).weights_sha256
    assert changed.encoder_id != load_encoder(small.encoder(), ROOT).encoder_id


def test_a_config_file_hides_no_model_of_open_clip(small: Model, tmp_path: Path) -> None:
    model = write_config(tmp_path / "ViT-B-32.json", SMALL)
    assert load_encoder(EncoderConfig(model=model, weights=str(small.weights)), ROOT).dim == 24
    open_clip: Any = import_open_clip()
    assert open_clip.get_model_config("ViT-B-32")["embed_dim"] == 512


def test_a_config_with_its_preprocessing_is_followed(small: Model, tmp_path: Path) -> None:
    facts = {"mean": [0.5, 0.5, 0.5], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear", "resize_mode": "squash"}
    model = write_config(tmp_path / "wrapped.json", {"model_cfg": SMALL, "preprocess_cfg": facts})
    preprocess = load_encoder(EncoderConfig(model=model, weights=str(small.weights)), ROOT).preprocess
    assert (preprocess.size, preprocess.mean, preprocess.std) == (32, (0.5, 0.5, 0.5), (0.4, 0.5, 0.6))
    assert (preprocess.interpolation, preprocess.resize_mode) == ("bilinear", "squash")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"resize_mode": "longest"}, "longest, which is not offered"),
        ({"mean": [0.5]}, "three numbers"),
        ({"std": "bright"}, "three numbers"),
    ],
)
def test_preprocessing_that_is_not_offered_is_refused(
    facts: dict[str, object], message: str, small: Model, tmp_path: Path
) -> None:
    model = write_config(tmp_path / "wrapped.json", {"model_cfg": SMALL, "preprocess_cfg": facts})
    with pytest.raises(EncoderError, match=message):
        load_encoder(EncoderConfig(model=model, weights=str(small.weights)), ROOT)


def test_a_weights_file_takes_the_preprocessing_of_its_models_tags() -> None:
    open_clip: Any = import_open_clip()
    siglip = find_architecture(open_clip, "ViT-B-16-SigLIP", ROOT)
    tag = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    preprocess = make_preprocess(preprocess_of_file(siglip, [tag]), 224, siglip.name)
    assert (preprocess.mean, preprocess.resize_mode) == ((0.5, 0.5, 0.5), "squash")


def test_a_weights_file_whose_models_tags_disagree_on_preprocessing_is_refused() -> None:
    error = refusal(model="ViT-L-14", weights=NAMED_FILE, activation="gelu")
    assert "differ in preprocessing" in error.message
    assert "preprocess_cfg" in str(error.hint)


@pytest.mark.parametrize("content", ["{", "[1]", '{"embed_dim": 512}'])
def test_a_file_that_is_no_model_config_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(content, encoding="utf-8")
    assert "model.json" in refusal(model=str(tmp_path / "model.json"), weights=NAMED_FILE).message


def test_a_missing_config_file_is_named() -> None:
    assert "/nowhere/model.json cannot be read" in refusal(model="/nowhere/model.json").message


def test_a_tag_with_a_config_file_is_refused(small: Model) -> None:
    assert "no file and no pretrained tag" in refusal(model=str(small.config), weights="openai").message


def test_a_config_that_open_clip_cannot_build_is_refused(small: Model, tmp_path: Path) -> None:
    model = write_config(tmp_path / "odd.json", {**SMALL, "vision_cfg": {"wings": 2}})
    assert "open_clip cannot build odd: TypeError" in refusal(model=model, weights=str(small.weights)).message


def test_loading_says_nothing_and_leaves_the_root_logger_as_it_was(
    small: Model, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    load_encoder(small.encoder(), ROOT)
    assert logging.root.handlers == []
    assert logging.root.manager.disable == 0
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return a model whose title tower is a module of its own, as in SigLIP."""
    return random_model(tmp_path_factory.mktemp("custom"), "custom", {**SMALL, "custom_text": True})


def test_a_model_with_another_title_tower_gets_its_padding(custom: Model) -> None:
    open_clip: Any = import_open_clip()
    module = open_clip.CustomTextCLIP(**SMALL)
    module.load_state_dict(custom.tensors())
    titles = ["Heathrow Airport", "", "The west summit of Beinn na h-Eaglaise"]
    with torch.inference_mode():
        expected = module.eval().encode_text(open_clip.tokenize(titles)).numpy()
    assert np.abs(load_encoder(custom.encoder(), ROOT).encode_titles(titles) - expected).max() < 1e-5


def test_weights_in_an_older_layout_are_the_same_encoder(custom: Model, tmp_path: Path) -> None:
    older = {name.removeprefix("text."): tensor for name, tensor in custom.tensors().items()}
    older["logit_scale"] = older["logit_scale"].reshape(1)
    save_file(older, tmp_path / "older.safetensors")
    encoder = load_encoder(custom.encoder(weights=str(tmp_path / "older.safetensors")), ROOT)
    assert encoder.encoder_id == load_encoder(custom.encoder(), ROOT).encoder_id


@pytest.mark.slow
def test_the_openai_tag_has_its_declared_id_and_preprocessing(
    full_size: EncoderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_open_clip(), "download_pretrained", lambda facts: full_size.weights)
    by_tag: Encoder = load_encoder(EncoderConfig(), ROOT)
    by_file = load_encoder(full_size, ROOT)
    assert by_tag.encoder_id == OPENAI_ENCODER_ID
    assert by_tag.preprocess == by_file.preprocess == OPENAI_PREPROCESS
    assert by_file.encoder_id != OPENAI_ENCODER_ID
    assert by_tag.weights_sha256 == by_file.weights_sha256
