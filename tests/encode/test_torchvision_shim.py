import subprocess
import sys
from pathlib import Path

STUB = {
    "torchvision/__init__.py": "from torchvision import extension, _meta",
    "torchvision/extension.py": "",
    "open_clip/__init__.py": "import torchvision; NAME = 'open_clip'",
}
MISMATCHED = 'import torch; torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)'
CHECK = (
    "import torch\n"
    "from geotag_batch.encode.torchvision_shim import import_open_clip\n"
    "print(import_open_clip().NAME, import_open_clip().NAME, hasattr(torch.ops.torchvision, 'nms'))"
)


def run(folder: Path, meta: str) -> subprocess.CompletedProcess[str]:
    """Import stand-ins for torchvision and open_clip; `meta` is what torchvision does last."""
    for name, text in {**STUB, "torchvision/_meta.py": meta}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(folder)!r})\n{CHECK}"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_torchvision_without_its_operators_does_not_stop_open_clip(tmp_path: Path) -> None:
    done = run(tmp_path, MISMATCHED)
    assert done.stdout.split() == ["open_clip", "open_clip", "True"], done.stderr


def test_a_matching_torchvision_is_left_alone_and_its_deprecations_are_not_our_errors(tmp_path: Path) -> None:
    done = run(tmp_path, "import warnings; warnings.warn('old', DeprecationWarning)")
    assert done.stdout.split() == ["open_clip", "open_clip", "False"], done.stderr


def test_any_other_failure_of_the_import_is_not_hidden(tmp_path: Path) -> None:
    done = run(tmp_path, "raise RuntimeError('something else')")
    assert done.returncode == 1
    assert "RuntimeError: something else" in done.stderr
