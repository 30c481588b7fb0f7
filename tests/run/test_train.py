"""Training from a workspace, with the fake encoder, and what production then makes of the head."""

import csv
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from geotag_batch.errors import InputError, LockedError
from geotag_batch.predict.head import HeadInfo, load_head
from geotag_batch.run.backfill import Job, run_embed
from geotag_batch.run.heads import use_head
from geotag_batch.run.lock import hold_training_lock
from geotag_batch.run.plan import Selection
from geotag_batch.run.train import Lesson, TrainReport, read_photos, train_head
from geotag_batch.train.recipe import Recipe
from tests.run.conftest import Archive


def _ids_in(path: Path) -> list[int]:
    ids: list[int] = pq.read_table(path, columns=["gridimage_id"]).column(0).to_pylist()
    return ids


def _head(report: TrainReport) -> HeadInfo:
    assert report.head is not None
    return report.head


_TAGS = ("Coastal", "Uplands", "Railways")


@pytest.fixture
def learning(archive: Callable[[int], Archive]) -> Archive:
    """Return an archive of 90 photos, the first 60 tagged, whose titles tell the tag; the tagged are embedded."""
    made = archive(90)
    for photo in made.photos:
        tag = _TAGS[photo["gridimage_id"] % 3]
        photo["title"] = f"{tag} {photo['gridimage_id'] % 5}"
        photo["tags"] = [tag] if photo["gridimage_id"] <= 60 else []
    made.photos[0]["tags"].append("top hat")
    made.write()
    run_embed(made.workspace, made.config, Job("embed", Selection(select="tagged")))
    return made


def test_a_trained_head_tags_photos_that_it_did_not_see(learning: Archive) -> None:
    report = train_head(learning.workspace, learning.config, Lesson())
    assert len(report.photos.examples.training) + len(report.photos.examples.validation) == 60
    assert report.head is not None
    assert report.head.name == "linear-img-txt-loc"
    assert report.head.encoder_declared == "trained"
    use_head(learning.workspace, report.head.head_id)
    assert learning.backfill().predicted == 30
    right = [
        tags == [_TAGS[number % 3]] for number, tags in learning.rows("SELECT gridimage_id, tags FROM predictions")
    ]
    assert len(right) == 30
    assert np.mean(right) > 0.8


def test_production_scores_are_those_of_the_features_that_were_trained_on(learning: Archive) -> None:
    head = _head(train_head(learning.workspace, learning.config, Lesson()))
    use_head(learning.workspace, head.head_id)
    learning.backfill(select="tagged")
    _, photos = read_photos(learning.workspace, learning.config, Lesson(), head.modalities)
    rows = np.arange(len(photos.examples.ids))
    scores = load_head(learning.workspace, head.head_id).scores(photos.examples.features(rows, head.modalities))
    assert np.array_equal(learning.scores(head.head_id), scores)


def test_the_same_lesson_gives_the_same_head_and_says_what_it_learned_from(learning: Archive) -> None:
    lesson = Lesson(Recipe.published("linear", modalities=("title",), epochs=8, seed=2), "words")
    first, again = (_head(train_head(learning.workspace, learning.config, lesson)) for _ in range(2))
    assert first.head_id == again.head_id
    assert first.head_id.startswith("words-")
    assert first.modalities == ("title",)
    assert first.location is None
    assert first.provenance["recipe"]["seed"] == 2
    assert set(first.metrics) == {"validation_subset_accuracy", "validation_macro_f1", "validation_micro_f1"}
    other = replace(lesson, recipe=replace(lesson.recipe, seed=3))
    assert _head(train_head(learning.workspace, learning.config, other)).head_id != first.head_id


def test_an_mlp_with_mixup_is_trained_too_and_named_as_the_paper_names_it(learning: Archive) -> None:
    lesson = Lesson(Recipe.published("mlp", modalities=("image", "title"), mixup=True, epochs=12))
    head = _head(train_head(learning.workspace, learning.config, lesson))
    assert head.head_id.startswith("mlp-img-txt-mixup-")
    assert head.type == "mlp"
    use_head(learning.workspace, head.head_id)
    assert learning.backfill().predicted == 30


def test_a_model_card_and_curves_lie_beside_the_head(learning: Archive) -> None:
    report = train_head(learning.workspace, learning.config, Lesson(Recipe.published(epochs=5)))
    folder = learning.workspace.head_dir(_head(report).head_id)
    card = (folder / "README.md").read_text()
    assert card.startswith(f"# {_head(report).head_id}\n")
    for fact in (report.photos.sha256, "seed 0", _head(report).encoder_id):
        assert fact in card, fact
    with (folder / "curves.csv").open() as lines:
        epochs = list(csv.DictReader(lines))
    assert [int(epoch["epoch"]) for epoch in epochs] == [1, 2, 3, 4, 5]
    best = _head(report).provenance["best_epoch"]
    assert float(epochs[best - 1]["subset_accuracy"]) == max(float(epoch["subset_accuracy"]) for epoch in epochs)
    with Image.open(folder / "curves.png") as picture:
        assert picture.width > picture.height > 200


def _train(folder: Path, *flags: str, lines: int = 10**6, sent: int = signal.SIGKILL) -> tuple[int, str, str]:
    """Run `geotag train` as a process, send it a signal after so many lines of progress; return code and outputs."""
    command = [sys.executable, "-m", "geotag_batch.jobs", "train", "-C", str(folder), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if len(said) == lines:
                process.send_signal(sent)
        out = process.stdout.read()
    return process.returncode, out, "".join(said)


def test_a_killed_training_goes_on_to_the_head_that_it_would_have_become(learning: Archive, tmp_path: Path) -> None:
    root, twin = learning.workspace.root, tmp_path / "twin"
    shutil.copytree(root, twin)
    flags = ("--head", "mlp", "--modalities", "title", "--epochs", "40", "--patience", "40")
    whole = _train(twin, *flags)
    assert _train(root, *flags, lines=15)[0] == -signal.SIGKILL
    assert not list((root / "heads").glob("mlp-*"))
    code, out, said = _train(root, *flags)
    assert (code, out) == whole[:2]
    assert "not learned, for they are none of the 49 tags: 'top hat' (1)" in out
    assert "no photo to learn from, so never to be given: " in out
    assert "going on after epoch" in said
    assert "epoch  14 " not in said
    (head,), (expected,) = (list(folder.glob("heads/mlp-*/head.safetensors")) for folder in (root, twin))
    assert head.read_bytes() == expected.read_bytes()


def test_a_signal_stops_a_training_and_says_how_to_go_on(learning: Archive) -> None:
    root = learning.workspace.root
    code, out, _ = _train(root, "--epochs", "5000", "--patience", "5000", lines=1, sent=signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert "start the same command again to go on" in out
    assert not list(learning.workspace.heads.glob("linear-*"))
    code, _, said = _train(root, "--epochs", "7")
    assert code == 4
    assert "recipe.epochs was 5000, is 7" in said
    assert "--restart" in said
    assert _train(root, "--epochs", "7", "--restart")[0] == 0


def test_a_name_from_outside_is_no_path(learning: Archive) -> None:
    head = _head(train_head(learning.workspace, learning.config, Lesson(Recipe.published(epochs=2), "../../a b/c")))
    assert head.head_id.startswith("a-b-c-")
    assert learning.workspace.head_dir(head.head_id).is_dir()
    assert [path.name for path in (learning.workspace.cache / "training").iterdir() if path.is_file()] == ["a-b-c.lock"]


def test_two_trainings_of_one_name_do_not_meet(learning: Archive) -> None:
    with hold_training_lock(learning.workspace, "linear-img-txt-loc"):
        with pytest.raises(LockedError, match="another command is training linear-img-txt-loc"):
            train_head(learning.workspace, learning.config, Lesson())
        train_head(learning.workspace, learning.config, Lesson(Recipe.published(epochs=2), "another"))


def test_vectors_that_are_not_finite_are_an_error_that_names_a_photo(learning: Archive) -> None:
    path = next(path for path in learning.workspace.dataset_files("embeddings") if 1 in _ids_in(path))
    table = pq.read_table(path)
    column = table.column("image_embedding").combine_chunks()
    values = column.flatten().to_numpy().copy()
    values[_ids_in(path).index(1) * column.type.list_size] = np.nan
    broken = pa.FixedSizeListArray.from_arrays(pa.array(values), column.type.list_size)
    place = table.schema.get_field_index("image_embedding")
    pq.write_table(table.set_column(place, table.schema.field(place), broken), path)
    with pytest.raises(InputError, match="1 photos have image values that are not finite, the first one 1"):
        train_head(learning.workspace, learning.config, Lesson())


def test_training_without_embeddings_is_an_error_that_says_what_to_do(archive: Callable[[int], Archive]) -> None:
    made = archive(3)
    with pytest.raises(InputError, match="nothing is embedded"):
        train_head(made.workspace, made.config, Lesson())
