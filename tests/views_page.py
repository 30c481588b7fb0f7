"""Writes docs/views.md from the headers in sql/views and sql/macros; `make docs` runs it, a test compares.

Each example is run by `geotag query` on a small archive that is always the same.
"""

import re
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from geotag_batch.config import Config, default_toml
from geotag_batch.resources import read_resource
from geotag_batch.run.query import query
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import Decision, append_decisions
from geotag_batch.write.views import MACROS, VIEWS, rebuild_views
from tests.builders import RUN_2, RUN_3, commit, write_catalogue
from tests.data import prediction, write_archive

PAGE = Path(__file__).parents[1] / "docs" / "views.md"

_INTRODUCTION = """# Views

Written by `make docs` from the headers of `sql/views/` and `sql/macros/`; a test fails when it is stale, and runs every
example. The output is that of `geotag query` on a small archive, always the same.

`geotag views` makes them in `review.duckdb`, which any DuckDB opens: `duckdb review.duckdb`. The file holds no data, so
it sees what is committed later. Macros take arguments where a view cannot. Where the file is attached under another
name (`ATTACH 'review.duckdb' AS other`), views answer as `other.predictions`, macros after `USE other`.

Over millions of predictions a LIMIT does not save the join with the catalogue that `predictions` and `review_queue`
make: take pages of the queue from the macros.
"""


def page() -> str:
    """Return the page, Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        workspace, config = make_archive(Path(folder))
        parts = [_INTRODUCTION, _contents()]
        for kind, names in (("views", VIEWS), ("macros", MACROS)):
            parts.append(f"## {kind.capitalize()}\n")
            parts += [_entry(workspace, config, kind, name) for name in names]
    return "\n".join(parts)


def make_archive(folder: Path) -> tuple[Workspace, Config]:
    """Make the archive of tests/data.py with a series of Ann's and some decisions, and its views."""
    (folder / "geotag.toml").write_text(default_toml(), encoding="utf-8")
    workspace = Workspace(folder.resolve())
    config, head, _ = write_archive(workspace)
    series: list[dict[str, Any]] = [
        {"gridimage_id": number, "title": "Canal at Shardlow", "grid_reference": "SK4430", "user_id": 7}
        | {"realname": "Eve", "imagetaken": "2010-05-01", "tags": []}
        for number in range(101, 106)
    ]
    write_catalogue(workspace, series, "series")
    scores = [{"Canals": 0.9}, {"Canals": 0.8, "Paths": 0.6}, {"Canals": 0.7}, {"Paths": 0.6}, {"Canals": 0.95}]
    rows = [prediction(photo["gridimage_id"], each, 0.55) for photo, each in zip(series, scores, strict=True)]
    commit(workspace, RUN_2, head=head, number=2, predictions=rows)
    commit(workspace, RUN_3, number=2, embeddings=[_embedding(photo, photo / 7, -photo / 5) for photo in range(1, 6)])
    decisions = [(2, "Paths", "accept"), (2, "Coastal", "reject"), (4, "Railways", "add"), (101, "Canals", "accept")]
    append_decisions(workspace, [Decision(*each, "Ann", "review", head=head, score=0.9) for each in decisions])
    rebuild_views(workspace, config)
    return workspace, config


def _embedding(photo: int, image: float, title: float) -> dict[str, Any]:
    """Return a row whose vectors point to angles, in radians."""
    vectors = {
        f"{name}_embedding": np.array([np.cos(angle), np.sin(angle), *[0.0] * 510], np.float16)
        for name, angle in (("image", image), ("title", title))
    }
    return {"gridimage_id": photo, **vectors}


def header(kind: str, name: str) -> dict[str, str]:
    """Return a file's header: what it is for (""), Grain, Parameters, Columns, Example."""
    found = {"": ""}
    key = ""
    for line in read_resource("sql", kind, f"{name}.sql").splitlines():
        if not line.startswith("-- "):
            break
        match = re.match(r"-- (Grain|Parameters|Columns|Example): (.*)", line)
        if match:
            key = match.group(1)
        text = match.group(2) if match else line.removeprefix("-- ")
        found[key] = f"{found.get(key, '')} {text}".strip()
    return found


def _contents() -> str:
    lines = [f"- [{name}](#{name}): {_first_sentence(header('views', name)[''])}" for name in VIEWS]
    lines += [f"- [{name}(…)](#{name}): {_first_sentence(header('macros', name)[''])}" for name in MACROS]
    return "\n".join(lines) + "\n"


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:;]) ", text)[0].rstrip(".:;")


def _entry(workspace: Workspace, config: Config, kind: str, name: str) -> str:
    facts = header(kind, name)
    example = facts["Example"]
    lines = [f"### {name}", "", *_wrapped(facts[""]), "", *_wrapped(f"*Grain:* {facts['Grain']}"), ""]
    if "Parameters" in facts:
        lines += [f"*Parameters:* `{facts['Parameters']}`", ""]
    described = _described(workspace, example if kind == "macros" else f"FROM {name}")
    lines += [*_wrapped(f"*Columns:* {facts['Columns']}"), "", *_wrapped(f"*Types:* {described}"), ""]
    lines += ["```text", f'$ geotag query "{example}"', *query(workspace, config, example), "```", ""]
    return "\n".join(lines)


def _described(workspace: Workspace, sql: str) -> str:
    """Return the names and types of all columns; of a macro those of its example."""
    rows = [line.split("\t") for line in _table(workspace, f"DESCRIBE {sql}")]
    return ", ".join(f"`{name}` {type_}" for name, type_ in rows)


def _table(workspace: Workspace, sql: str) -> Iterator[str]:
    with duckdb.connect(str(workspace.database), read_only=True) as connection:
        for row in connection.execute(sql).fetchall():
            yield f"{row[0]}\t{row[1]}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 118, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
