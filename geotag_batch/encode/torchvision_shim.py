"""Imports open_clip, also where torchvision was built for another torch (a CPU torch beside PyPI's torchvision).

torchvision then cannot load its compiled operators, and its import fails while it describes two of them, although
open_clip uses nothing but its transforms. Declaring the two lets the import through; a matching pair never gets here.
"""

import importlib
import sys
import warnings
from types import ModuleType

import torch

__all__ = ["import_open_clip", "was_mismatched"]

_MISSING_OPERATOR = "operator torchvision::nms does not exist"
_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_declarations: list[torch.library.Library] = []  # an operator exists as long as the library that declared it


def import_open_clip() -> ModuleType:
    """Return the module open_clip. Raises what its import raises, other than the mismatch mended here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations in other people's modules are not this run's business
        try:
            return importlib.import_module("open_clip")
        except RuntimeError as error:
            if _MISSING_OPERATOR not in str(error):
                raise
        _declare_operators()
        _forget_half_imported()
        return importlib.import_module("open_clip")


def was_mismatched() -> bool:
    """Return whether importing open_clip met a torchvision that was built for another torch, and mended it."""
    return bool(_declarations)


def _declare_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    _declarations.append(library)


def _forget_half_imported() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("torchvision", "open_clip"):
            del sys.modules[name]
