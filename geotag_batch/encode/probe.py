"""Looks at the engines in a process of its own, which may die of what it finds: `python -m geotag_batch.encode.probe`.

The one argument is JSON: the workspace's folder, [encoder] of its configuration, and whether to load the weights. Each
answer is a line of JSON on standard output, written as soon as it is known. Nothing is fetched from the network.
"""

import json
import sys
from pathlib import Path
from typing import Any

from geotag_batch.config import EncoderConfig
from geotag_batch.errors import EncoderError

__all__ = ["look"]


def look(root: Path, encoder: EncoderConfig, *, load: bool) -> None:
    """Print facts about torch, then about torchvision and open_clip, then about device, precision and weights."""
    import torch  # noqa: PLC0415  may take seconds, or end the process

    cuda = torch.cuda.is_available()
    _say(
        "torch",
        version=torch.__version__,
        built_for=torch.version.cuda or torch.version.hip,
        devices=[torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if cuda else [],
        threads=torch.get_num_threads(),
        instructions=torch.backends.cpu.get_cpu_capability(),
    )
    from geotag_batch.encode.torchvision_shim import import_open_clip, was_mismatched  # noqa: PLC0415

    version = import_open_clip().__version__
    torchvision = sys.modules["torchvision"].__version__  # with the build, which metadata leaves out
    _say("open_clip", version=version, torchvision=torchvision, mended=was_mismatched())
    from geotag_batch.encode.models import find_weights, load_model  # noqa: PLC0415
    from geotag_batch.encode.towers import choose_device, choose_precision  # noqa: PLC0415

    try:
        device = choose_device(encoder.device)
        _say("device", device=str(device), precision=choose_precision(encoder.precision, device))
    except EncoderError as error:
        _say("device", problem=error.message, hint=error.hint)
    try:
        path = find_weights(encoder, root)
        _say("weights", path=str(path), bytes=path.stat().st_size)
        if load:
            model = load_model(encoder, root)
            _say("loaded", encoder_id=model.encoder_id, sha256=model.weights_sha256)
    except EncoderError as error:
        # Why the network does not answer is no news here: it was not asked.
        _say("weights", problem=error.message.partition(" and cannot be fetched")[0], hint=error.hint)


def _say(kind: str, **facts: Any) -> None:  # noqa: ANN401
    sys.stdout.write(json.dumps({"kind": kind, **facts}) + "\n")
    sys.stdout.flush()


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise OSError("geotag doctor fetches nothing")


if __name__ == "__main__":
    sys.addaudithook(_refuse_network)
    asked = json.loads(sys.argv[1])
    look(Path(asked["root"]), EncoderConfig(**asked["encoder"]), load=asked["load"])
