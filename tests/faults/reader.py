"""A reader of the views, over and over until something comes in: counts may only grow, and nothing may raise.

With --exact nothing may change at all, neither for who opens the views anew nor for who has them open. A file that goes
in the moment between a query's listing and its opening makes it open the database anew and ask again, once; how often
is said.
"""

import select
import sys
from collections.abc import Mapping

import duckdb

_QUERIES = {
    name: f"SELECT {value} FROM {name}"
    for name, value in {
        "predictions_all": "count(*)",
        "predictions": "count(tags)",
        "review_queue": "count(*)",
        "failures": "count(*)",
        "runs": "coalesce(sum(photos), 0)",
        "coverage": "coalesce(sum(predicted), 0)",
    }.items()
}


_EXACT = {
    "predictions_all": "SELECT count(*), sum(hash(rows))::VARCHAR FROM predictions_all AS rows",
    "predictions": "SELECT count(*), sum(hash(gridimage_id, tags, run_id))::VARCHAR FROM predictions",
    "failures": "SELECT count(*), sum(hash(gridimage_id, run_id))::VARCHAR FROM failures",
    "coverage": "FROM coverage",
}


def exact(database: str, keep: bool, queries: Mapping[str, str] = _EXACT) -> tuple[int, int]:
    """Return how many queries met a file that had just gone, and how often the views said what they said at first.

    The database is opened once (`keep`), or each time; never twice at once, for DuckDB would open the same one again.
    """
    rounds = again = 0
    said: dict[str, object] = {}
    connection = duckdb.connect(database, read_only=True)
    while not rounds or not select.select([sys.stdin], [], [], 0)[0]:
        for name, query in queries.items():
            try:
                answer = connection.execute(query).fetchall()
            except duckdb.IOException as error:
                if "No such file" not in str(error):
                    raise
                again += 1
                connection.close()
                connection = duckdb.connect(database, read_only=True)
                answer = connection.execute(query).fetchall()
            if answer != said.setdefault(name, answer):
                raise SystemExit(f"{name} said {said[name]}, then {answer}")
        rounds += 1
        if not keep:
            connection.close()
            connection = duckdb.connect(database, read_only=True)
    return again, rounds


def main() -> None:
    """Read the workspace that the last argument names, and say how often."""
    database = f"{sys.argv[-1]}/review.duckdb"
    if "--exact" in sys.argv:
        print(*exact(database, "--keep" in sys.argv))
        return
    seen = dict.fromkeys(_QUERIES, 0)
    rounds = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        with duckdb.connect(database, read_only=True) as connection:
            for name, query in _QUERIES.items():
                ((count,),) = connection.execute(query).fetchall()
                if count < seen[name]:
                    raise SystemExit(f"{name} fell from {seen[name]} to {count}")
                seen[name] = count
        rounds += 1
    print(rounds)


if __name__ == "__main__":
    main()
