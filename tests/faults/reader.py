"""A reader of the views, over and over until something comes in: counts may only grow, and nothing may raise."""

import select
import sys

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


def main() -> None:
    """Read the workspace that the last argument names, and say how often."""
    database = f"{sys.argv[-1]}/review.duckdb"
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
