"""The published heads on a real photo's vectors, and the whole job at full model size on real photos."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from geotag_batch.config import load_config, set_key
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.run.backfill import Job, run_backfill
from geotag_batch.run.heads import HeadStatements, import_head, use_head
from geotag_batch.run.plan import Selection
from geotag_batch.run.verify import verify
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace
from tests.builders import RUN_1, commit, title_hash, write_catalogue
from tests.run.conftest import rows_of

PUBLISHED = ("linear-img-txt-loc-mixup", "mlp-img-txt-loc", "mlp-img-txt-mixup")


@pytest.mark.parametrize("name", PUBLISHED)
def test_stored_vectors_of_a_real_photo_give_the_published_tags_without_any_encoder(
    workspace: Workspace, shared: Path, name: str
) -> None:
    golden = json.loads((shared / "golden" / "real-photo-7706259.json").read_text())
    write_catalogue(workspace, [{"gridimage_id": 7706259, "title": "as embedded"}])
    stored = {
        "gridimage_id": 7706259,
        "image_embedding": np.array(golden["image_embedding"], np.float16),
        "title_embedding": np.array(golden["title_embedding"], np.float16),
        "title_hash": title_hash("as embedded"),
    }
    commit(workspace, RUN_1, embeddings=[stored], encoder=OPENAI_ENCODER_ID)
    config = load_config(workspace, {})
    head = import_head(workspace, config, shared / "heads" / f"{name}.pth", HeadStatements())
    record = run_backfill(workspace, config.with_flags({"head.current": head.head_id}), Job("backfill", Selection()))
    assert (record.predicted, record.images_encoded, record.embedded) == (1, 0, 0)
    ((tags, scores),) = rows_of(workspace, "SELECT tags, scores FROM predictions_all")
    expected = golden["expected"][name]
    assert tags == expected["tags"]
    assert max(abs(scores[i] - expected["scores"][tag]) for i, tag in enumerate(tag_names())) < 1e-3


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Workspace:
    """Return a workspace of the 49 real photos with ViT-B-32-quickgelu at full size and seeded random weights."""
    from geotag_batch.run.init import init_workspace  # noqa: PLC0415

    workspace = init_workspace(tmp_path_factory.mktemp("full") / "archive")
    torch.manual_seed(7)
    model = import_open_clip().create_model("ViT-B-32-quickgelu")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(tensors, workspace.root / "weights.safetensors")
    with (shared / "photos" / "tags.csv").open() as lines:
        photos = [
            {
                "gridimage_id": number,
                "title": f"{row['tag']} near Ely",
                "grid_reference": "TL4454",
                "image": row["file"],
            }
            for number, row in enumerate(csv.DictReader(lines), 1)
        ]
    write_catalogue(workspace, photos)
    shutil.copytree(shared / "photos", workspace.root / "images", dirs_exist_ok=True)
    text = workspace.config_file.read_text().replace("template = ", 'column = "image" # ')
    workspace.config_file.write_text(text)
    set_key(workspace, "encoder.weights", "weights.safetensors")
    set_key(workspace, "run.chunk_size", 10)
    return workspace


def geotag(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as a user would."""
    command = [sys.executable, "-m", "geotag_batch.jobs", *arguments, "-C", str(workspace.root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_the_whole_job_at_full_size_on_real_photos(full_size: Workspace, shared: Path) -> None:
    config = load_config(full_size, {})
    for name in ("mlp-img-txt-mixup", "linear-img-txt-loc-mixup"):
        import_head(full_size, config, shared / "heads" / f"{name}.pth", HeadStatements(encoder="current"))
    use_head(full_size, "mlp-img-txt-mixup")

    first = geotag(full_size, "backfill")
    assert first.returncode == 0, first.stderr
    assert "49 predicted, 0 failed; 49 images and 49 titles encoded" in first.stdout
    assert rows_of(full_size, "SELECT count(*) FROM predictions") == [(49,)]

    again = geotag(full_size, "backfill")
    assert (again.returncode, again.stdout) == (0, "nothing to do: no photo of the selection is pending\n")

    forced = geotag(full_size, "backfill", "--force")
    assert "49 predicted, 0 failed; 0 images and 0 titles encoded" in forced.stdout
    assert rows_of(full_size, "SELECT count(*) FROM predictions") == [(49,)]

    hidden = full_size.root / "hidden"
    (full_size.root / "images").rename(hidden)
    use_head(full_size, "linear-img-txt-loc-mixup")
    other = geotag(full_size, "backfill")
    assert "49 predicted, 0 failed; 0 images and 0 titles encoded" in other.stdout
    assert rows_of(full_size, "SELECT count(*) > 0, count(DISTINCT (head_a, head_b)) FROM head_diff") == [(True, 1)]
    hidden.rename(full_size.root / "images")

    assert verify(full_size).problems == []
    assert geotag(full_size, "verify").returncode == 0
