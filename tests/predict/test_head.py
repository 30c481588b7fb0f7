import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.errors import HeadError
from geotag_batch.predict.features import DEFAULT_RULE, PUBLISHED_RULE, fuse
from geotag_batch.predict.head import (
    HeadDraft,
    HeadInfo,
    current_head_info,
    find_head_id,
    list_heads,
    load_head,
    read_head_info,
    save_head,
    save_policy,
)
from geotag_batch.predict.head_file import read_head_file, stated_by_name
from geotag_batch.predict.policy import Policy
from geotag_batch.taxonomy import tag_names
from geotag_batch.workspace import Workspace

Tensors = dict[str, NDArray[np.float32]]
IMAGE_AND_LOCATION = HeadDraft("test", ("image", "location"), 6, DEFAULT_RULE, "fake-00000000", "given")


def linear(width: int = 8, outputs: int = 49, seed: int = 0) -> Tensors:
    chance = np.random.default_rng(seed)
    return {
        "weight": chance.normal(size=(outputs, width)).astype(np.float32),
        "bias": chance.normal(size=outputs).astype(np.float32),
    }


def mlp(width: int = 8, hidden: int = 5) -> Tensors:
    lower, upper = linear(width, hidden), linear(hidden)
    return {
        **{f"0.{name}": tensor for name, tensor in lower.items()},
        **{f"3.{name}": tensor for name, tensor in upper.items()},
    }


@pytest.fixture
def head(workspace: Workspace) -> HeadInfo:
    return save_head(workspace, IMAGE_AND_LOCATION, linear())


@pytest.mark.parametrize("name", ["linear-img-txt-loc-mixup", "mlp-img-txt-loc", "mlp-img-txt-mixup"])
def test_a_published_head_says_of_a_real_photo_what_its_authors_code_says(
    name: str, shared: Path, workspace: Workspace
) -> None:
    photo = json.loads((shared / "golden" / "real-photo-7706259.json").read_text(encoding="utf-8"))
    kind, modalities = stated_by_name(name) or ("", ())
    location = PUBLISHED_RULE if "location" in modalities else None
    draft = HeadDraft(name, modalities, 512, location, "openai-00000000", "given")
    info = save_head(workspace, draft, read_head_file(shared / "heads" / f"{name}.pth").tensors)
    assert info.type == kind
    unknown = PUBLISHED_RULE.scale(np.full((1, 2), np.nan))
    expected = photo["expected"][name]
    for stored, tolerance in ((np.float32, 1e-5), (np.float16, 1e-3)):
        image, title = (np.array([photo[key]], stored) for key in ("image_embedding", "title_embedding"))
        scores = load_head(workspace, info.head_id).scores(fuse(modalities, image, title, unknown))
        assert np.abs(scores[0] - [expected["scores"][tag] for tag in info.tags]).max() < tolerance
        chosen = np.flatnonzero(info.policy.decide(scores).chosen[0])
        assert [info.tags[position] for position in chosen] == expected["tags"]


@pytest.mark.parametrize("tensors", [linear(), mlp()], ids=["linear", "mlp"])
def test_a_saved_head_is_read_back_whole(tensors: Tensors, workspace: Workspace) -> None:
    draft = HeadDraft(
        "test",
        ("image", "location"),
        6,
        DEFAULT_RULE,
        "fake-00000000",
        "trained",
        Policy(0.2),
        {"f1": 0.5},
        {"by": "é"},
    )
    saved = save_head(workspace, draft, tensors)
    assert read_head_info(workspace, saved.head_id) == saved
    assert load_head(workspace, saved.head_id).info == saved
    assert (saved.policy, saved.metrics, saved.provenance) == (Policy(0.2), {"f1": 0.5}, {"by": "é"})
    assert saved.tags == tag_names()
    assert saved.width == 8


def test_the_file_format_says_everything_a_stranger_needs(head: HeadInfo, workspace: Workspace) -> None:
    document = json.loads((workspace.head_dir(head.head_id) / "head.json").read_text(encoding="utf-8"))
    assert set(document) == {
        *("schema_version", "head_id", "name", "type", "modalities", "dim", "tags", "tag_ids", "location", "policy"),
        *("encoder_id", "encoder_declared", "metrics", "provenance", "sha256"),
    }
    assert document["tag_ids"] == sorted(document["tag_ids"])
    assert len(document["tags"]) == len(document["tag_ids"]) == 49


def test_what_a_head_computes_is_in_its_id(workspace: Workspace) -> None:
    ids = {
        save_head(workspace, draft, tensors).head_id
        for draft, tensors in [
            (IMAGE_AND_LOCATION, linear()),
            (IMAGE_AND_LOCATION, linear(seed=1)),
            (HeadDraft("other", ("image", "location"), 6, DEFAULT_RULE, "fake-00000000", "given"), linear()),
            (HeadDraft("test", ("image", "location"), 6, PUBLISHED_RULE, "fake-00000000", "given"), linear()),
            (HeadDraft("test", ("title", "location"), 6, DEFAULT_RULE, "fake-00000000", "given"), linear()),
        ]
    }
    assert len(ids) == 5


def test_what_it_does_not_compute_is_not_in_its_id(head: HeadInfo, workspace: Workspace) -> None:
    draft = HeadDraft(
        "test", ("image", "location"), 6, DEFAULT_RULE, "other-00000000", "trained", Policy(0.1), {"f": 1}
    )
    assert save_head(workspace, draft, linear()).head_id == head.head_id
    assert [info.encoder_id for info in list_heads(workspace)] == ["other-00000000"]


def test_a_new_policy_leaves_the_head_the_same(head: HeadInfo, workspace: Workspace) -> None:
    changed = save_policy(workspace, head.head_id, Policy(0.2, at_least_one=False))
    assert changed.head_id == head.head_id
    assert changed.policy.policy_id != head.policy.policy_id
    assert load_head(workspace, head.head_id).info == changed


def test_a_folder_without_head_json_is_no_head_yet(head: HeadInfo, workspace: Workspace) -> None:
    (workspace.head_dir(head.head_id) / "head.json").unlink()
    assert list_heads(workspace) == []
    with pytest.raises(HeadError, match="there is no head"):
        read_head_info(workspace, head.head_id)


def test_a_head_whose_publication_stopped_half_way_is_not_there(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def stop_at_the_second(source: Path, target: Path) -> None:
        if target.name == "head.json":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        save_head(workspace, IMAGE_AND_LOCATION, linear())
    assert list_heads(workspace) == []
    monkeypatch.undo()
    saved = save_head(workspace, IMAGE_AND_LOCATION, linear())
    assert list_heads(workspace) == [saved]


@pytest.mark.parametrize("position", [0, 30, 700, -1])
def test_one_flipped_bit_in_the_weights_is_noticed(position: int, head: HeadInfo, workspace: Workspace) -> None:
    path = workspace.head_dir(head.head_id) / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)
    with pytest.raises(HeadError, match=r"head\.safetensors.*SHA-256") as caught:
        load_head(workspace, head.head_id)
    assert "import the head again" in str(caught.value.hint)


def test_missing_weights_are_named(head: HeadInfo, workspace: Workspace) -> None:
    (workspace.head_dir(head.head_id) / "head.safetensors").unlink()
    with pytest.raises(HeadError, match=r"head\.safetensors cannot be read: No such file"):
        load_head(workspace, head.head_id)


def swap_two_tags(document: dict[str, Any]) -> None:
    document["tags"][1:3] = reversed(document["tags"][1:3])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (swap_two_tags, "other tags than .*number 2 is 'Lowlands', should be 'Coastal'"),
        (lambda document: document["tags"].pop(), "other tags than .*48 instead of 49"),
        (lambda document: document["tag_ids"].reverse(), "other tags"),
        (lambda document: document.pop("encoder_id"), "broken: KeyError: 'encoder_id'"),
        (lambda document: document.update(head_id="another-00000000"), "about head another-00000000"),
        (lambda document: document.update(schema_version=2), "of version 2"),
        (lambda document: document.update(type="forest"), "type forest"),
        (lambda document: document.update(modalities=["location", "image"]), "contradicts itself"),
        (lambda document: document.update(modalities=[]), "contradicts itself"),
        (lambda document: document.update(location=None), "no location rule"),
        (lambda document: document["location"].update(latitude=[60, 50]), "no location rule"),
        (lambda document: document["policy"].update(threshold=7), "threshold"),
        (lambda document: document["policy"].update(at_least_one="no"), "at_least_one"),
        (lambda document: document.update(metrics=None), "broken"),
    ],
)
def test_a_head_json_that_is_wrong_is_refused_with_the_reason(
    spoil: Callable[[dict[str, Any]], object], message: str, head: HeadInfo, workspace: Workspace
) -> None:
    path = workspace.head_dir(head.head_id) / "head.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    spoil(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(HeadError, match=message) as caught:
        read_head_info(workspace, head.head_id)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_head_json_that_is_no_json_is_refused(content: bytes, head: HeadInfo, workspace: Workspace) -> None:
    (workspace.head_dir(head.head_id) / "head.json").write_bytes(content)
    with pytest.raises(HeadError, match=r"head\.json is broken"):
        list_heads(workspace)


def test_other_modalities_written_into_head_json_are_noticed(head: HeadInfo, workspace: Workspace) -> None:
    path = workspace.head_dir(head.head_id) / "head.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"image"', '"title"'), encoding="utf-8")
    with pytest.raises(HeadError, match="was changed"):
        load_head(workspace, head.head_id)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (linear(width=9), r"takes 9 features, but image \+ location are 8"),
        (linear(outputs=48), "gives 48 scores, but there are 49 tags"),
        ({"weight": linear()["weight"]}, "is no head: it has weight"),
        ({}, "is no head: it has no tensors"),
        ({**linear(), "bias": np.zeros(7, np.float32)}, "layers do not go together"),
        ({**mlp(), "3.weight": np.zeros((49, 6), np.float32)}, "layers do not go together"),
        ({**linear(), "bias": np.full(49, np.nan, np.float32)}, "bias holds values that are not finite"),
    ],
)
def test_tensors_that_make_no_such_head_are_refused(tensors: Tensors, message: str, workspace: Workspace) -> None:
    with pytest.raises(HeadError, match=f"head test.*{message}"):
        save_head(workspace, IMAGE_AND_LOCATION, tensors)
    assert not workspace.heads.exists()


def test_features_of_another_width_are_refused(head: HeadInfo, workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="features are"):
        load_head(workspace, head.head_id).scores(np.zeros((1, 9), np.float32))


def test_a_head_is_found_by_its_beginning(head: HeadInfo, workspace: Workspace) -> None:
    other = save_head(workspace, IMAGE_AND_LOCATION, linear(seed=1)).head_id
    assert find_head_id(workspace, head.head_id) == head.head_id
    assert find_head_id(workspace, other[:9]) == other
    with pytest.raises(HeadError, match=f"is the beginning of .*{other}"):
        find_head_id(workspace, "test-")
    with pytest.raises(HeadError, match=f"did you mean {other}"):
        find_head_id(workspace, other.replace("test", "tset"))
    with pytest.raises(HeadError, match="did you mean test-"):
        find_head_id(workspace, "tesd")


def test_a_name_is_not_taken_for_the_beginning_of_a_longer_one(workspace: Workspace) -> None:
    short = save_head(workspace, replace(IMAGE_AND_LOCATION, name="mlp"), linear(seed=1)).head_id
    long = save_head(workspace, replace(IMAGE_AND_LOCATION, name="mlp-mixup"), linear(seed=2)).head_id
    assert find_head_id(workspace, "mlp") == short
    assert find_head_id(workspace, "mlp-m") == long
    save_head(workspace, replace(IMAGE_AND_LOCATION, name="mlp"), linear(seed=3))
    with pytest.raises(HeadError, match="is the beginning of"):
        find_head_id(workspace, "mlp")


@pytest.mark.parametrize("name", ["../outside", "/etc", "", ".", "gone-00000000"])
def test_a_head_that_is_not_there_is_refused(name: str, head: HeadInfo, workspace: Workspace) -> None:
    outside = workspace.root / "outside"
    outside.mkdir()
    (outside / "head.json").write_text("{}", encoding="utf-8")
    with pytest.raises(HeadError, match="there is no head"):
        read_head_info(workspace, name)


def test_no_head_in_use_says_how_to_get_one(workspace: Workspace) -> None:
    with pytest.raises(HeadError, match="no head is in use") as caught:
        current_head_info(workspace, Config())
    assert "geotag heads import" in str(caught.value.hint)


def test_the_head_in_use_is_read(head: HeadInfo, workspace: Workspace) -> None:
    assert current_head_info(workspace, Config().with_flags({"head.current": head.head_id})) == head
