"""Finds the folders sql/ and schemas/: packaged in an installed wheel, beside the package in a checkout."""

from functools import cache
from pathlib import Path

__all__ = ["read_resource", "resource_path"]

_PACKAGE = Path(__file__).resolve().parent


def resource_path(*parts: str) -> Path:
    """Return the path of a resource, for example ``resource_path("sql", "views")``.

    Raises FileNotFoundError if neither the package nor a checkout around it holds it.
    """
    for base in (_PACKAGE, _PACKAGE.parent):
        path = base.joinpath(*parts)
        if path.exists():
            return path
    raise FileNotFoundError(f"geotag-batch is installed without {'/'.join(parts)}")


@cache
def read_resource(*parts: str) -> str:
    """Return the text (UTF-8) of a resource file."""
    return resource_path(*parts).read_text(encoding="utf-8")
