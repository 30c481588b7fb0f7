"""The competition's file from a head: 0 and 1 for the test photos' tags, from stored embeddings alone."""

import csv
import io
import zipfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geotag_batch import atomic
from geotag_batch.catalogue import steady_catalogue
from geotag_batch.config import Config
from geotag_batch.duck import Connection, execute_file, fetch_arrow
from geotag_batch.errors import InputError
from geotag_batch.predict.features import fuse
from geotag_batch.predict.head import Head, current_head_info, find_head_id, load_head
from geotag_batch.read.ids import read_ids_in_order
from geotag_batch.read.photos import Selection, open_catalogue, prepare
from geotag_batch.read.stored import Vectors, read_vectors
from geotag_batch.run.plan import target_of
from geotag_batch.taxonomy import tag_index, tags
from geotag_batch.workspace import Workspace

__all__ = ["Submission", "SubmissionReport", "competition_header", "write_submission"]

_AT_ONCE = 8192
_NAME = "submission.csv"


@dataclass(frozen=True, slots=True)
class Submission:
    """What to write: of `head` (None: the one in use), the ids of `test_ids`, to `out`.

    `like` is the competition's train.csv, zipped or not, whose columns the file must have. Photos that cannot be
    scored are an error, unless `missing_as` names the tag that they get.
    """

    test_ids: Path
    out: Path
    head: str | None = None
    like: Path | None = None
    missing_as: str | None = None


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """What was written: by which head, for how many photos, how many of them by `missing_as`, and their tags."""

    head_id: str
    path: Path
    photos: int
    missing: int
    tags_per_photo: float


def competition_header() -> list[str]:
    """Return the columns of the competition's files: the id, then tag<tag_id> in ascending tag_id."""
    return ["gridimage_id", *(f"tag{tag.tag_id}" for tag in tags())]


def write_submission(workspace: Workspace, config: Config, submission: Submission) -> SubmissionReport:
    """Write a zipped CSV: a row for each test id, in the order of the test file, at least one tag in each.

    Tags are decided by the head's policy, which production uses, with its at-least-one rule on. Raises InputError
    for test ids without embedding (unless `missing_as`), other columns in `like`, or an unknown tag; HeadError,
    CatalogueError, StorageError.
    """
    if submission.like is not None:
        _check_header(submission.like)
    if submission.missing_as is not None and submission.missing_as not in tag_index():
        raise InputError(f"--missing-as {submission.missing_as!r} is no tag", hint="take one of schemas/tags.csv")
    head_id = current_head_info(workspace, config).head_id if submission.head is None else submission.head
    head = load_head(workspace, find_head_id(workspace, head_id))
    asked = np.array(read_ids_in_order(submission.test_ids), np.int64)
    ids, chosen = _decide(workspace, config, head, asked)
    rows = np.zeros((len(asked), len(head.info.tags)), np.bool_)
    place = np.searchsorted(ids, asked)
    found = (ids[np.minimum(place, len(ids) - 1)] == asked) if len(ids) else np.zeros(len(asked), np.bool_)
    rows[found] = chosen[place[found]]
    missing = asked[~found]
    if len(missing) and submission.missing_as is None:
        raise InputError(
            f"{len(missing)} of {len(asked)} test photos are not in the catalogue, or not embedded by "
            f"{head.info.encoder_id}: {', '.join(map(str, missing[:5]))}{' ...' if len(missing) > 5 else ''}",
            hint=f"run `geotag embed --all --ids {submission.test_ids}`, or give them a tag with --missing-as TAG",
        )
    if submission.missing_as is not None:
        rows[~found, tag_index()[submission.missing_as]] = True
    _write(submission.out, asked, rows)
    return SubmissionReport(head.info.head_id, submission.out, len(asked), len(missing), float(rows.sum() / len(rows)))


def _decide(
    workspace: Workspace, config: Config, head: Head, asked: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which of the photos asked for can be scored, ascending, and their tags bool (n, 49)."""
    info = head.info
    table = _stored(workspace, config, head, asked)
    ids = table.column("gridimage_id").to_numpy()
    vectors = Vectors.mapped(len(ids), info.dim, workspace.cache)
    read_vectors(ids, table.column("embedding_file").to_pylist(), info.dim, vectors)
    whole = np.ones(len(ids), np.bool_)
    for modality, has in (("image", vectors.has_image), ("title", vectors.has_title)):
        whole &= has | (modality not in info.modalities)
    degrees = [table.column(name).fill_null(float("nan")).to_numpy() for name in ("latitude", "longitude")]
    location = info.location.scale(np.stack(degrees, axis=1)) if info.location is not None else None
    policy, rows = replace(info.policy, at_least_one=True), np.flatnonzero(whole)
    chosen = np.zeros((len(rows), len(info.tags)), np.bool_)
    for start in range(0, len(rows), _AT_ONCE):
        block = rows[start : start + _AT_ONCE]
        near = location[block] if location is not None else None
        features = fuse(info.modalities, vectors.image[block], vectors.title[block], near)
        chosen[start : start + len(block)] = policy.choose(head.scores(features))
    return ids[rows], chosen


def _stored(workspace: Workspace, config: Config, head: Head, asked: NDArray[np.int64]) -> pa.Table:
    with steady_catalogue(workspace, config):
        connection = open_catalogue(workspace, config)
        try:
            known = _known(connection, asked)
            selection = Selection(select="all", ids=known, redo_before=datetime.max)
            prepare(connection, target_of(head.info), selection)
            execute_file(connection, "train", "reviewed", {"used": False})
            return fetch_arrow(connection, "train", "labelled")
        finally:
            connection.close()


def _known(connection: Connection, asked: NDArray[np.int64]) -> tuple[int, ...]:
    connection.register("asked", pa.table({"gridimage_id": pa.array(asked)}))
    known = execute_file(connection, "plan", "known_ids").fetchall()
    connection.unregister("asked")
    return tuple(row[0] for row in known)


def _check_header(path: Path) -> None:
    """Raise InputError unless the file's columns are the competition's as schemas/tags.csv has them."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
                header = next(csv.reader(io.TextIOWrapper(file, "utf-8-sig")), [])
        else:
            with path.open(encoding="utf-8-sig", newline="") as text:
                header = next(csv.reader(text), [])
    except (OSError, IndexError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a CSV: {error}", hint="name the competition's train.csv") from error
    expected = competition_header()
    if header != expected:
        place = next((n for n, (a, b) in enumerate(zip(header, expected, strict=False)) if a != b), len(expected))
        place = min(place, len(header), len(expected) - 1)
        found = repr(header[place]) if place < len(header) else "missing"
        raise InputError(
            f"{path} has other columns than heads of these 49 tags: column {place + 1} is {found}, "
            f"should be {expected[place]!r}",
            hint="this head is not for that competition",
        )


def _write(out: Path, ids: NDArray[np.int64], rows: NDArray[np.bool_]) -> None:
    text = io.StringIO()
    text.write(",".join(competition_header()) + "\n")
    np.savetxt(text, np.column_stack([ids, rows]), fmt="%d", delimiter=",")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_NAME), text.getvalue(), zipfile.ZIP_DEFLATED)  # with a fixed date
    atomic.write_elsewhere(data.getvalue(), out)
