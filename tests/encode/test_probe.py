"""What the doctor's process says of a real model."""

import json
from pathlib import Path

import pytest

from geotag_batch.encode.models import load_model
from geotag_batch.encode.probe import look
from tests.encode.conftest import Model


def test_weights_that_are_there_are_found_and_loaded(golden: Model, capsys: pytest.CaptureFixture[str]) -> None:
    look(Path("/"), golden.encoder(), load=True)
    said = {answer["kind"]: answer for answer in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(said) == ["torch", "open_clip", "device", "weights", "loaded"]
    assert said["weights"] == {
        "kind": "weights",
        "path": str(golden.weights),
        "bytes": golden.weights.stat().st_size,
    }
    model = load_model(golden.encoder(), Path("/"))
    assert (said["loaded"]["encoder_id"], said["loaded"]["sha256"]) == (model.encoder_id, model.weights_sha256)


def test_a_device_and_weights_that_are_not_there_are_said_apart(
    golden: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    look(Path("/"), golden.encoder(device="cuda:99", weights="/gone.safetensors"), load=True)
    said = {answer["kind"]: answer for answer in map(json.loads, capsys.readouterr().out.splitlines())}
    assert "cuda:99" in said["device"]["problem"]
    assert said["weights"]["problem"] == "there is no weights file /gone.safetensors"
    assert "loaded" not in said
