"""`python -m benchmarks.scale`: what 8 million, 100 million and a billion photos take, the tables of docs/scale.md.

With --measure it first measures what docs/scale.json keeps: the bytes of real files, and seconds and memory of
planning, `status` and views over workspaces of several sizes (--photos; 20 million take 6 GB of disk below TMPDIR).
Rates are those of docs/performance.json. Everything else is computed here, and the tables say from what.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.backfill import job_in_a_process
from benchmarks.large import make_large
from geotag_batch.committed import parse_name
from geotag_batch.config import load_config
from geotag_batch.run.compact import CompactRequest, compact
from geotag_batch.workspace import Workspace
from geotag_batch.write.dataset import write_row_groups
from geotag_batch.write.views import rebuild_views
from tests.faults.report import markdown_table, write_section

_DOCS = Path(__file__).parent.parent / "docs"
_SIZES = (8_000_000, 100_000_000, 1_000_000_000)
_CHUNK, _MERGED = 4096, 500_000
_TEMPLATE = 409_600
_ASKED = {
    "plan": ("plan",),
    "status": ("status",),
    "tag_counts": ("query", "FROM tag_counts"),
    "coverage": ("query", "FROM coverage"),
    "predictions, first 100 rows": ("query", "SELECT * FROM predictions LIMIT 100"),
    "photo(1)": ("query", "FROM photo(1)"),
}
Row = dict[str, Any]


def main() -> None:
    """Measure, if asked to, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--photos", type=int, nargs="*", default=[2_000_000, 8_000_000, 20_000_000])
    arguments = parser.parse_args()
    kept = _DOCS / "scale.json"
    if arguments.measure:
        with tempfile.TemporaryDirectory() as name:
            found: Row = {"bytes": _bytes(Path(name) / "bytes")}
            found["growth"] = []
            for row in _growth(Path(name) / "growth", arguments.photos):
                found["growth"].append(row)
                kept.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    measured = json.loads(kept.read_text(encoding="utf-8"))
    performance = json.loads((_DOCS / "performance.json").read_text(encoding="utf-8"))
    rates = _rates(performance)
    page = _DOCS / "scale.md"
    write_section("rates", _rates_table(rates), page)
    write_section("bytes", _bytes_table(measured["bytes"]), page)
    write_section("time", _time_table(rates), page)
    write_section("disk", _disk_table(measured["bytes"]), page)
    write_section("requests", _requests_table(), page)
    write_section("growth", _growth_table(measured["growth"], performance), page)


def _bytes(folder: Path, photos: int = 40_960) -> Row:
    """Return bytes a row of each kind of file, as chunks commit them and merged."""
    workspace = make_large(folder, photos, random_vectors=True)
    small = {dataset: _bytes_a_row(workspace, dataset) for dataset in ("embeddings", "predictions")}
    sums = sum(path.stat().st_size for path in workspace.sums.glob("*")) / photos
    catalogue = sum(path.stat().st_size for path in (folder / "photos").glob("*")) / photos
    _merge(workspace)
    merged = {dataset: _bytes_a_row(workspace, dataset) for dataset in small}
    return {"photos": photos, "small": small, "merged": merged, "sums": sums, "catalogue": catalogue}


def _bytes_a_row(workspace: Workspace, dataset: str) -> float:
    files = list(workspace.dataset_files(dataset))
    rows = sum(int(pq.read_metadata(path).num_rows) for path in files)
    return sum(path.stat().st_size for path in files) / rows


def _merge(workspace: Workspace) -> None:
    config = load_config(workspace)
    for _ in range(2):  # merge, then remove: nobody is reading
        compact(workspace, config, CompactRequest(margin=-1, grace=-60))


def _growth(folder: Path, sizes: Sequence[int]) -> Iterable[Row]:
    """Yield seconds and peak MiB of each command over workspaces of so many photos, in merged files."""
    template = make_large(folder / "template", _TEMPLATE)
    _merge(template)
    copies = 1
    for photos in sizes:
        wanted = -(-photos // _TEMPLATE)
        for copy in range(copies, wanted):
            _add_copy(template, copy)
        copies = max(copies, wanted)
        rebuild_views(template, load_config(template))
        row: Row = {"photos": copies * _TEMPLATE}
        for name, command in _ASKED.items():
            run = job_in_a_process(template, *command)
            row[name] = [run["seconds"], run["peak_mib"]]
        print(row, flush=True)
        yield row


def _add_copy(workspace: Workspace, copy: int) -> None:
    """Add the first photos and their results again under other ids, without vectors, which no statement reads."""
    files = [*sorted((workspace.root / "photos").glob("photos-*.parquet"))]
    files += [path for dataset in ("embeddings", "predictions") for path in list(workspace.dataset_files(dataset))[:1]]
    for path in files:
        file = pq.ParquetFile(path)
        named = parse_name(path.name)
        name = f"{named.run_id}-{1000 + copy:06d}.parquet" if named else f"copy-{copy:04d}-{path.name}"
        write_row_groups(_shifted(file, copy), file.schema_arrow, path.with_name(name))


def _shifted(file: pq.ParquetFile, copy: int) -> Iterable[pa.Table]:
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        ids = pa.array(table["gridimage_id"].to_numpy() + copy * _TEMPLATE)
        for name in table.column_names:
            if name.endswith("_embedding"):
                table = _with(table, name, pa.nulls(len(ids), table.schema.field(name).type))
        yield _with(table, "gridimage_id", ids)


def _with(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)


def _rates(performance: Row) -> Row:
    """Return photos a second of a core (CPU), from what two cores did on photos of 640x480."""
    ways, cores = performance["ways"]["640x480"], performance["machine"]["logical CPUs"]
    rates = {name: _median(ways[f"geotag backfill, {name}"]) / cores for name in ("float32", "bfloat16", "int8")}
    return {
        **rates,
        "decoding": _median(ways["decoding alone, 2 processes"]) / 2,
        "scoring": performance["rescoring"]["photos_per_s"] / cores,
        "flops": performance["image_flops"],
    }


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _rates_table(rates: Row) -> str:
    gpu = 50e12 / rates["flops"]
    formats = ("float32", "bfloat16", "int8")
    flops = f"{rates['flops'] / 1e9:.2f} GFLOP an image"
    rows = [
        *((f"a core, {name}", f"{rates[name]:.0f}", "measured on two, halved") for name in formats),
        ("a core, decoding 640x480 alone", f"{rates['decoding']:.0f}", "measured on two, halved"),
        ("a core, scoring stored embeddings", f"{rates['scoring']:,.0f}", "measured on two, halved"),
        ("a GPU that sustains 50 TFLOP/s", f"{gpu:,.0f}", f"computed: {flops}; not measured"),
        ("cores that decode for that GPU", f"{gpu / rates['decoding']:.0f}", "computed from the two above"),
    ]  # fmt: skip
    return markdown_table(("what", "photos/s", "origin"), rows)


def _bytes_table(found: Row) -> str:
    names = {"embeddings": "embeddings, image and title", "predictions": "predictions, one head"}
    rows = [
        (names[dataset], f"{found['small'][dataset]:,.0f}", f"{found['merged'][dataset]:,.0f}") for dataset in names
    ]
    rows.append(("sums", f"{found['sums']:.1f}", "0.0"))
    rows.append(("catalogue, titles of 28 characters", f"{found['catalogue']:.0f}", f"{found['catalogue']:.0f}"))
    note = f"Measured on {found['photos']:,} photos with random vectors, which do not compress."
    return markdown_table(("file", "bytes a photo, in chunks", "merged"), rows) + f"\n\n{note}"


def _time_table(rates: Row) -> str:
    header = ("step", *(f"{size / 1e6:,.0f} million" for size in _SIZES))
    rows = [
        (f"encoding, {name}, core-days", *(_days(size / rates[name]) for size in _SIZES))
        for name in ("float32", "bfloat16", "int8")
    ]
    rows.append(("decoding alone, core-days", *(_days(size / rates["decoding"]) for size in _SIZES)))
    gpu = 50e12 / rates["flops"]
    rows.append(("encoding, GPU of 50 TFLOP/s, GPU-days (not measured)", *(_days(size / gpu) for size in _SIZES)))
    rows.append(("another head, core-hours", *(f"{size / rates['scoring'] / 3600:,.1f}" for size in _SIZES)))
    rows.append(
        ("cores for 30 days, bfloat16", *(f"{math.ceil(size / rates['bfloat16'] / 86400 / 30):,}" for size in _SIZES))
    )
    return markdown_table(header, rows) + "\n\nComputed: photos divided by the rates above."


def _days(seconds: float) -> str:
    return f"{seconds / 86400:,.1f}" if seconds < 8_640_000 else f"{seconds / 86400:,.0f}"


def _disk_table(found: Row) -> str:
    merged = found["merged"]
    rows = [
        ("embeddings", *(_size(size * merged["embeddings"]) for size in _SIZES)),
        ("predictions of a head", *(_size(size * merged["predictions"]) for size in _SIZES)),
        ("catalogue", *(_size(size * found["catalogue"]) for size in _SIZES)),
        ("small files of each, 4,096 photos a chunk", *(f"{size // _CHUNK:,}" for size in _SIZES)),
        ("merged files of each", *(f"{-(-size // _MERGED):,}" for size in _SIZES)),
    ]
    header = ("what", *(f"{size / 1e6:,.0f} million" for size in _SIZES))
    return (
        markdown_table(header, rows) + "\n\nComputed: photos times the bytes above; while a merge waits, twice as much."
    )


def _size(size: float) -> str:
    return f"{size / 1e9:,.{int(size < 1e10)}f} GB" if size < 1e12 else f"{size / 1e12:,.1f} TB"


def _requests_table() -> str:
    """Count requests from what the code does; docs/scale.md says which."""
    rows = [
        ("GET of images", *(f"{size:,}" for size in _SIZES)),
        ("PUT of chunks: three datasets, sums, run record", *(f"{5 * size // _CHUNK:,}" for size in _SIZES)),
        ("LIST for one reading of a dataset, small files", *(f"{-(-size // _CHUNK // 1000):,}" for size in _SIZES)),
        ("LIST, if they were merged", *(f"{-(-size // _MERGED // 1000):,}" for size in _SIZES)),
        ("GET of footers, small files", *(f"{size // _CHUNK:,}" for size in _SIZES)),
        ("GET of footers, if they were merged", *(f"{-(-size // _MERGED):,}" for size in _SIZES)),
    ]
    header = ("requests", *(f"{size / 1e6:,.0f} million" for size in _SIZES))
    return markdown_table(header, rows) + "\n\nComputed: 4,096 photos a chunk, 1,000 keys a LIST."


def _growth_table(growth: Sequence[Row], performance: Row) -> str:
    """Return what was measured here, beside what `make bench` measured over its large archive, in small files."""
    large = {row["what"]: [row["seconds"], row["peak_mib"]] for row in performance["large"]}
    benched: Row = {"photos": performance["large_photos"]}
    benched.update({name: large.get(_BENCHED.get(name, f"{name}, whole"), large.get(name)) for name in _ASKED})
    sizes = sorted([*growth, benched], key=lambda row: int(row["photos"]))
    header = ("command", *(f"{row['photos'] / 1e6:,.1f} million" for row in sizes), "100 million, computed")
    rows = []
    for name in _ASKED:
        seen = [row[name] for row in sizes]
        slope = (benched[name][0] - _START) / benched["photos"]
        seconds = _START + slope * 100_000_000
        rows.append((name, *(f"{each[0]:.1f} s, {each[1] / 1024:.2f} GiB" for each in seen), f"{seconds:.0f} s"))
    note = (
        "Measured, whole commands: 8 million by `make bench`, in small files; other sizes once each, in merged ones, "
        "on a busy machine. The last column goes on in a straight line from no photos to 8 million."
    )
    return markdown_table(header, rows) + f"\n\n{note}"


_BENCHED = {"plan": "backfill with nothing to do"}
_START = 0.3  # seconds that a command takes to start


if __name__ == "__main__":
    main()
