"""Three deliberately wrong writers, each a mistake that is often made: the harness must catch them all.

`install` puts one in the place of `atomic.publish` before the job imports it. They write the run records and the views
as they should, so that only what they do with data is wrong.
"""

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from geotag_batch import atomic, duck
from geotag_batch.workspace import Workspace

__all__ = ["MUTANTS", "install"]

_right = atomic.publish
_relation = duck.dataset_relation

Writer = Callable[[Path], object]


def straight(write: Writer, final: Path, staging: Path, *, replace: bool = False) -> None:
    """Write under the final name: a reader may see half a file, and so may the next run."""
    if final.suffix != ".parquet" or replace:
        _right(write, final, staging, replace=replace)
        return
    atomic.make_folder(final.parent)
    write(final)


def marker_after(write: Writer, final: Path, staging: Path, *, replace: bool = False) -> None:
    """Write under the final name, synced, and a marker beside it: what has no marker does not count for a plan."""
    if final.suffix != ".parquet" or replace:
        _right(write, final, staging, replace=replace)
        return
    atomic.make_folder(final.parent)
    write(final)
    _sync(final)
    _mark(final)


def random_name(write: Writer, final: Path, staging: Path, *, replace: bool = False) -> None:
    """Publish in one step, but under a random name, and a marker: without it the next run does the chunk again."""
    if final.suffix != ".parquet" or replace:
        _right(write, final, staging, replace=replace)
        return
    run_id, _, _ = final.name.rpartition("-")
    final = final.with_name(f"{run_id}-{random.randrange(10**6):06d}.parquet")
    _right(write, final, staging)
    _mark(final)


MUTANTS: dict[str, Callable[..., None]] = {
    "straight": straight,
    "marker_after": marker_after,
    "random_name": random_name,
}


def install(name: str) -> None:
    """Let the job write by the mutant `name`, and, where it has markers, plan by them."""
    atomic.publish = MUTANTS[name]
    if name != "straight":
        duck.dataset_relation = _marked_relation  # type: ignore[assignment]
    if name == "random_name":
        _keep_no_sums()


def _keep_no_sums() -> None:
    """Record no SHA-256 of committed files: under the names that they should have there are none."""
    from geotag_batch.write import dataset  # noqa: PLC0415  it takes `atomic.publish` as it is when it is imported

    vars(dataset).update(_sha256=lambda _: "", add_sums=lambda *_: None)


def _marker(path: Path) -> Path:
    """Return the marker of a data file: beside the datasets, so that it is no stranger among the data."""
    root = next(folder for folder in path.parents if (folder / "geotag.toml").exists())
    return root / "done" / path.relative_to(root).with_suffix(".done")


def _mark(path: Path) -> None:
    marker = _marker(path)
    atomic.make_folder(marker.parent)
    marker.write_text("")
    _sync(marker)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    atomic.fsync_folder(path.parent)


def _marked_relation(workspace: Workspace, dataset: str, *columns: object, **options: bool) -> str:
    """Return the relation over the files that have a marker."""
    whole = partial(_relation, workspace, dataset)
    sql: str = whole(*columns, **options)  # type: ignore[arg-type]
    if not options.get("filename"):
        return sql
    marked = [path for path in workspace.dataset_files(dataset) if _marker(path).exists()]
    names = ", ".join(duck.quote_literal(str(path)) for path in marked) or "''"
    if "read_parquet(" not in sql or not marked:
        return f"(FROM {sql} WHERE false)"
    before, _, rest = sql.partition("read_parquet(")
    return f"{before}read_parquet([{names}]{rest[rest.index(', hive_partitioning') :]}"
