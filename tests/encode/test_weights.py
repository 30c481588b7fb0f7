import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.encoder import Encoder
from geotag_batch.errors import EncoderError
from tests.encode.conftest import Model

Tensors = dict[str, torch.Tensor]
Save = Callable[[Tensors, Path], object]


class Canary:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def load(small: Model, weights: Path) -> Encoder:
    return load_encoder(small.encoder(weights=str(weights)), Path("/"))


SAVES: dict[str, tuple[str, Save]] = {
    "safetensors": ("w.safetensors", save_file),
    "float16": ("w.safetensors", lambda tensors, path: save_file({k: t.half() for k, t in tensors.items()}, path)),
    "state dict": ("w.pt", torch.save),
    "legacy format": ("w.bin", lambda tensors, path: torch.save(tensors, path, _use_new_zipfile_serialization=False)),
    "training checkpoint": (
        "w.pt",
        lambda tensors, path: torch.save(
            {"epoch": 3, "state_dict": {f"module.{k}": t for k, t in tensors.items()}}, path
        ),
    ),
    "with OpenAI's numbers": (
        "w.safetensors",
        lambda tensors, path: save_file({**tensors, "vocab_size": torch.tensor(49408)}, path),
    ),
}


@pytest.mark.parametrize("kind", SAVES)
def test_the_same_weights_have_the_same_id_whatever_file_they_come_in(kind: str, small: Model, tmp_path: Path) -> None:
    name, save = SAVES[kind]
    tensors = {key: tensor.half().float() for key, tensor in small.tensors().items()}  # float16 holds them exactly
    save_file(tensors, tmp_path / "plain.safetensors")
    save(tensors, tmp_path / name)
    plain, other = load(small, tmp_path / "plain.safetensors"), load(small, tmp_path / name)
    assert (other.encoder_id, other.weights_sha256) == (plain.encoder_id, plain.weights_sha256)
    assert np.array_equal(other.encode_titles(["Duns Castle"]), plain.encode_titles(["Duns Castle"]))


def test_one_changed_weight_is_another_encoder(small: Model, tmp_path: Path) -> None:
    tensors = small.tensors()
    tensors["visual.proj"][3, 3] += 1e-3
    save_file(tensors, tmp_path / "w.safetensors")
    assert load(small, tmp_path / "w.safetensors").encoder_id != load(small, small.weights).encoder_id


def test_a_pickle_with_code_is_refused_and_not_run(small: Model, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({"visual.proj": torch.zeros(1), "x": Canary(canary)}, tmp_path / "zip.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(Canary(canary)))
    for name in ("zip.pt", "raw.pt"):
        with pytest.raises(EncoderError, match="cannot be read as plain weights") as caught:
            load(small, tmp_path / name)
        assert "never loaded" in str(caught.value.hint)
    assert not canary.exists()
    pickle.loads((tmp_path / "raw.pt").read_bytes())
    assert canary.is_dir()  # the canary does sing


def test_a_torchscript_archive_is_refused_with_the_way_out(small: Model, tmp_path: Path) -> None:
    path = tmp_path / "ViT-B-32.pt"
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(EncoderError, match="TorchScript") as caught:
        load(small, path)
    assert "safetensors" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "legacy.bin"])
@pytest.mark.parametrize("keep", [0.0, 0.0001, 0.5, 0.999999])
def test_a_file_cut_short_is_refused(name: str, keep: float, small: Model, tmp_path: Path) -> None:
    path = tmp_path / name
    tensors = small.tensors()
    if name == "w.safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=name == "w.pt")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(EncoderError, match="cannot be read") as caught:
        load(small, path)
    assert "again" in str(caught.value.hint)


def test_a_pickle_that_calls_itself_safetensors_is_refused(small: Model, tmp_path: Path) -> None:
    torch.save(small.tensors(), tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match="cannot be read"):
        load(small, tmp_path / "w.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(value: float, small: Model, tmp_path: Path) -> None:
    tensors = small.tensors()
    tensors["ln_final.weight"][5] = value
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=r"w\.safetensors: ln_final\.weight holds values that are not finite"):
        load(small, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensors: tensors.pop("visual.proj"), "without visual.proj"),
        (lambda tensors: tensors.update(extra=torch.zeros(1)), "with unknown extra"),
        (lambda tensors: tensors.update({"visual.proj": torch.zeros(64, 25)}), "of another shape visual.proj"),
        (
            lambda tensors: tensors.update({"visual.positional_embedding": torch.zeros(10, 64)}),
            "another shape visual.p",
        ),
        (
            lambda tensors: tensors.update({"text_projection": torch.zeros(32, 24, dtype=torch.int64)}),
            "text_projection",
        ),
        (lambda tensors: [tensors.pop(name) for name in list(tensors) if "resblocks" in name], r"and \d+ more"),
    ],
)
def test_weights_of_another_model_are_refused_by_name(
    spoil: Callable[[Tensors], object], message: str, small: Model, tmp_path: Path
) -> None:
    tensors = small.tensors()
    spoil(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=f"does not fit the model.*{message}") as caught:
        load(small, tmp_path / "w.safetensors")
    assert "encoder.model" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "no state dict but list"),
        ({}, "no state dict"),
        ({"epoch": 3, "weight": torch.zeros(1)}, "'epoch' is int, not a tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: object, message: str, small: Model, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(EncoderError, match=message):
        load(small, tmp_path / "w.pt")


def test_a_missing_file_is_named(small: Model, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no weights file .*gone\.safetensors") as caught:
        load(small, tmp_path / "gone.safetensors")
    assert "encoder.weights" in str(caught.value.hint)


def test_a_file_of_another_kind_is_refused(small: Model, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"PK")
    with pytest.raises(EncoderError, match=r"w\.npz is not a weights file"):
        load(small, tmp_path / "w.npz")
