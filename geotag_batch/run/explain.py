"""The whole story of one photo: catalogue, image, embeddings, predictions and why, decisions, failures, runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from geotag_batch.config import Config
from geotag_batch.duck import Connection, connect, dataset_relation, execute_file, storage_trouble
from geotag_batch.errors import GeotagError, HeadError, InputError, PhotoFailure, UsageError
from geotag_batch.predict.bundle import load_scorer
from geotag_batch.predict.explain import explain
from geotag_batch.predict.features import MODALITIES
from geotag_batch.read.sources import image_reference, open_source
from geotag_batch.read.stored import read_vectors
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import read_run_records
from geotag_batch.write.views import create_views

__all__ = ["Image", "Said", "Share", "Story", "explain_photo", "parse_id"]

Row = dict[str, Any]

_AGREES = 1e-5  # of scores: more than rounding, less than another embedding changes


@dataclass(frozen=True, slots=True)
class Image:
    """A photo's image: its reference, and its signature now, or why there is none."""

    reference: str | None
    signature: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """A tag's score, and the logit behind it with what image, title, location and bias add to it."""

    tag: str
    score: float
    given: bool
    logit: float | None = None
    image: float | None = None
    title: float | None = None
    location: float | None = None
    bias: float | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """What one head said in one run: `facts` as in schemas/predictions.v1.json, `shares` of its highest scores.

    `exact`: the head is linear, so that the contributions are its sum and not Shapley values (predict/explain.py).
    Where they cannot be said they are None in `shares`, and `unexplained` says why.
    """

    facts: Row
    head_id: str
    is_current: bool
    shares: list[Share]
    exact: bool | None
    unexplained: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the workspace knows of one photo; lists are newest first."""

    gridimage_id: int
    photo: Row
    photo_url: str
    image: Image
    embeddings: list[Row]
    predictions: list[Said]
    decisions: list[Row]
    failures: list[Row]
    runs: list[Row]


def parse_id(text: str) -> int:
    """Return the gridimage_id that `text` is. Raises UsageError if it is none."""
    if not (text.isascii() and text.isdecimal()) or int(text) >= 2**63:
        raise UsageError(f"{text!r} is not the number of a photo", hint="give its gridimage_id, such as 7606259")
    return int(text)


def explain_photo(workspace: Workspace, config: Config, gridimage_id: int, *, tags: int = 5) -> Story:
    """Return what is known of a photo, with what contributed to its `tags` highest scores, or all given if more.

    Raises InputError if the catalogue does not have it, CatalogueError and StorageError for broken files.
    """
    limit = config.run.memory_limit
    with storage_trouble(workspace.root), connect(memory_limit=limit, spill=workspace.cache) as connection:
        _make_relations(connection, workspace, config)
        found = {name: _rows(connection, name, gridimage_id) for name in _PARTS}
    if not found["photo"]:
        raise InputError(
            f"photo {gridimage_id} is not in the catalogue",
            hint=f'was it withdrawn? `geotag query "FROM photo({gridimage_id})"` shows what is committed of it',
        )
    (photo,) = found["photo"]
    root = f"{workspace.root}/"
    for row in found["embeddings"]:
        row["file"] = row["filename"].removeprefix(root)
    predictions = [
        _said(workspace, config, row, gridimage_id, (found["embeddings"], tags)) for row in found["predictions"]
    ]
    for row in found["embeddings"]:
        del row["filename"]
    named = {row["run_id"] for name in ("embeddings", "predictions", "failures") for row in found[name]}
    return Story(
        gridimage_id=gridimage_id,
        photo=photo,
        photo_url=config.review.photo_url.replace("{gridimage_id}", str(gridimage_id)),
        image=_image(workspace, config, gridimage_id, photo["image"]),
        embeddings=found["embeddings"],
        predictions=predictions,
        decisions=found["decisions"],
        failures=found["failures"],
        runs=_runs(workspace, named),
    )


_PARTS = ("photo", "embeddings", "predictions", "decisions", "failures")


def _make_relations(connection: Connection, workspace: Workspace, config: Config) -> None:
    create_views(connection, workspace, config, ("tags", "photos", "decisions", "predictions_all", "failures"))
    connection.execute("ALTER VIEW failures RENAME TO standing")
    columns = ("gridimage_id", "run_id", "precision", "title_hash", "image_signature")
    for name, relation in {
        "embeddings": dataset_relation(workspace, "embeddings", columns, filename=True),
        "predictions": dataset_relation(workspace, "predictions"),
        "failures": dataset_relation(workspace, "failures"),
    }.items():
        connection.execute(f"CREATE TEMP VIEW {name} AS FROM {relation}")


def _rows(connection: Connection, name: str, gridimage_id: int) -> list[Row]:
    cursor = execute_file(connection, "explain", name, {"gridimage_id": gridimage_id})
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _image(workspace: Workspace, config: Config, gridimage_id: int, column: str | None) -> Image:
    """Look at the image as `--check-images` would; a root that does not answer is said, and ends nothing."""
    reference = None
    try:
        reference = image_reference(config.images, gridimage_id, column)
        if reference is None:
            return Image(None, None, "the catalogue names no image")
        source = open_source(config.images, workspace.root)
        try:
            return Image(reference, source.signature(reference), None)
        finally:
            source.close()
    except PhotoFailure as failure:
        return Image(reference, None, f"{failure.error_class}: {failure.message}")
    except GeotagError as error:
        return Image(reference, None, error.message)


def _said(workspace: Workspace, config: Config, row: Row, gridimage_id: int, wanted: tuple[Sequence[Row], int]) -> Said:
    embeddings, count = wanted
    scores = np.array(row.pop("scores"), np.float64)
    order = np.argsort(-scores, kind="stable")[: max(count, len(row["tags"]))]
    names = tag_names()
    plain = [Share(names[place], float(scores[place]), names[place] in row["tags"]) for place in order]
    known: tuple[list[Share], bool | None, str | None, str] = (plain, None, None, row["head"])
    try:
        parts, exact, member = _contributions(workspace, row, gridimage_id, embeddings)
        with np.errstate(over="ignore"):  # exp of a very low logit
            differ = np.abs(1 / (1 + np.exp(-parts[4])) - scores).max() > _AGREES
        if differ:
            raise HeadError("the embedding that is stored now is not the one that these scores were made from")
        shares = [
            Share(share.tag, share.score, share.given, *(float(parts[part, place]) for part in (4, 0, 1, 2, 3)))
            for share, place in zip(plain, order, strict=True)
        ]
        known = (shares, exact, None, member)
    except GeotagError as error:
        known = (plain, None, error.message, row["head"])
    return Said(row, known[3], row["head"] == config.head.current, *known[:3])


def _contributions(
    workspace: Workspace, row: Row, gridimage_id: int, embeddings: Sequence[Row]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], bool, str]:
    """Return image, title, location, bias and logits (5, 49), whether they are exact, and the head that scored."""
    scorer = load_scorer(workspace, row["head"])
    used = np.array([[row["has_image"], row["has_title"], row["has_location"]]])
    fitting = [each for each in embeddings if each["encoder"] == scorer.info.encoder_id]
    earlier = [each for each in fitting if each["run_id"] <= row["run_id"]]
    if not fitting:
        raise HeadError(f"there is no embedding by {scorer.info.encoder_id}")
    file = (earlier or fitting)[0]["filename"]
    vectors = read_vectors(np.array([gridimage_id]), [file], scorer.info.dim)
    place = [np.nan if row[name] is None else row[name] for name in ("latitude", "longitude")]
    found = explain(scorer, used, vectors.image, vectors.title, np.array([place], np.float64))
    parts = [*(found.of(name)[0] for name in MODALITIES), found.bias[0], found.logits[0]]
    return np.stack(parts), bool(found.exact[0]), found.head_ids[0]


def _runs(workspace: Workspace, named: set[str]) -> list[Row]:
    """Return what the records say of the runs that did something to the photo, the newest first."""
    fields = ("run_id", "command", "status", "started_at", "head", "encoder_id", "policy_id", "precision", "device")
    records = [record for record in read_run_records(workspace) if record.run_id in named]
    return [
        {**{name: getattr(record, name) for name in fields}, "versions": dict(record.versions)}
        for record in reversed(records)
    ]
