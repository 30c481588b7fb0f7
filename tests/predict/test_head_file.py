import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geotag_batch.errors import HeadError
from geotag_batch.predict.head_file import read_head_file, stated_by_name


@pytest.mark.parametrize(
    ("name", "stated"),
    [
        ("linear-img-txt-loc-mixup", ("linear", ("image", "title", "location"))),
        ("mlp-img-txt-loc", ("mlp", ("image", "title", "location"))),
        ("mlp-img-txt-mixup", ("mlp", ("image", "title"))),
        ("linear-loc", ("linear", ("location",))),
        ("mlp-txt", ("mlp", ("title",))),
        ("linear", None),
        ("linear-mixup", None),
        ("linear-txt-img", None),
        ("forest-img", None),
        ("linear-img-2", None),
        ("head", None),
    ],
)
def test_published_names_state_type_and_modalities(name: str, stated: tuple[str, tuple[str, ...]] | None) -> None:
    assert stated_by_name(name) == stated


def tensors() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(6.0).reshape(2, 3) / 8, "bias": torch.ones(2)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_tensors_come_as_float32(suffix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / f"head.{suffix}"
    converted = {name: tensor.to(dtype) for name, tensor in tensors().items()}
    if suffix == "pth":
        torch.save(converted, path)
    else:
        save_file(converted, path)
    file = read_head_file(path)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {name: tensor.tolist() for name, tensor in file.tensors.items()} == {
        "weight": [[0.0, 0.125, 0.25], [0.375, 0.5, 0.625]],
        "bias": [1.0, 1.0],
    }
    assert all(tensor.dtype == np.float32 for tensor in file.tensors.values())


class Canary:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    torch.save({**tensors(), "x": Canary(canary)}, tmp_path / "zip.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Canary(canary)))
    for name in ("zip.pth", "raw.pth"):
        with pytest.raises(HeadError, match=f"{name} is no plain state dict") as caught:
            read_head_file(tmp_path / name)
        assert "state_dict()" in str(caught.value.hint)
    assert not canary.exists()
    pickle.loads((tmp_path / "raw.pth").read_bytes())
    assert canary.is_dir()  # the canary does sing


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_a_file_cut_short_is_refused(suffix: str, keep: float, tmp_path: Path) -> None:
    path = tmp_path / f"head.{suffix}"
    if suffix == "pth":
        torch.save(tensors(), path)
    else:
        save_file(tensors(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(HeadError, match=str(path)) as caught:
        read_head_file(path)
    assert "again" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "no state dict but list"),
        ({"epoch": 3}, "'epoch' is int"),
        ({3: torch.ones(1)}, "3 is Tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(HeadError, match=message):
        read_head_file(tmp_path / "head.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"gone\.pth cannot be read: No such file"):
        read_head_file(tmp_path / "gone.pth")
