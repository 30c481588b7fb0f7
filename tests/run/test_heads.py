import json
import shutil
from dataclasses import asdict
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from geotag_batch.config import Config, load_config
from geotag_batch.encode.fake import FakeEncoder
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.errors import EncoderError, HeadError, LockedError, UsageError
from geotag_batch.predict.features import PUBLISHED_RULE
from geotag_batch.predict.head import list_heads, load_head, read_head_info
from geotag_batch.predict.policy import Policy
from geotag_batch.run.heads import HeadStatements, import_head, set_policy, use_head
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from tests.builders import RUN_1, commit

LINEAR = "linear-img-txt-loc-mixup"


def head_file(folder: Path, name: str, width: int = 1026, outputs: int = 49) -> Path:
    """Write a linear head as the paper's authors save theirs."""
    path = folder / name
    torch.save({"weight": torch.randn(outputs, width), "bias": torch.zeros(outputs)}, path)
    return path


@pytest.mark.parametrize(
    ("name", "kind", "modalities"),
    [
        (LINEAR, "linear", ("image", "title", "location")),
        ("mlp-img-txt-loc", "mlp", ("image", "title", "location")),
        ("mlp-img-txt-mixup", "mlp", ("image", "title")),
    ],
)
def test_a_published_head_needs_no_more_than_its_file(
    name: str, kind: str, modalities: tuple[str, ...], shared: Path, workspace: Workspace
) -> None:
    path = shared / "heads" / f"{name}.pth"
    head = import_head(workspace, Config(), path, HeadStatements())
    assert (head.name, head.type, head.modalities, head.policy) == (name, kind, modalities, Policy())
    assert head.location == (PUBLISHED_RULE if "location" in modalities else None)
    assert (head.encoder_id, head.encoder_declared) == (OPENAI_ENCODER_ID, "openai")
    assert head.provenance["source"] == f"{name}.pth"
    assert list_heads(workspace) == [head]
    original = torch.load(path, weights_only=True)
    features = torch.randn(3, head.width, generator=torch.Generator().manual_seed(0))
    if kind == "linear":
        layers = torch.nn.Sequential(torch.nn.Linear(head.width, 49))
        original = {f"0.{key}": tensor for key, tensor in original.items()}
    else:
        layers = torch.nn.Sequential(
            torch.nn.Linear(head.width, 256), torch.nn.ReLU(), torch.nn.Dropout(0.5), torch.nn.Linear(256, 49)
        )
    layers.load_state_dict(original)
    expected = layers.eval()(features).sigmoid().detach().numpy()
    assert np.abs(load_head(workspace, head.head_id).scores(features.numpy()) - expected).max() < 1e-5


def test_a_safetensors_file_is_the_same_head(shared: Path, workspace: Workspace, tmp_path: Path) -> None:
    head = import_head(workspace, Config(), shared / "heads" / f"{LINEAR}.pth", HeadStatements())
    copy = tmp_path / f"{LINEAR}.safetensors"
    shutil.copy(workspace.head_dir(head.head_id) / "head.safetensors", copy)
    assert import_head(workspace, Config(), copy, HeadStatements()).head_id == head.head_id


def test_a_name_that_states_nothing_needs_the_modalities(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, "mine.pth", 514)
    with pytest.raises(HeadError, match=r"mine\.pth does not state") as caught:
        import_head(workspace, Config(), path, HeadStatements())
    assert "--modalities" in str(caught.value.hint)
    head = import_head(workspace, Config(), path, HeadStatements(modalities=("location", "title"), name="yours"))
    assert (head.modalities, head.name, head.type) == (("title", "location"), "yours", "linear")


def test_a_width_that_does_not_go_with_the_modalities_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, "linear-img-txt.pth", 1026)
    with pytest.raises(HeadError, match=r"takes 1026 features, but image \+ title are 1024") as caught:
        import_head(workspace, Config(), path, HeadStatements())
    assert "image 512, title 512, location 2" in str(caught.value.hint)


def test_a_head_for_other_tags_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="gives 50 scores, but there are 49 tags"):
        import_head(workspace, Config(), head_file(tmp_path, "linear-img.pth", 512, 50), HeadStatements())


def test_a_type_that_the_tensors_contradict_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, "mlp-img.pth", 512)
    with pytest.raises(HeadError, match="is linear by its tensors, mlp by its name"):
        import_head(workspace, Config(), path, HeadStatements())
    assert import_head(workspace, Config(), path, HeadStatements(type="linear")).type == "linear"
    with pytest.raises(HeadError, match="mlp by --type"):
        import_head(workspace, Config(), head_file(tmp_path, "linear-img.pth", 512), HeadStatements(type="mlp"))


def test_an_unknown_modality_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'sound' is no modality"):
        import_head(workspace, Config(), head_file(tmp_path, "a.pth"), HeadStatements(modalities=("image", "sound")))


def test_the_current_encoder_is_loaded_to_know_its_id(workspace: Workspace, tmp_path: Path) -> None:
    config, path = Config().with_flags({"encoder.model": "fake"}), head_file(tmp_path, f"{LINEAR}.pth")
    head = import_head(workspace, config, path, HeadStatements(encoder="current"))
    assert (head.encoder_id, head.encoder_declared) == (FakeEncoder.encoder_id, "current")
    broken = config.with_flags({"encoder.device": "cuda"})
    with pytest.raises(EncoderError):
        import_head(workspace, broken, path, HeadStatements(encoder="current"))


def test_an_encoder_can_be_named(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, f"{LINEAR}.pth")
    head = import_head(workspace, Config(), path, HeadStatements(encoder="ViT-B-16-0123abcd"))
    assert (head.encoder_id, head.encoder_declared) == ("ViT-B-16-0123abcd", "given")
    with pytest.raises(UsageError, match="no encoder_id") as caught:
        import_head(workspace, Config(), path, HeadStatements(encoder="../ViT-B-16"))
    assert OPENAI_ENCODER_ID in str(caught.value.hint)


def test_importing_again_mends_the_files_and_keeps_the_policy(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, f"{LINEAR}.pth")
    head = import_head(workspace, Config(), path, HeadStatements())
    set_policy(workspace, head.head_id, threshold=0.2)
    (workspace.head_dir(head.head_id) / "head.safetensors").write_bytes(b"broken")
    with pytest.raises(HeadError):
        load_head(workspace, head.head_id)
    again = import_head(workspace, Config(), path, HeadStatements())
    assert load_head(workspace, head.head_id).info == again
    assert again.policy == Policy(0.2)
    (workspace.head_dir(head.head_id) / "head.json").write_bytes(b"broken")
    assert import_head(workspace, Config(), path, HeadStatements()).policy == Policy()


def test_the_encoder_can_be_corrected_until_predictions_depend_on_it(workspace: Workspace, tmp_path: Path) -> None:
    path, other = head_file(tmp_path, f"{LINEAR}.pth"), HeadStatements(encoder="other-00000000")
    head = import_head(workspace, Config(), path, HeadStatements())
    assert import_head(workspace, Config(), path, other).head_id == head.head_id
    commit(workspace, RUN_1, predictions=[{"gridimage_id": 1}], head=head.head_id)
    assert import_head(workspace, Config(), path, other).encoder_id == "other-00000000"
    with pytest.raises(HeadError, match=f"predictions made with encoder other-00000000, not {OPENAI_ENCODER_ID}"):
        import_head(workspace, Config(), path, HeadStatements())
    assert read_head_info(workspace, head.head_id).encoder_id == "other-00000000"


def test_using_a_head_sets_the_key_and_rebuilds_the_views(workspace: Workspace, tmp_path: Path) -> None:
    one, two = (
        import_head(workspace, Config(), head_file(tmp_path, "linear-img.pth", 512), HeadStatements(name=name)).head_id
        for name in ("one", "two")
    )
    for head in (one, two):
        commit(
            workspace, RUN_1, predictions=[{"gridimage_id": 1, "top_score": 0.25 if head == one else 0.75}], head=head
        )
    for head, score in ((one, 0.25), (two, 0.75)):
        assert use_head(workspace, head[:3]).head_id == head
        assert load_config(workspace, {}).head.current == head
        with duckdb.connect(str(workspace.database), read_only=True) as connection:
            assert connection.execute("SELECT top_score FROM predictions").fetchall() == [(score,)]


def test_a_broken_head_cannot_be_used(workspace: Workspace, tmp_path: Path) -> None:
    head = import_head(workspace, Config(), head_file(tmp_path, "linear-img.pth", 512), HeadStatements())
    (workspace.head_dir(head.head_id) / "head.safetensors").write_bytes(b"broken")
    with pytest.raises(HeadError, match="SHA-256"):
        use_head(workspace, head.head_id)
    assert load_config(workspace, {}).head.current is None


def test_a_policy_keeps_what_is_not_changed(workspace: Workspace, tmp_path: Path) -> None:
    head = import_head(workspace, Config(), head_file(tmp_path, "linear-img.pth", 512), HeadStatements())
    assert set_policy(workspace, head.head_id, threshold=0.2).policy == Policy(0.2)
    assert set_policy(workspace, "linear", at_least_one=False).policy == Policy(0.2, at_least_one=False)
    document = json.loads((workspace.head_dir(head.head_id) / "head.json").read_text(encoding="utf-8"))
    assert document["policy"] == asdict(Policy(0.2, at_least_one=False))
    with pytest.raises(UsageError, match="threshold"):
        set_policy(workspace, "linear", threshold=1.5)


def test_nothing_is_written_while_another_command_writes(workspace: Workspace, tmp_path: Path) -> None:
    path = head_file(tmp_path, "linear-img.pth", 512)
    head = import_head(workspace, Config(), path, HeadStatements())
    with hold_lock(workspace):
        with pytest.raises(LockedError):
            import_head(workspace, Config(), path, HeadStatements(name="other"))
        with pytest.raises(LockedError):
            use_head(workspace, head.head_id)
        with pytest.raises(LockedError):
            set_policy(workspace, head.head_id, threshold=0.2)
    assert list_heads(workspace) == [head]
