"""docs/views.md agrees with the SQL, and its examples run."""

import pytest

from geotag_batch.write.views import MACROS, VIEWS
from tests.views_page import PAGE, header, page


def test_the_page_of_views_is_what_the_sql_says_and_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/views.md is stale: run `make docs`"


@pytest.mark.parametrize(("kind", "name"), [("views", name) for name in VIEWS] + [("macros", name) for name in MACROS])
def test_each_header_says_grain_columns_and_an_example(kind: str, name: str) -> None:
    facts = header(kind, name)
    assert facts[""].endswith(".")
    assert facts["Grain"].startswith("one row")
    assert facts["Columns"]
    assert name in facts["Example"]
    assert ("Parameters" in facts) == (kind == "macros")
