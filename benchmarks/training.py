"""Training at the paper's scale on this machine: `make bench-train`.

The label rows are the competition's own, 609,822 photos of train.csv.zip (GEOTAG_SHARED, by default ../shared); where
that file is missing, labels are drawn at random, 1.9 a photo. Embeddings are made up, so that labels are partly
predictable: each tag has a fixed random direction for images and one for titles; an embedding is the sum of the
directions of the photo's tags, a quarter of them left out and a tenth of the photos given another photo's, plus
Gaussian noise, scaled to the size of CLIP's and rounded to float16. Locations are uniform.

Measured in one run, all in one process: an epoch the notebooks' way, an epoch of ours, an epoch of the whole grid; and
in a process of its own, whose peak memory is stated, `geotag train` from a workspace with those embeddings in Parquet.
"""

import argparse
import csv
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from geotag_batch.encode.speed import fastest_precision
from geotag_batch.predict.policy import PLAIN
from geotag_batch.run.init import init_workspace
from geotag_batch.taxonomy import tag_names
from geotag_batch.train.dataset import in_validation
from geotag_batch.train.examples import Examples
from geotag_batch.train.grid import paper_grid
from geotag_batch.train.learner import Learner
from geotag_batch.train.recipe import HIDDEN, Recipe
from geotag_batch.train.trainer import Watch, train
from geotag_batch.workspace import Workspace

__all__ = ["measure"]

_DIM, _MAX_TAGS, _ENCODER = 512, 5, "made-up-00000000"
_RUN = "20260101T000000Z-abcd"
_BATCH = 4096


def read_labels(limit: int | None) -> tuple[NDArray[np.int64], NDArray[np.bool_], str]:
    """Return ids (n,), labels (n, 49) of the competition's photos, or made-up ones, and what they are."""
    path = Path(os.environ.get("GEOTAG_SHARED", "../shared")) / "geograph" / "train.csv.zip"
    if not path.exists():
        chance = np.random.default_rng(0)
        labels = chance.random((limit or 609_822, len(tag_names()))) < 1.9 / len(tag_names())
        labels[~labels.any(axis=1), 0] = True
        return np.arange(1, len(labels) + 1), labels, "made-up labels"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        rows = csv.reader(io.TextIOWrapper(file))
        next(rows)
        data = np.array([row for _, row in zip(range(limit or 10**9), rows, strict=False)], np.int64)
    return data[:, 0], data[:, 1:].astype(np.bool_), "the competition's labels"


def make_examples(ids: NDArray[np.int64], labels: NDArray[np.bool_]) -> Examples:
    """Return the photos with made-up embeddings (see above); those with six or more tags are in neither part."""
    chance = np.random.default_rng(1)
    few = labels.sum(axis=1) <= _MAX_TAGS
    held_out = in_validation(ids, 0)
    parts = {name: _embeddings(labels, chance) for name in ("image", "title")}
    return Examples(
        ids=ids,
        labels=labels,
        parts={**parts, "location": chance.random((len(ids), 2), np.float32)},
        training=np.flatnonzero(few & ~held_out),
        validation=np.flatnonzero(few & held_out),
    )


def _embeddings(labels: NDArray[np.bool_], chance: np.random.Generator) -> NDArray[np.float16]:
    directions = chance.standard_normal((labels.shape[1], _DIM), np.float32)
    vectors = np.empty((len(labels), _DIM), np.float16)
    for start in range(0, len(labels), 16_384):
        rows = np.arange(start, min(start + 16_384, len(labels)))
        other = np.where(chance.random(len(rows)) < 0.1, chance.integers(0, len(labels), len(rows)), rows)
        seen = labels[other] & (chance.random((len(rows), labels.shape[1])) < 0.75)
        noise = chance.standard_normal((len(rows), _DIM), np.float32)
        vectors[rows] = 0.3 * (seen.astype(np.float32) @ directions + 2 * noise)
    return vectors


class NotebookPhotos(torch.utils.data.Dataset[Any]):
    """Tensors of embeddings and labels, one photo at a time, as the notebooks have them."""

    def __init__(self, examples: Examples) -> None:
        """Make float32 tensors of the training part."""
        rows = examples.training
        self.ids = examples.ids[rows].tolist()
        self.image, self.title = (torch.from_numpy(examples.parts[name][rows]).float() for name in ("image", "title"))
        self.labels = torch.from_numpy(examples.labels[rows]).float()

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.ids)

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401
        """Return id, both embeddings and labels of one photo."""
        return self.ids[index], self.image[index], self.title[index], self.labels[index]


def notebook_epoch(examples: Examples, head: str) -> Callable[[], None]:
    """Return a function that trains for an epoch as the notebooks do, float32 and without validation.

    A DataLoader whose collation looks each photo's location up in dictionaries and stacks sample by sample.
    """
    data = NotebookPhotos(examples)
    where = examples.parts["location"][examples.training].tolist()
    latitude = {each: place[0] for each, place in zip(data.ids, where, strict=True)}
    longitude = {each: place[1] for each, place in zip(data.ids, where, strict=True)}

    def collate(samples: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        features = [
            torch.cat([image, title, torch.tensor([latitude[each], longitude[each]])])
            for each, image, title, _ in samples
        ]
        return torch.stack(features), torch.stack([labels for *_, labels in samples])

    width, tags = 2 * _DIM + 2, data.labels.shape[1]
    model: torch.nn.Module = torch.nn.Linear(width, tags)
    if head == "mlp":
        layers = torch.nn.Linear(width, HIDDEN), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(HIDDEN, tags)
        model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()
    loader = torch.utils.data.DataLoader(data, batch_size=_BATCH, shuffle=True, collate_fn=collate)

    def epoch() -> None:
        for features, labels in loader:
            optimizer.zero_grad()
            loss_of(model(features), labels).backward()
            optimizer.step()

    return epoch


def our_epoch(examples: Examples, *recipes: Recipe) -> Callable[[], None]:
    """Return a function that trains all recipes for one more epoch together; validation only as `examples` has it."""
    learners = [Learner(recipe, examples.widths(recipe.modalities), examples.labels.shape[1]) for recipe in recipes]

    def epoch() -> None:
        done = len(learners[0].history)
        train(learners, examples, PLAIN, Watch(stopping=lambda: len(learners[0].history) > done))

    return epoch


def _seconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def measure(photos: int | None = None, repeats: int = 3, grid: bool = True) -> list[dict[str, Any]]:
    """Return one row for each measurement: what, seconds (median), and the ratio to the notebooks' way.

    Ours and the notebooks' epochs take turns, so that a busy moment of the machine hits both; ours judge a single
    validation photo here, for the notebooks' epoch judges none. The grid's epoch judges all.
    """
    ids, labels, what = read_labels(photos)
    examples = make_examples(ids, labels)
    bare = Examples(examples.ids, examples.labels, examples.parts, examples.training, examples.validation[:1])
    about = f"{what}, {len(examples.training):,} photos to train on, {len(examples.validation):,} to validate"
    rows: list[dict[str, Any]] = []
    gradients, endless = fastest_precision(), {"patience": 10**6, "epochs": 10**6}
    for head in ("linear", "mlp"):
        theirs = notebook_epoch(bare, head)
        ours = our_epoch(bare, Recipe.published(head, gradients=gradients, **endless))
        ours()
        times = [(_seconds(theirs), _seconds(ours)) for _ in range(repeats)]
        usual, own = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(one / other for one, other in times)
        rows.append({"what": f"{head} epoch, the notebooks' way", "seconds": usual, "about": about})
        rows.append(
            {"what": f"{head} epoch, gradients in {gradients}", "seconds": own, "times_faster": ratio, "about": about}
        )
    if grid:
        rows.append({"what": "epoch of all 28 heads, with validation", "about": about,
                     "seconds": _seconds(our_epoch(examples, *paper_grid(gradients=gradients)))})  # fmt: skip
    return rows


def make_workspace(folder: Path, examples: Examples) -> Workspace:
    """Return a workspace whose catalogue and embeddings are these photos, in files of 32,768."""
    init_workspace(folder)
    workspace = Workspace.find(folder)
    names = np.array(tag_names())
    tags = pa.array([names[row].tolist() for row in examples.labels], pa.list_(pa.string()))
    ids = pa.array(examples.ids)
    location = examples.parts["location"].astype(np.float64)
    (folder / "photos").mkdir(exist_ok=True)
    columns = {"gridimage_id": ids, "tags": tags, "wgs84_lat": location[:, 0] * 12 + 49.9,
               "wgs84_long": location[:, 1] * 10.7 - 8.6}  # fmt: skip
    pq.write_table(pa.table(columns), folder / "photos" / "photos.parquet")
    for chunk, start in enumerate(range(0, len(ids), 32_768), 1):
        _commit(workspace, chunk, slice(start, start + 32_768), examples)
    return workspace


def _commit(workspace: Workspace, chunk: int, rows: slice, examples: Examples) -> None:
    from geotag_batch.schema import load_schema  # noqa: PLC0415
    from geotag_batch.write.dataset import ChunkName, ChunkTables, commit_chunk  # noqa: PLC0415

    n = len(examples.ids[rows])
    vectors = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(examples.parts[name][rows].reshape(-1)), _DIM)
        for name in ("image", "title")
    }
    schema = load_schema("embeddings").arrow(_DIM)
    table = pa.table(
        {
            "gridimage_id": pa.array(examples.ids[rows]),
            "image_embedding": vectors["image"],
            "title_embedding": vectors["title"],
            "title_hash": pa.array(["d41d8cd98f00b204e9800998ecf8427e"] * n),  # of the empty title
            "image_signature": pa.array(["made up"] * n),
            "precision": pa.array(["float32"] * n),
            "run_id": pa.array([_RUN] * n),
        }
    ).cast(schema)
    nothing = [load_schema(name).arrow() for name in ("failures", "predictions")]
    tables = ChunkTables(table, nothing[0].empty_table(), nothing[1].empty_table(), _DIM)
    commit_chunk(workspace, ChunkName(_RUN, chunk, _ENCODER, None, None, "0" * 64), tables)


def measure_workspace(photos: int | None, epochs: int) -> list[dict[str, Any]]:
    """Return seconds and peak memory of `geotag train --head mlp --mixup` as a process, from Parquet to a head."""
    ids, labels, _ = read_labels(photos)
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder) / "archive", make_examples(ids, labels))
        rows = []
        for head in ("linear", "mlp"):
            command = [sys.executable, "-m", "geotag_batch.jobs", "train", "-C", str(workspace.root), "--head", head,
                       "--mixup", "--epochs", str(epochs)]  # fmt: skip
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = _seconds(partial(subprocess.run, command, check=True, capture_output=True))
            peak = max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before.ru_maxrss)
            rows.append({"what": f"geotag train --head {head} --mixup, {epochs} epochs, from Parquet to the head",
                         "seconds": seconds, "peak_gib": peak / 2**20})  # fmt: skip
    return rows


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, help="only so many of the label rows")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3, help="of the trainings from a workspace")
    arguments = parser.parse_args()
    rows = measure_workspace(arguments.photos, arguments.epochs)
    rows += measure(arguments.photos, arguments.repeats)
    for row in rows:
        faster = f"  {row['times_faster']:.1f} times faster" if "times_faster" in row else ""
        memory = f"  at most {row['peak_gib']:.2f} GiB" if "peak_gib" in row else ""
        print(f"{row['what']:75} {row['seconds']:7.2f} s{faster}{memory}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
