"""review.duckdb: a file that holds views and nothing else, over what is committed and the catalogue.

It can be made anew at any time. It is built aside, closed and renamed, so a reader has the old views or the new ones,
and nobody is kept from opening them. The statements are in sql/views/; VIEWS is the order in which they build on
each other.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from geotag_batch.atomic import publish, remove_committed
from geotag_batch.catalogue import catalogue_files, catalogue_glob, catalogue_relation, empty_catalogue_relation
from geotag_batch.config import Config
from geotag_batch.duck import (
    Connection,
    DuckError,
    connect,
    dataset_relation,
    quote_identifier,
    quote_literal,
    raise_store_error,
    run_records_relation,
    sql_text,
    storage_trouble,
)
from geotag_batch.errors import CatalogueError, LockedError, StorageError
from geotag_batch.locks import hold_file
from geotag_batch.taxonomy import tag_names, tags
from geotag_batch.workspace import Workspace

__all__ = ["MACROS", "VIEWS", "create_views", "rebuild_views", "views_are_stale"]

VIEWS = (
    "tags",
    "photos",
    "squares",
    "decisions",
    "decisions_newest",
    "decisions_by_photo",
    "effective_tags",
    "predictions_all",
    "predictions_newest",
    "predictions",
    "embeddings_newest",
    "predicted_tags",
    "waiting",
    "review_queue",
    "queue_by_tag",
    "queue_by_hectad",
    "precision_per_tag",
    "tag_counts",
    "tag_counts_by_square",
    "disagreements",
    "head_diff",
    "head_flips",
    "drift_by_tag",
    "drift_by_score",
    "drift",
    "series",
    "series_outliers",
    "failures",
    "runs",
    "coverage",
    "workspace",
)
"""All views, each after those that it reads."""

MACROS = ("queue", "queue_for_tag", "queue_in_hectad", "photo", "series_of", "similar_to", "similar_to_title")
"""All table macros: views that take arguments, over the views; in sql/macros/, their parameters in the header."""

_PATIENCE = 30.0  # seconds; with thousands of files the views take some


def rebuild_views(workspace: Workspace, config: Config) -> None:
    """Make review.duckdb anew; harmless beside a run, for it takes a lock of its own.

    Raises CatalogueError for a catalogue that is not what it should be, StorageError if a committed file cannot be
    read or the disk refuses, LockedError if somebody else has been making them for half a minute.
    """

    def build(path: Path) -> None:
        for left in (path, _log_of(path)):  # by a killed command; DuckDB would open and extend it
            left.unlink(missing_ok=True)
        with storage_trouble(workspace.database):
            connection = connect(path)
            try:
                connection.execute("BEGIN")
                create_views(connection, workspace, config)
                _create_macros(connection, config)
                connection.execute("COMMIT")
                connection.execute("CHECKPOINT")  # as closing does, which says nothing when it fails
            finally:
                connection.close()

    busy = LockedError(f"another command is making the views of {workspace.root}", hint="start again in a moment")
    with hold_file(workspace.views_lock_file, _PATIENCE, busy):
        # A log left beside the old file, by a program that had it open for writing, must not be replayed into the new.
        remove_committed(_log_of(workspace.database))
        publish(build, workspace.database, workspace.views_staging, replace=True)


def _log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}.wal")


def create_views(connection: Connection, workspace: Workspace, config: Config, names: Collection[str] = VIEWS) -> None:
    """Create the views, or those of `names`, in the connection's database. Raises as `rebuild_views`.

    Each view takes a look at the committed files, which takes its time where there are thousands.
    """
    definitions = _definitions(connection, workspace, config)
    for name, statement in ((name, definitions[name]) for name in VIEWS if name in names):
        try:
            connection.execute(f"CREATE VIEW {quote_identifier(name)} AS {statement}")
        except DuckError as error:
            raise_store_error(error)
            reason = str(error).split("\n", 1)[0]
            raise StorageError(f"cannot make the view {name}: {reason}", hint="run `geotag verify`") from error


def _create_macros(connection: Connection, config: Config) -> None:
    for name, text in _macros(config).items():
        parameters = re.search(r"^-- Parameters: (.*)$", text, re.MULTILINE)
        assert parameters is not None, f"sql/macros/{name}.sql does not say its parameters"
        connection.execute(f"CREATE MACRO {quote_identifier(name)}({parameters.group(1)}) AS TABLE {text}")


def _macros(config: Config) -> dict[str, str]:
    photo_url = {"photo_url": _text(config.review.photo_url)}
    similar = {
        f"similar_{kind}": sql_text("parts", "similar", photo_url | {"vector": f"{kind}_embedding"})
        for kind in ("image", "title")
    }
    return {name: sql_text("macros", name, photo_url | similar) for name in MACROS}


def views_are_stale(workspace: Workspace, config: Config) -> bool:
    """Return whether `rebuild_views` would make other views than review.duckdb has.

    So it is before the first `geotag views`, when a dataset got its first file or lost its last one, when another
    head is in use, when the catalogue has other columns, and in a workspace that was moved.
    """
    if not workspace.database.exists():
        return True
    with connect() as connection:
        wanted = _definitions(connection, workspace, config)["workspace"]
    try:
        with connect(workspace.database, read_only=True) as connection:
            row = connection.execute("SELECT root, head, made_from FROM workspace").fetchone()
            return row != connection.execute(wanted).fetchone()
    except DuckError:  # from another version, or open in a program that lets nobody else read it
        return True


def _definitions(connection: Connection, workspace: Workspace, config: Config) -> dict[str, str]:
    """Return the statement of each view, in the order of VIEWS."""
    head = config.head.current
    encoder, vectors = _encoder_of(workspace, head), dataset_relation(workspace, "embeddings")
    searched = _text(encoder or _only(workspace.encoders()))
    substitutions = {
        "tags": _tags_relation(),
        "tag_names": f"[{', '.join(map(quote_literal, tag_names()))}]",
        "catalogue": _catalogue(connection, workspace, config),
        "predictions": dataset_relation(workspace, "predictions"),
        "repeated_predictions": _repeated(f"(SELECT gridimage_id FROM predictions_all WHERE head = {_text(head)})"),
        "embeddings": dataset_relation(workspace, "embeddings", ("gridimage_id", "run_id")),
        "repeated_embeddings": _repeated(f"(SELECT gridimage_id FROM {vectors} WHERE encoder = {searched})"),
        "vectors": vectors,
        "searched": searched,
        "failures": dataset_relation(workspace, "failures"),
        "decisions": dataset_relation(workspace, "decisions"),
        "runs": run_records_relation(workspace),
        "head": _text(head),
        "encoder": _text(encoder),
        "photo_url": _text(config.review.photo_url),
        "root": _text(str(workspace.root)),
    }
    made: dict[str, str] = {}
    for name in VIEWS:
        text = "\n".join([*made.values(), *_macros(config).values()])
        digest = hashlib.sha256(text.encode()).hexdigest()
        made[name] = sql_text("views", name, {**substitutions, "made_from": _text(digest)})
    return made


def _repeated(rows: str) -> str:
    return sql_text("parts", "repeated", {"rows": rows})


def _only(encoders: Collection[str]) -> str | None:
    """Return the one encoder that embeddings are stored of; None where there are several, which are never mixed."""
    return next(iter(encoders)) if len(encoders) == 1 else None


def _catalogue(connection: Connection, workspace: Workspace, config: Config) -> str:
    try:
        files = catalogue_files(connection, workspace, config)
    except CatalogueError:  # there is none yet
        return empty_catalogue_relation()
    return catalogue_relation(files, config, glob=catalogue_glob(workspace, config))


def _tags_relation() -> str:
    rows = ", ".join(
        f"({position}, {tag.tag_id}, {quote_literal(tag.tag)}, {quote_literal(tag.group)})"
        for position, tag in enumerate(tags(), 1)
    )
    return f"(VALUES {rows}) AS taxonomy(position, tag_id, tag, tag_group)"


def _encoder_of(workspace: Workspace, head_id: str | None) -> str | None:
    """Return the encoder_id in the head's head.json; None without one (the views must be there all the same)."""
    try:
        document: Mapping[str, object] = json.loads((workspace.head_dir(head_id or "") / "head.json").read_bytes())
        return str(document["encoder_id"])
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _text(value: str | None) -> str:
    return "CAST(NULL AS VARCHAR)" if value is None else quote_literal(value)
