"""The review page's templates, in which everything is escaped, and the files that go with them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from geotag_batch.resources import resource_path

__all__ = ["Asset", "assets", "render"]

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of `assets/`; `version` differs when its content does."""

    name: str
    content: bytes
    media_type: str
    version: str


@cache
def assets() -> Mapping[str, Asset]:
    """Return the style sheet, scripts and drawings by name."""
    found = {}
    for path in sorted(resource_path("review", "assets").iterdir()):
        suffix = path.suffix.removeprefix(".")
        if suffix in _TYPES:
            content = path.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            found[path.name] = Asset(path.name, content, _TYPES[suffix], version)
    return found


def render(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return a page of `pages/`; every value is escaped as HTML text."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("geotag_batch.review", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = lambda number: f"{number:,}"
    made.filters["percent"] = lambda score: f"{100 * score:.0f} %" if score < 0.995 else "99 %"
    made.filters["signed"] = lambda number: f"{number:+.2f}".replace("-", "\N{MINUS SIGN}")
    return made
