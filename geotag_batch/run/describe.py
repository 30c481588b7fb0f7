"""What a catalogue holds: tags, titles, places, contributors, in numbers and pictures; only sums leave DuckDB."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geotag_batch.catalogue import catalogue_files, catalogue_relation, steady_catalogue
from geotag_batch.config import Config
from geotag_batch.draw.describe import (
    Example,
    draw_bars,
    draw_examples,
    draw_histogram,
    draw_map,
    draw_together,
)
from geotag_batch.duck import Connection, connect, execute_file, fetch_arrow, storage_trouble
from geotag_batch.read.gridref import wgs84_centres
from geotag_batch.run.report_folder import ReportFolder
from geotag_batch.run.thumbnails import load_thumbnails
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace

__all__ = ["Description", "describe", "description_text"]

_COLUMNS = ("gridimage_id", "title", "grid_reference", "wgs84_lat", "wgs84_long", "tags", "user_id", "realname")
_WORDS = 40
_EXAMPLES = 4  # photos of a tag whose images are tried


@dataclass(frozen=True, slots=True)
class Description:
    """`document` is what describe.json holds, `files` what was written."""

    document: dict[str, Any]
    files: list[Path]


def describe(workspace: Workspace, config: Config, out: Path | None = None) -> Description:
    """Describe the catalogue in `out`, by default reports/describe. Raises CatalogueError or StorageError."""
    limit = config.run.memory_limit
    with (
        storage_trouble(workspace.root),
        connect(memory_limit=limit, spill=workspace.cache) as connection,
        steady_catalogue(workspace, config),
    ):
        relation = catalogue_relation(catalogue_files(connection, workspace, config), config, only=_COLUMNS)
        connection.execute(f"CREATE TEMP VIEW catalogue AS FROM {relation}")
        execute_file(connection, "describe", "known", {"tags": list(tag_names())})
        document = _document(connection)
    examples = _examples(workspace, config, document["photos_per_tag"])
    for row in document["photos_per_tag"]:
        del row["examples"]
    with ReportFolder(out or workspace.reports / "describe") as report:
        files = [report.write_json("describe.json", document)]
        files.append(report.write_text("describe.md", f"# The catalogue\n\n```\n{description_text(document)}\n```"))
        files += _write_figures(report, document, examples)
    return Description(document, files)


def _document(connection: Connection) -> dict[str, Any]:
    def rows(name: str, **parameters: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        found: list[dict[str, Any]] = fetch_arrow(connection, "describe", name, parameters).to_pylist()
        return found

    return {
        **rows("totals")[0],
        "tags_per_photo": rows("tags_per_photo"),
        "photos_per_tag": rows("photos_per_tag", examples=_EXAMPLES),
        "title_lengths": rows("title_lengths"),
        "title_words": rows("title_words", words=_WORDS),
        "squares": rows("squares"),
        "degrees": rows("degrees"),
        "tags_together": rows("together"),
    }


def _examples(workspace: Workspace, config: Config, tags: Sequence[Mapping[str, Any]]) -> list[Example]:
    """Return one photo for each tag: the first of a few whose image can be shown, or why there is none."""
    pictures = load_thumbnails(workspace, config, [each for row in tags for each in row["examples"]], 160)
    examples = []
    for row in tags:
        shown = [pictures[each] for each in row["examples"] if pictures[each].jpeg is not None]
        best = shown[0] if shown else pictures[row["examples"][0]]
        examples.append(Example(row["tag"], best.contributor, best.gridimage_id, best.jpeg, best.problem))
    return examples


def _write_figures(report: ReportFolder, document: dict[str, Any], examples: Sequence[Example]) -> list[Path]:
    tags = [(row["tag"], row["photos"]) for row in document["photos_per_tag"]]
    words = [(row["word"], row["photos"]) for row in document["title_words"]]
    per_photo = [(row["tags"], row["photos"]) for row in document["tags_per_photo"]]
    lengths = [(row["characters"], row["photos"]) for row in document["title_lengths"]]
    files = [
        report.write_figure("tags-per-photo.png", draw_histogram(per_photo, "Tags per photo", "tags")),
        report.write_figure(
            "title-lengths.png", draw_histogram(lengths, "Length of titles", "characters, 100 or more")
        ),
        report.write_figure("map.png", draw_map(*_places(document))),
    ]
    if tags:
        files.append(report.write_figure("photos-per-tag.png", draw_bars(tags, "Photos per tag")))
        together = {(row["tag"], row["other"]): row["photos"] for row in document["tags_together"]}
        files.append(report.write_figure("tags-together.png", draw_together([tag for tag, _ in tags], together)))
        files.append(report.write_figure("one-photo-per-tag.png", draw_examples(examples)))
    if words:
        files.append(report.write_figure("title-words.png", draw_bars(words, "Words that titles have")))
    return files


def _places(document: dict[str, Any]) -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[int]]:
    """Return the centres of squares, latitude and longitude (n, 2), and how many photos lie in each."""
    references = [f"{row['square'][:-1]}5{row['square'][-1]}5" for row in document["squares"]]
    centres = wgs84_centres(references, grids=("GB", "IE"), square_km=True) if references else np.empty((0, 2))
    degrees = np.array([(row["latitude"], row["longitude"]) for row in document["degrees"]]).reshape(-1, 2)
    counts = [row["photos"] for row in (*document["squares"], *document["degrees"])]
    places = np.concatenate([centres, degrees])
    known = np.isfinite(places).all(axis=1)
    return places[known], [count for count, is_known in zip(counts, known.tolist(), strict=True) if is_known]


def description_text(document: Mapping[str, Any]) -> str:
    """Return the numbers in words."""
    photos, tagged = document["photos"], document["tagged"]
    lengths = [(row["characters"], row["photos"]) for row in document["title_lengths"]]
    titled = sum(count for _, count in lengths)
    given = sum(row["tags"] * row["photos"] for row in document["tags_per_photo"])
    lines = [
        f"{photos:,} photos by {document['contributors']:,} contributors, ids {document['first_id']} to "
        f"{document['last_id']}" if photos else "no photos",
        f"tagged with some of the 49 tags: {tagged:,} ({_share(tagged, photos)}); with six or more: "
        f"{document['with_six_or_more_tags']:,}",
        f"tags per tagged photo: {given / tagged:.2f}" if tagged else "no photo carries one of the 49 tags",
        f"titles: {titled:,}, {sum(length * count for length, count in lengths) / titled:.1f} characters on average "
        f"(100 counted at most); without: {document['without_title']:,}" if titled else "no photo has a title",
        f"in {len(document['squares']):,} hectads; located by degrees alone: {document['with_degrees_only']:,}; "
        f"without location: {document['without_location']:,}",
    ]  # fmt: skip
    if document["photos_per_tag"]:
        lines += ["", f"{'tag':40} photos"]
        lines += [f"{row['tag']:40} {row['photos']:,}" for row in document["photos_per_tag"]]
        missing = sorted(set(tag_names()) - {row["tag"] for row in document["photos_per_tag"]})
        if missing:
            lines.append(f"no photo has: {', '.join(missing)}")
    if document["title_words"]:
        words = ", ".join(f"{row['word']} {row['photos']:,}" for row in document["title_words"][:20])
        lines += ["", f"words in most titles: {words}"]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
