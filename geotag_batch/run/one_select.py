"""Whether a text is one SELECT and can do nothing but read.

DuckDB's own statement type decides first, since a read-only connection still runs COPY and EXPLAIN ANALYZE COPY. That
is not enough: since DuckDB 2.0, `WITH x AS (COPY ... TO 'file') SELECT ...` counts as a SELECT and writes the file,
and the table function json_execute_serialized_sql runs such a text even out of a sub-query (both were tried, on a
read-only connection with locked settings). So DuckDB's parse tree is looked at as well.
"""

import json
from collections.abc import Iterator
from typing import Any

from geotag_batch.duck import Connection, ParserError, Statement, only_select
from geotag_batch.errors import UsageError
from geotag_batch.write.views import MACROS

__all__ = ["TABLE_FUNCTIONS", "require_one_select"]

TABLE_FUNCTIONS = frozenset(
    {
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_views",
        "generate_series",
        "json_each",
        "json_tree",
        "range",
        "unnest",
    }
)
"""The table functions that a query may name: those that run no SQL, read no file and change no setting."""

_READING = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
"""What may stand in a WITH clause, as DuckDB calls it; the others are COPY, INSERT, UPDATE and DELETE."""

_HINT = "for anything else open the views in a shell of your own: duckdb review.duckdb"


def require_one_select(connection: Connection, sql: str) -> Statement:
    """Return the one SELECT that `sql` is. Raises UsageError if it is anything else, or might do more than read."""
    try:
        statements = connection.extract_statements(sql)
    except ParserError as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"not valid SQL: {reason}", hint="one SELECT, as text in quotes") from error
    if not only_select(statements):
        kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
        raise UsageError(f"geotag query runs one SELECT, this is {kinds}", hint=_HINT)
    for node in _nodes(_parse_tree(connection, sql)):
        body = node.get("query_node")
        if isinstance(body, dict) and body["type"] not in _READING:
            kind = body["type"].removesuffix("_QUERY_NODE")
            raise UsageError(f"geotag query runs one SELECT, this has {kind} in its WITH clause", hint=_HINT)
        if node.get("type") == "TABLE_FUNCTION":
            name = node["function"]["function_name"]
            if name.lower() not in TABLE_FUNCTIONS and name.lower() not in MACROS:
                raise UsageError(
                    f"geotag query reads the views and their macros and does not run the table function {name}",
                    hint=_HINT,
                )
    return statements[0]


def _parse_tree(connection: Connection, sql: str) -> object:
    ((text,),) = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchall()
    try:
        tree: dict[str, Any] = json.loads(text)
    except RecursionError as error:
        raise UsageError("the query is nested too deeply", hint="split it with WITH, or write a shorter one") from error
    if tree["error"]:
        raise UsageError(f"geotag query runs one SELECT, not this: {tree['error_message']}", hint=_HINT)
    return tree


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield each object of a JSON document, without recursion."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
