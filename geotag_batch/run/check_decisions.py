"""The decisions: does each file say what its name and its schema promise, and do no two files contradict each other?"""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from geotag_batch.duck import Connection, dataset_relation, execute_file
from geotag_batch.errors import StorageError
from geotag_batch.parquet import open_parquet
from geotag_batch.run.check_file import UNREADABLE, require_regular
from geotag_batch.schema import CURRENT_VERSION, check_table, load_schema
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.decisions import KINDS

__all__ = ["check_decisions_file", "contradictions"]

_NAME = re.compile(r"(\d{8}T\d{12}Z-[0-9a-f]{4})-(\d{7})\.parquet")
_ID = r"^\d{8}T\d{12}Z-[0-9a-f]{4}-\d{7}$"


def check_decisions_file(path: Path) -> tuple[int, tuple[str, ...]]:
    """Read a whole file, page checksums included; return its rows and what is wrong with it."""
    try:
        require_regular(path)
        file = open_parquet(path)
        table = file.read()
        check_table(table, load_schema("decisions").arrow(), "it")
    except StorageError as error:
        return 0, (error.message,)
    except UNREADABLE as error:
        return 0, (f"cannot be read: {error}",)
    return table.num_rows, (
        *_metadata_problems(file.schema_arrow.metadata or {}),
        *_name_problems(path, table),
        *_value_problems(table),
    )


def _metadata_problems(raw: dict[bytes, bytes]) -> Iterator[str]:
    for key, value in (("dataset", "decisions"), ("schema_version", str(CURRENT_VERSION["decisions"]))):
        found = raw.get(f"geotag.{key}".encode(), b"").decode(errors="replace")
        if found != value:
            yield f"its metadata says {key} {found or 'nothing'}, it should say {value}"


def _name_problems(path: Path, table: pa.Table) -> Iterator[str]:
    match = _NAME.fullmatch(path.name)
    if match is None:
        yield "its name is not <file id>-<rows>.parquet"
        return
    if table.num_rows != int(match[2]):
        yield f"has {table.num_rows} rows, its name says {int(match[2])}"
    ids = table["decision_id"]
    if not pc.all(pc.match_substring_regex(ids, _ID)).as_py():
        yield "has a decision_id that is not <file id>-<row>"
    elif table.num_rows and not str(pc.max(ids).as_py()).startswith(match[1]):
        yield "its greatest decision_id is of another file than its name says"
    if pc.count_distinct(ids).as_py() != table.num_rows:
        yield "has a decision_id more than once"


def _value_problems(table: pa.Table) -> Iterator[str]:
    for column, allowed in (("tag", tag_names()), ("decision", KINDS)):
        strange = sorted(set(pc.unique(table[column]).to_pylist()) - set(allowed))
        if strange:
            yield f"{column} has {strange[0]!r}, which is none of the {len(allowed)}"
    if not pc.all(pc.greater(table["gridimage_id"], 0)).as_py():
        yield "has a gridimage_id that is not positive"


def contradictions(connection: Connection, workspace: Workspace) -> list[str]:
    """Return the decision_ids under which two files say different things."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW decisions AS FROM {dataset_relation(workspace, 'decisions')}")
    return [row[0] for row in execute_file(connection, "checks", "contradictions").fetchall()]
