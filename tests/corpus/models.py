"""Head files and encoder weights that are damaged, of another kind, or run code when they are unpickled."""

import io
import json
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from geotag_batch.config import load_config
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.encode.weights import put_weights, read_weights
from geotag_batch.errors import ModelError
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.run.heads import HeadStatements, import_head
from geotag_batch.workspace import Workspace
from tests.faults.invariants import Tally
from tests.faults.row import Row, row
from tests.faults.trial import Bed
from tests.heads import make_head

__all__ = ["model_faults"]

_ALL = ("image", "title", "location")


@dataclass(frozen=True, slots=True)
class Shell:
    """Unpickled, it makes the canary file."""

    canary: str

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        """Name the command that is run."""
        return os.system, (f"touch {self.canary}",)


def linear(**changes: torch.Tensor | None) -> dict[str, Any]:
    """Return the state dict of a good head, some tensors changed or, as None, left out."""
    chance = torch.Generator().manual_seed(0)
    good = {"weight": torch.randn(49, 1026, generator=chance), "bias": torch.randn(49, generator=chance)}
    return {name: tensor for name, tensor in (good | changes).items() if tensor is not None}


def saved(content: object) -> bytes:
    """Return what torch.save writes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(content, file)
    return file.getvalue()


def safe(content: Mapping[str, torch.Tensor]) -> bytes:
    """Return a .safetensors file."""
    return safetensors.torch.save(dict(content))


def claiming(header: Mapping[str, Any], data: bytes = b"") -> bytes:
    """Return a .safetensors file with a header of one's own."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def torchscript() -> bytes:
    """Return an archive that looks like a TorchScript program."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("head/constants.pkl", pickle.dumps(()))
        archive.writestr("head/data.pkl", pickle.dumps({}))
    return file.getvalue()


def head_files(canary: str) -> dict[str, bytes]:
    """Return files that are no head for image, title and location, by name (the suffix counts)."""
    good_torch, good_safe = saved(linear()), safe(linear())
    nan, inf = torch.full((49,), float("nan")), torch.full((49,), float("inf"))
    huge = torch.zeros(1).expand(1_000_000, 1_000_000)
    offsets = {"dtype": "F32", "shape": [49], "data_offsets": [0, 196]}
    return {
        "code in a torch file.pth": saved({"weight": Shell(canary)}),
        "code in a bare pickle.pth": pickle.dumps(Shell(canary)),
        "code in a pickle.safetensors": pickle.dumps(Shell(canary)),
        "a whole module.pth": saved(torch.nn.Linear(4, 4)),
        "a TorchScript program.pth": torchscript(),
        **{f"a torch file of {size} bytes.pth": good_torch[:size] for size in (0, 10)},
        "half a torch file.pth": good_torch[: len(good_torch) // 2],
        "a torch file without its last byte.pth": good_torch[:-1],
        **{f"{size} bytes of safetensors.safetensors": good_safe[:size] for size in (0, 7, 20)},
        "half a file.safetensors": good_safe[: len(good_safe) // 2],
        "without its last byte.safetensors": good_safe[:-1],
        "a header of 2^60 bytes.safetensors": struct.pack("<Q", 2**60) + good_safe[8:],
        "a header that is no JSON.safetensors": struct.pack("<Q", 8) + b"not json",
        "a header of brackets.safetensors": struct.pack("<Q", 100_000) + b"[" * 100_000,
        "overlapping tensors.safetensors": claiming({"weight": offsets, "bias": offsets}, bytes(196)),
        "tensors beyond the end.safetensors": claiming({"bias": offsets | {"data_offsets": [0, 10**12]}}),
        "an unknown number format.safetensors": claiming({"bias": offsets | {"dtype": "F99"}}, bytes(196)),
        "a torch file renamed.safetensors": good_torch,
        "safetensors renamed.pth": good_safe,
        "HTML.pth": b"<html>not found</html>",
        "NaN weights.pth": saved(linear(bias=nan)),
        "NaN weights.safetensors": safe(linear(bias=nan)),
        "infinite weights.safetensors": safe(linear(bias=inf)),
        "two features more.pth": saved(linear(weight=torch.zeros(49, 1028))),
        "no location.safetensors": safe(linear(weight=torch.zeros(49, 1024))),
        "48 tags.pth": saved(linear(weight=torch.zeros(48, 1026), bias=torch.zeros(48))),
        "50 tags.safetensors": safe(linear(weight=torch.zeros(50, 1026), bias=torch.zeros(50))),
        "no tensors.pth": saved({}),
        "no bias.pth": saved(linear(bias=None)),
        "a tensor more.pth": saved(linear(extra=torch.zeros(2))),
        "a number among tensors.pth": saved(linear() | {"epoch": 3}),
        "a list.pth": saved([torch.zeros(2)]),
        "complex numbers.pth": saved(linear(weight=torch.zeros(49, 1026, dtype=torch.complex64))),
        "complex numbers.safetensors": safe(linear(weight=torch.zeros(49, 1026, dtype=torch.complex64))),
        "a sparse tensor.pth": saved(linear(weight=torch.zeros(49, 1026).to_sparse())),
        "a tensor without data.pth": saved(linear(weight=torch.zeros(49, 1026, device="meta"))),
        "a tensor of 10^12 in one number.pth": saved(linear(weight=huge)),
        "a tensor of no dimension.pth": saved(linear(weight=torch.tensor(1.0))),
    }


def _refusal(attempt: Callable[[], object]) -> str | None:
    """Return what is wrong with how `attempt` ends, None if it is refused as it should be."""
    try:
        attempt()
    except ModelError as error:
        return (
            None if error.exit_code == 5 and error.message and "\n" not in error.message else f"says {error.message!r}"
        )
    except BaseException as error:  # noqa: BLE001  what must not happen is said in the table
        return f"TRACEBACK of {type(error).__name__}: {error}"
    return "it was taken"


def _change_json(**changes: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        document = json.loads((folder / "head.json").read_bytes()) | changes
        (folder / "head.json").write_text(json.dumps(document))

    return change


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _flip(folder: Path) -> None:
    data = bytearray((folder / "head.safetensors").read_bytes())
    data[-100] ^= 4
    (folder / "head.safetensors").write_bytes(data)


def _cut(folder: Path) -> None:
    os.truncate(folder / "head.safetensors", 1000)


_STORED: dict[str, Callable[[Path], object]] = {
    "weights cut": _cut,
    "one bit of the weights flipped": _flip,
    "the weights of another head": lambda folder: shutil.copy(
        folder.parent / "other.safetensors", folder / "head.safetensors"
    ),
    "no weights": lambda folder: (folder / "head.safetensors").unlink(),
    "head.json empty": _write("head.json", b""),
    "head.json is no JSON": _write("head.json", b"{"),
    "head.json is a list": _write("head.json", b"[]"),
    "head.json of brackets": _write("head.json", b"[" * 100_000),
    "head.json is no UTF-8": _write("head.json", b'{"name": "\xff"}'),
    "head.json is a pickle": _write("head.json", pickle.dumps({})),
    "tags in another order": _change_json(tags=sorted(np.array(["x"]).tolist())),
    "fewer tags": _change_json(tags=[]),
    "another width": _change_json(dim=768),
    "a width that is text": _change_json(dim="wide"),
    "another name": _change_json(name="other"),
    "other modalities": _change_json(modalities=["image"]),
    "an unknown modality": _change_json(modalities=["smell"]),
    "an unknown type": _change_json(type="forest"),
    "a bundle without members": _change_json(type="bundle", members=[]),
    "a bundle of itself": _change_json(type="bundle", members=["../../etc/passwd"]),
    "no policy": _change_json(policy=None),
    "a policy of NaN": _change_json(policy={"threshold": float("nan"), "at_least_one": True}),
    "a location rule of text": _change_json(location="GB"),
    "a checksum that is a number": _change_json(sha256=1),
    "another version": _change_json(schema_version=99),
}


def model_faults(bed: Bed) -> Row:
    """Import, load and use each file; all must be refused, with one line, and no code in them may run."""
    with (
        row("model files", "head files imported, stored heads changed, encoder weights read") as made,
        bed.trial() as trial,
    ):
        workspace, canary = trial.workspace, trial.workspace.root / "canary"
        config = load_config(workspace, {})
        said = HeadStatements(modalities=_ALL, encoder=FakeEncoder.encoder_id)
        for name, data in head_files(str(canary)).items():
            path = workspace.root / name
            path.write_bytes(data)
            _count(made, f"import of {name}", _refusal(partial(import_head, workspace, config, path, said)), canary)
        for name, change in _STORED.items():
            _count(made, f"stored head: {name}", _stored(workspace, change), canary)
        for name, data in head_files(str(canary)).items():
            path = workspace.root / name
            path.write_bytes(data)
            _count(made, f"encoder weights: {name}", _refusal(partial(_fill, path)), canary)
    return made


def _count(made: Row, name: str, wrong: str | None, canary: Path) -> None:
    tally = Tally()
    tally.expect(wrong is None, wrong or "")
    tally.expect(not canary.exists(), "code was run")
    canary.unlink(missing_ok=True)
    made.case(tally, name)


def _stored(workspace: Workspace, change: Callable[[Path], object]) -> str | None:
    other = make_head(workspace, FakeEncoder.encoder_id, seed=9)
    (workspace.heads / "other.safetensors").write_bytes((workspace.head_dir(other) / "head.safetensors").read_bytes())
    head_id = make_head(workspace, FakeEncoder.encoder_id, seed=8)
    change(workspace.head_dir(head_id))
    try:
        return _refusal(lambda: load_scorer(workspace, head_id, "fail"))
    finally:
        shutil.rmtree(workspace.head_dir(head_id))


def _fill(path: Path) -> None:
    put_weights(torch.nn.Linear(1026, 49), read_weights(path), str(path))
