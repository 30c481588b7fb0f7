"""Pages for people: Jinja templates beside this module, in which everything is escaped."""

from typing import Any

__all__ = ["render_page"]


def render_page(template: str, **values: Any) -> str:  # noqa: ANN401
    """Return a page of the templates in `geotag_batch/draw/pages/`; every value is escaped as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  only pages need it

    pages = PackageLoader("geotag_batch.draw", "pages")
    environment = Environment(loader=pages, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(**values)
