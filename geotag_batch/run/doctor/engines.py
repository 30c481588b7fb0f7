"""The doctor's look at torch and what belongs to it, and at the encoder's weights, in a process of their own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geotag_batch.config import Config
from geotag_batch.encode.fake import FAKE_MODEL
from geotag_batch.errors import EncoderError, GeotagError
from geotag_batch.predict.head import current_head_info
from geotag_batch.run.doctor.check import Check, ok, problem, warning
from geotag_batch.run.lock import is_locked
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import stored_weights

__all__ = ["PATIENCE", "examine_engines", "judged"]

PATIENCE = 150.0  # seconds; torch and a model of ViT-B/32's size take some five

_CODE, _IN_TIME = EncoderError.exit_code, "in time"
_AGAIN = "install the pinned versions anew: `pip install --force-reinstall -c constraints.txt geotag-batch`"
_EXPECTED = {"torch": "torch", "open_clip": "torchvision", "device": "device", "weights": "weights"}
"""What the probe answers, in order, and the check that it becomes."""


def examine_engines(workspace: Workspace | None, config: Config) -> Iterator[Check]:
    """Look at torch, torchvision, the device and the weights; load these unless a run is at work beside us."""
    if config.encoder.model == FAKE_MODEL:
        yield ok("weights", "the fake encoder needs neither weights nor torch")
        return
    busy = workspace is not None and is_locked(workspace)
    yield from judged(*_ask(workspace, config, load=not busy), workspace, config)


def judged(
    answers: Mapping[str, Mapping[str, Any]], end: str, workspace: Workspace | None, config: Config
) -> Iterator[Check]:
    """Yield what the probe's answers, by kind, mean for a run; `end` says in words how it ended."""
    for kind, name in _EXPECTED.items():
        if kind not in answers:
            yield problem(name, f"looking at it ended {end}", _AGAIN, _CODE)
            return
        yield from _CHECKS[kind](answers[kind])
    if "path" not in answers["weights"]:
        return
    if "loaded" in answers:
        yield _judge(answers["loaded"], workspace, config)
    elif end == _IN_TIME:
        yield ok("encoder", "not loaded, for another command is at work")
    else:
        yield problem("encoder", f"loading the weights ended {end}", "see whether the memory suffices", _CODE)


def _ask(workspace: Workspace | None, config: Config, *, load: bool) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what the probe said, by kind, and in words how it ended."""
    root = workspace.root if workspace is not None else Path.cwd()
    question = json.dumps({"root": str(root), "encoder": asdict(config.encoder), "load": load})
    command = [sys.executable, "-m", "geotag_batch.encode.probe", question]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    end = _IN_TIME
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE - 30, check=False, env=environment)
        output = done.stdout
        if done.returncode < 0:
            end = f"by {signal.Signals(-done.returncode).name}"
        elif done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            end = f"with {''.join(last) or f'exit code {done.returncode}'}"
    except subprocess.TimeoutExpired as error:
        output, end = error.stdout or b"", f"after {PATIENCE - 30:.0f} seconds without an answer"
    answers: dict[str, dict[str, Any]] = {}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith('{"kind"'):  # whatever else the libraries print
            answer = json.loads(line)
            answers[answer["kind"]] = answers.get(answer["kind"], {}) | answer
    return answers, end


def _torch(facts: Mapping[str, Any]) -> Iterator[Check]:
    build = f"built for {facts['built_for']}" if facts["built_for"] else "built for the CPU"
    devices = f", sees {', '.join(facts['devices'])}" if facts["devices"] else ""
    seen = f"{facts['version']}, {build}{devices}; {facts['threads']} threads, {facts['instructions']}"
    if facts["built_for"] and not facts["devices"]:
        to_do = "nothing, if the machine has no GPU (a CPU build is gigabytes smaller); else look at its driver"
        yield warning("torch", f"{seen}; no GPU to be seen", to_do)
    else:
        yield ok("torch", seen)


def _torchvision(facts: Mapping[str, Any]) -> Iterator[Check]:
    seen = f"{facts['torchvision']}, with open_clip {facts['version']}"
    if facts["mended"]:
        yield warning(
            "torchvision",
            f"{seen}; built for another torch than the one here, which is mended at each start: open_clip works",
            "nothing has to be done; to be rid of it, install torch and torchvision from the same index",
        )
    else:
        yield ok("torchvision", seen)


def _device(facts: Mapping[str, Any]) -> Iterator[Check]:
    if "problem" in facts:
        yield problem("device", facts["problem"], facts["hint"], _CODE)
    else:
        yield ok("device", f"{facts['device']}, {facts['precision']} before any comparison")


def _weights(facts: Mapping[str, Any]) -> Iterator[Check]:
    if "problem" in facts:
        yield problem("weights", facts["problem"], facts["hint"], _CODE)
    else:
        yield ok("weights", f"{facts['path']}, {facts['bytes'] / 1e6:,.0f} MB")


_CHECKS = {"torch": _torch, "open_clip": _torchvision, "device": _device, "weights": _weights}


def _judge(loaded: Mapping[str, Any], workspace: Workspace | None, config: Config) -> Check:
    """Return whether the loaded encoder is the head's, and the one that made what is stored."""
    encoder_id, digest = loaded["encoder_id"], loaded["sha256"]
    seen = f"{encoder_id}, sha256 {digest[:12]}, loaded without the network"
    if workspace is None:
        return ok("encoder", seen)
    stored = stored_weights(workspace, encoder_id)
    if stored not in (None, digest):
        to_do = "restore the weights; vectors of two encoders are never mixed"
        return problem("encoder", f"{seen}; its stored embeddings were made by {str(stored)[:12]}", to_do, _CODE)
    try:
        wanted = current_head_info(workspace, config).encoder_id
    except GeotagError:  # the look at the head says it
        wanted = encoder_id
    if wanted != encoder_id:
        to_do = "set encoder.model and encoder.weights to the head's encoder, or `geotag heads use` another head"
        return problem("encoder", f"{seen}; the head in use was trained on {wanted}", to_do, _CODE)
    return ok("encoder", seen if stored is None else f"{seen}, as the stored embeddings have it")
