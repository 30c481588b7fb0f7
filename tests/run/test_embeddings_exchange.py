"""Embeddings out and in again: the same rows, no encoder, nothing lost or doubled, and what is refused is named."""

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from geotag_batch.config import load_config, set_key
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.errors import EncoderError, InputError, UsageError
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.export_embeddings import export_embeddings
from geotag_batch.run.heads import HeadStatements, import_head
from geotag_batch.run.import_embeddings import ImportedVectors, import_embeddings
from geotag_batch.run.plan import Selection, make_plan
from geotag_batch.run.report import command_that_goes_on
from geotag_batch.run.verify import verify
from geotag_batch.workspace import Workspace
from tests.builders import title_hash, write_catalogue
from tests.heads import make_head
from tests.run.conftest import Archive, rows_of

COLUMNS = "gridimage_id, image_embedding, title_embedding, title_hash, image_signature, precision"


def embeddings(workspace: Workspace, columns: str = COLUMNS) -> list[tuple[Any, ...]]:
    """Return the newest row of each photo, read by DuckDB itself."""
    with duckdb.connect() as connection:
        return connection.execute(
            f"SELECT {columns} FROM read_parquet('{workspace.embeddings}/*/*.parquet') "
            "QUALIFY run_id = max(run_id) OVER (PARTITION BY gridimage_id) ORDER BY gridimage_id"
        ).fetchall()


def vector(seed: int, dim: int = 512) -> Any:  # noqa: ANN401
    return np.random.default_rng(seed).standard_normal(dim).astype("<f4")


def line(photo: int, kind: str = "image", values: Any = None, **more: Any) -> str:  # noqa: ANN401
    """Return a line as an archive that knows nothing of this project would write it."""
    data = (vector(photo + 1000 * (kind == "title")) if values is None else np.asarray(values, "<f4")).tobytes()
    return json.dumps({"gridimage_id": photo, "type": kind, "embedding": base64.b64encode(data).decode()} | more)


def write(workspace: Workspace, *lines: str, name: str = "vectors.jsonl") -> Path:
    path = workspace.root / name
    path.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return path


def take(workspace: Workspace, *lines: str, encoder: str | None = "openai", **more: Any) -> ImportedVectors:  # noqa: ANN401
    return import_embeddings(workspace, load_config(workspace, {}), [write(workspace, *lines)], encoder, **more)


def rejected(done: ImportedVectors) -> list[tuple[int, str]]:
    assert done.rejected_file is not None
    rows = [row.split("\t") for row in done.rejected_file.read_text(encoding="utf-8").splitlines()[1:]]
    return [(int(number), reason) for _, number, reason, _ in rows]


def clean(workspace: Workspace) -> bool:
    report = verify(workspace)
    return not report.problems and not report.notes


@pytest.fixture
def photos(workspace: Workspace) -> Workspace:
    """Return a workspace of photos 1 to 12 in chunks of five, nothing stored."""
    write_catalogue(workspace, [{"gridimage_id": number, "title": f"Title {number}"} for number in range(1, 13)])
    set_key(workspace, "run.chunk_size", 5)
    return workspace


def test_a_real_photos_vectors_imported_give_the_published_heads_tags_without_any_encoder(
    workspace: Workspace, shared: Path
) -> None:
    name = "mlp-img-txt-mixup"  # the one that the site runs; tests/run/test_published.py has the others
    path = shared / "golden" / "real-photo-7706259.json"
    write_catalogue(workspace, [{"gridimage_id": 7706259, "title": "as embedded"}])
    config = load_config(workspace, {})
    head = import_head(workspace, config, shared / "heads" / f"{name}.pth", HeadStatements())
    config = config.with_flags({"head.current": head.head_id})
    assert import_embeddings(workspace, config, [path], "head").taken == 2
    record = run_backfill(workspace, config, Job("backfill", Selection()))
    assert (record.predicted, record.images_encoded, record.titles_encoded, record.embedded) == (1, 0, 0, 0)
    expected = json.loads(path.read_text())["expected"][name]
    ((tags, scores),) = rows_of(workspace, "SELECT tags, scores FROM predictions_all")
    assert tags == expected["tags"]
    names = [row[0] for row in rows_of(workspace, "SELECT tag FROM tags ORDER BY position")]
    assert max(abs(score - expected["scores"][tag]) for tag, score in zip(names, scores, strict=True)) < 1e-3
    assert clean(workspace)


def twin(made: Archive, folder: Path) -> Workspace:
    """Return a workspace with the same photos, configuration and head, and nothing stored."""
    folder.mkdir()
    (folder / "geotag.toml").write_text(made.workspace.config_file.read_text())
    write_catalogue(Workspace(folder), made.photos)
    make_head(Workspace(folder), FakeEncoder.encoder_id, seed=1)
    return Workspace(folder)


@pytest.fixture
def exported(archive: Callable[[int], Archive], tmp_path: Path) -> tuple[Archive, Path]:
    """Return an archive of 11 photos that can be embedded and one that cannot, and its exported embeddings."""
    made = archive(12)
    made.image(3).unlink()
    made.backfill()
    out = tmp_path / "exported.jsonl.gz"
    done = export_embeddings(made.workspace, made.config, str(out))
    assert (done.photos, done.images, done.titles, done.encoder_id) == (11, 11, 11, FakeEncoder.encoder_id)
    return made, out


def test_what_is_exported_and_imported_again_is_the_same_and_is_never_computed_again(
    exported: tuple[Archive, Path], tmp_path: Path
) -> None:
    made, first = exported
    for form, encoder in (("jsonl.gz", None), ("parquet", "head")):
        out, second = tmp_path / f"one.{form}", tmp_path / f"two.{form}"
        export_embeddings(made.workspace, made.config, str(out))
        other = twin(made, tmp_path / form)
        config = load_config(other, {})
        imported = import_embeddings(other, config, [out], encoder)
        assert (imported.taken, imported.known, imported.record.embedded, imported.record.chunks) == (22, 0, 11, 3)
        assert imported.rejected_file is None
        assert embeddings(other) == embeddings(made.workspace)
        export_embeddings(other, config, str(second))
        assert second.read_bytes() == out.read_bytes()
    assert import_embeddings(other, config, [first]).known == 22
    assert clean(other)
    record = run_backfill(other, config, Job("backfill", Selection(limit=11)))
    assert (record.predicted, record.images_encoded, record.titles_encoded) == (11, 0, 0)
    scores = "SELECT gridimage_id, scores FROM predictions_all ORDER BY gridimage_id"
    assert rows_of(other, scores) == made.rows(scores)


def test_a_check_encodes_some_photos_and_refuses_vectors_that_the_encoder_does_not_make(
    exported: tuple[Archive, Path], tmp_path: Path
) -> None:
    made, out = exported
    other = twin(made, tmp_path / "other")
    os.symlink(made.workspace.root / "images", other.root / "images")
    config = load_config(other, {})
    strange = write(other, *(line(photo, kind) for photo in range(1, 7) for kind in ("image", "title")))
    with pytest.raises(EncoderError, match=f"the vectors are not of encoder {FakeEncoder.encoder_id}"):
        import_embeddings(other, config, [strange], check=True)
    with pytest.raises(EncoderError, match="--encoder names"):
        import_embeddings(other, config, [strange], "openai", check=True)
    assert list(other.embeddings.rglob("*.parquet")) == []
    done = import_embeddings(other, config, [out], check=True)
    assert (done.taken, done.checked) == (22, "16 stored vectors made again, at most 0 away")


def test_lines_in_any_order_become_rows_in_order_of_ids_with_vectors_rounded_to_float16(photos: Workspace) -> None:
    images = [line(photo) for photo in (9, 3, 12, 1, 7)]
    titles = [line(photo, "title", title=f"Title {photo}") for photo in (12, 1, 3, 7, 9)]
    done = take(photos, *images, *titles, encoder="openai")
    assert (done.taken, done.record.photos, done.record.pending, done.record.command) == (10, 5, 5, "import")
    again = ["geotag", "embeddings", "import", str(photos.root / "vectors.jsonl"), "--encoder", OPENAI_ENCODER_ID]
    assert command_that_goes_on(done.record) == again
    files = sorted(photos.embeddings.glob("encoder=*/*.parquet"))
    assert [pq.read_table(path)["gridimage_id"].to_pylist() for path in files] == [[1, 3], [7, 9], [12]]
    for photo, image, title, *facts in embeddings(photos):
        assert np.array_equal(image, vector(photo).astype(np.float16).astype(np.float32))
        assert np.array_equal(title, vector(photo + 1000).astype(np.float16).astype(np.float32))
        assert facts == [title_hash(f"Title {photo}"), "", "imported"]
    assert clean(photos)


BAD = [
    ("nonsense", "is not valid JSON"),
    ("[1]", "is no JSON object"),
    (line(7).replace("7", '"7"', 1), "gridimage_id is not a positive whole number"),
    (line(7).replace("7", "7.5", 1), "gridimage_id is not a positive whole number"),
    (line(0), "gridimage_id is not a positive whole number"),
    (line(2**63), "gridimage_id is not a positive whole number"),
    (line(99), "the catalogue has no such photo"),
    (line(1), "the photo has had a vector of this type already"),
    (line(2, "sound"), "type is neither image nor title"),
    (json.dumps({"gridimage_id": 2, "type": "image"}), "embedding is neither base64 nor a list of numbers"),
    (json.dumps({"gridimage_id": 2}), "has no embedding"),
    (line(2, values=np.ones(511)), "embedding has 2,044 bytes, should have 2,048: 512 of float32"),
    (line(2, values=np.ones(513)), "embedding has 2,052 bytes, should have 2,048: 512 of float32"),
    (json.dumps({"gridimage_id": 2, "type": "image", "embedding": "AAAA"}), "embedding has 3 bytes, should"),
    (line(2)[:-4] + '*="}', "embedding is not base64"),
    (line(2)[:-3] + '"}', "embedding is not base64"),
    (line(2, values=np.zeros(512)), "is zero throughout in float16, as what stands for no vector is"),
    (line(2, values=np.full(512, 1e-9)), "is zero throughout in float16, as what stands for no vector is"),
    (line(2, values=[*np.ones(511), np.nan]), "has values that are not finite in float16"),
    (line(2, values=[*np.ones(511), np.inf]), "has values that are not finite in float16"),
    (line(2, values=[*np.ones(511), 70000.0]), "has values that are not finite in float16"),
    (line(2, encoder_id="another"), f"is of another encoder than {OPENAI_ENCODER_ID}"),
    (line(2, "title", title_hash="abc"), "title_hash is no MD5 in hex"),
    (line(2, "title", title=5), "title is no text"),
    (line(2, precision="\ud800"), "precision is no text"),
    (line(2, image_signature="x" * 140_000), "longer than 131072 bytes"),
]


def test_each_line_that_cannot_be_used_is_rejected_with_its_reason_and_costs_itself_alone(photos: Workspace) -> None:
    done = take(photos, line(1), "", *(bad for bad, _ in BAD), line(12))
    assert (done.taken, done.refused.total()) == (2, len(BAD))
    found = dict(rejected(done))
    for number, (_, reason) in enumerate(BAD, 3):
        assert found[number].startswith(reason), (number, found[number], reason)
    assert [row[0] for row in embeddings(photos)] == [1, 12]
    assert clean(photos)


def test_where_nothing_is_embedded_there_is_nothing_to_export(photos: Workspace) -> None:
    for encoder in (None, "openai"):
        with pytest.raises(InputError, match="nothing is embedded in"):
            export_embeddings(photos, load_config(photos, {}), str(photos.root / "out.jsonl"), encoder=encoder)


def test_files_without_a_vector_are_an_error(photos: Workspace) -> None:
    table = pa.table(
        {"gridimage_id": pa.array([], pa.int64()), "image_embedding": pa.array([], pa.list_(pa.float32()))}
    )
    pq.write_table(table, photos.root / "empty.parquet")
    for path in (write(photos), write(photos, "", ""), photos.root / "empty.parquet"):
        for encoder in ("openai", None):
            with pytest.raises(InputError, match="no line has a vector"):
                import_embeddings(photos, load_config(photos, {}), [path], encoder)


def test_rows_of_parquet_that_cannot_be_used_are_rejected_with_their_reason(photos: Workspace) -> None:
    path = photos.root / "vectors.parquet"
    fine = vector(1).tolist()
    rows = [
        (1, fine, fine, "photo"),
        (1, fine, None, "twice"),
        (99, fine, None, "unknown"),
        (2, [1.0] * 511, fine, "short"),
        (3, None, None, "empty"),
        (None, fine, None, "no id"),
        (4, [*fine[:511], None], None, "null"),
        (5, [0.0] * 512, fine, "zero image, good title"),
        (2**63 + 5, fine, fine, "beyond int64"),
    ]
    table = pa.table(
        {
            "gridimage_id": pa.array([row[0] for row in rows], pa.uint64()),
            "image_embedding": pa.array([row[1] for row in rows], pa.list_(pa.float64())),
            "title_embedding": pa.array([row[2] for row in rows], pa.list_(pa.float64())),
            "title": pa.array(["A"] * len(rows)),
        }
    )
    pq.write_table(table, path)
    done = import_embeddings(photos, load_config(photos, {}), [path], "openai")
    assert sorted(rejected(done)) == [
        (2, "the photo has had a vector of this type already"),
        (3, "the catalogue has no such photo"),
        (4, "embedding is not 512 numbers long"),
        (5, "has no embedding"),
        (6, "gridimage_id is not a positive whole number"),
        (7, "has values that are not finite in float16"),
        (8, "is zero throughout in float16, as what stands for no vector is"),
        (9, "gridimage_id is not a positive whole number"),
    ]
    assert embeddings(photos, "gridimage_id, image_embedding IS NULL, title_hash") == [
        (1, False, title_hash("A")),
        (5, True, title_hash("A")),
    ]
    assert (done.images_only, done.titles_only) == (0, 1)


def test_parquet_of_one_vector_a_row_is_taken_too(photos: Workspace) -> None:
    path = photos.root / "long.parquet"
    kinds = ["image", "title", "image"]
    data = [vector(1).tobytes(), vector(2).tobytes(), b"abc"]
    pq.write_table(pa.table({"gridimage_id": [3, 3, 4], "type": kinds, "embedding": pa.array(data, pa.binary())}), path)
    done = import_embeddings(photos, load_config(photos, {}), [path], "openai")
    assert (done.taken, rejected(done)) == (2, [(3, "embedding is not 512 numbers long")])
    ((image, title),) = embeddings(photos, "image_embedding, title_embedding")
    assert np.array_equal(image, vector(1).astype(np.float16).astype(np.float32))
    assert np.array_equal(title, vector(2).astype(np.float16).astype(np.float32))


def test_a_photo_with_one_vector_is_taken_and_the_other_one_joins_it_later(photos: Workspace) -> None:
    first = take(photos, line(3), line(4, "title"))
    assert (first.images_only, first.titles_only) == (1, 1)
    second = take(photos, line(3, "title"), line(4))
    assert (second.taken, second.images_only, second.titles_only) == (2, 0, 0)
    for photo, image, title, *facts in embeddings(photos):
        assert np.array_equal(image, vector(photo).astype(np.float16).astype(np.float32))
        assert np.array_equal(title, vector(photo + 1000).astype(np.float16).astype(np.float32))
        assert facts == [title_hash(f"Title {photo}"), "", "imported"]


def test_stored_vectors_stay_unless_replaced_or_of_a_title_that_is_no_more(photos: Workspace) -> None:
    take(photos, line(3), line(3, "title"), line(4, "title", title="of old"))
    other = vector(3) + 0.01
    kept = take(photos, line(3, values=other), line(3, "title"), line(4, "title", vector(5), title="Title 4"))
    assert (kept.taken, kept.known, kept.kept) == (1, 1, 1)
    assert embeddings(photos, "gridimage_id, title_hash")[1] == (4, title_hash("Title 4"))
    replaced = take(photos, line(3, values=other), replace=True)
    assert (replaced.taken, replaced.kept) == (1, 0)
    ((image,),) = [row[1:2] for row in embeddings(photos) if row[0] == 3]
    assert np.array_equal(image, other.astype(np.float16).astype(np.float32))
    assert take(photos, line(3, values=other), replace=True).record.chunks == 0


def test_two_encoders_are_never_mixed(photos: Workspace) -> None:
    for encoder, error, message in (
        (None, InputError, "does not say which encoder"),
        ("opena1", UsageError, "no head takes the encoder opena1"),
    ):
        with pytest.raises(error, match=message):
            take(photos, line(1), encoder=encoder)
    with pytest.raises(InputError, match="no line can be used, most because: embedding has 256 bytes"):
        take(photos, line(1, values=np.ones(64)))
    assert list(photos.embeddings.rglob("*.parquet")) == []
    take(photos, *(line(photo) for photo in range(1, 11)))
    with pytest.raises(EncoderError, match="not of the encoder that made the stored ones"):
        take(photos, *(line(photo, values=vector(photo + 50)) for photo in range(1, 13)))
    changed = [line(photo, values=vector(photo + 50 if photo < 3 else photo)) for photo in range(1, 13)]
    assert take(photos, *changed).compared == 10  # two of ten images have changed since: no other encoder
    assert [row[0] for row in embeddings(photos)] == list(range(1, 13))


def test_normalised_vectors_are_refused(photos: Workspace) -> None:
    lengths = [np.linalg.norm(vector(photo)) for photo in range(1, 13)]
    with pytest.raises(InputError, match="they were normalised"):
        take(photos, *(line(photo, values=vector(photo) / lengths[photo - 1]) for photo in range(1, 13)))
    assert list(photos.embeddings.rglob("*.parquet")) == []


def test_images_whose_signature_is_unknown_are_encoded_again_only_when_the_photo_is_updated(
    archive: Callable[[int], Archive],
) -> None:
    made = archive(4)
    head = made.config.head.current
    assert head is not None
    path = write(made.workspace, *(line(photo, kind) for photo in range(1, 5) for kind in ("image", "title")))
    import_embeddings(made.workspace, made.config, [path], "head")
    made.backfill()
    with make_plan(made.workspace, made.config, Selection(check_images=True)) as plan:
        assert plan.pending == 0
    made.image(2).unlink()
    made.photos[2]["updated_at"] = "2999-01-01"
    with make_plan(made.workspace, made.config, Selection(check_images=True)) as plan:
        assert plan.by_reason == {"image changed": 1}


def test_a_gzipped_file_that_breaks_off_commits_nothing(photos: Workspace) -> None:
    path = photos.root / "vectors.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f"{line(photo)}\n" for photo in range(1, 13)).encode())[:-4000])
    with pytest.raises(InputError, match="cannot be read after line"):
        import_embeddings(photos, load_config(photos, {}), [path], "openai")
    assert list(photos.embeddings.rglob("*.parquet")) == []
    assert clean(photos)


KILLED = """
import os, sys
from pathlib import Path
from shutil import copytree
from geotag_batch.config import load_config
from geotag_batch.run.import_embeddings import import_embeddings
from geotag_batch.workspace import Workspace

def run(root, die_at):
    left = die_at
    def hook(event, arguments):
        nonlocal left
        if event == "os.rename":
            left -= 1
            if left == 0:
                os._exit(9)
    sys.addaudithook(hook)
    workspace = Workspace(root)
    import_embeddings(workspace, load_config(workspace, {}), [root / "vectors.jsonl"], "openai")
    os._exit(0)

template = Path(sys.argv[1])
for number in (2, 4, 5):
    root = template.with_name(f"killed-{number}")
    copytree(template, root)
    codes = []
    for die_at in (number, 0):
        child = os.fork()
        if not child:
            run(root, die_at)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(number, *codes)
"""


def test_an_import_killed_between_any_two_commits_and_run_again_neither_loses_nor_doubles(photos: Workspace) -> None:
    lines = [line(photo, kind) for kind in ("image", "title") for photo in (1, 2, 7)]
    path = write(photos, *lines)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(photos.root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    outcomes = [tuple(map(int, row.split())) for row in ended.stdout.splitlines()]
    # The renames are the run's record, and for each of two chunks its file, its sum and the record again.
    assert outcomes == [(number, 9, 0) for number in (2, 4, 5)]
    import_embeddings(photos, load_config(photos, {}), [path], "openai")
    expected = embeddings(photos)
    for number, *_ in outcomes:
        killed = Workspace(photos.root.with_name(f"killed-{number}"))
        assert embeddings(killed) == expected
        assert rows_of(killed, "SELECT embedded FROM coverage") == [(3,)]
        assert verify(killed).problems == []
