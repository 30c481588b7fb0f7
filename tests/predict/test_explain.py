"""What image, title and location contributed: against plain products, another way of averaging, and the real heads."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotag_batch.predict.bundle import Scorer, load_scorer, save_bundle
from geotag_batch.predict.explain import Contributions, explain
from geotag_batch.predict.features import DEFAULT_RULE, MODALITIES, PUBLISHED_RULE, feature_width, fuse
from geotag_batch.predict.head import Head, HeadDraft, load_head, save_head
from geotag_batch.predict.head_file import read_head_file, stated_by_name
from geotag_batch.workspace import Workspace

DIM = 6
PLACES = np.array([[54.0, -2.0], [np.nan, np.nan], [51.5, 0.0]])
ALL = np.ones((3, 3), np.bool_)


def make_head(workspace: Workspace, kind: str, modalities: tuple[str, ...]) -> Head:
    chance, width = np.random.default_rng(len(modalities)), feature_width(modalities, DIM)

    def layer(outputs: int, inputs: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return chance.normal(size=(outputs, inputs)).astype(np.float32), chance.normal(size=outputs).astype(np.float32)

    if kind == "linear":
        tensors = dict(zip(("weight", "bias"), layer(49, width), strict=True))
    else:
        lower, upper = layer(5, width), layer(49, 5)
        tensors = {"0.weight": lower[0], "0.bias": lower[1], "3.weight": upper[0], "3.bias": upper[1]}
    location = DEFAULT_RULE if "location" in modalities else None
    draft = HeadDraft("-".join((kind, *modalities)), modalities, DIM, location, "fake-00000000", "given")
    return load_head(workspace, save_head(workspace, draft, tensors).head_id)


def embeddings() -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    chance = np.random.default_rng(3)
    return chance.normal(size=(3, DIM)).astype(np.float16), chance.normal(size=(3, DIM)).astype(np.float16)


def features(head: Head, absent: tuple[str, ...] = ()) -> NDArray[np.float32]:
    """Return the head's input with the modalities `absent` set to zeros."""
    image, title = embeddings()
    parts: list[NDArray[Any]] = [image, title, DEFAULT_RULE.scale(PLACES)]
    kept = [part * (name not in absent) for name, part in zip(MODALITIES, parts, strict=True)]
    return fuse(head.info.modalities, *kept)


def explain_all(head: Head) -> Contributions:
    return explain(Scorer(head.info, [head]), ALL, *embeddings(), PLACES)


def total(found: Contributions) -> NDArray[np.float64]:
    return found.image + found.title + found.location + found.bias


@pytest.mark.parametrize(
    "name", ["linear-img-txt-loc-mixup", "mlp-img-txt-loc", "mlp-img-txt-mixup"], ids=["linear", "mlp", "mlp-no-loc"]
)
def test_of_a_published_head_and_a_real_photo_the_contributions_add_up_to_the_published_scores(
    name: str, shared: Path, workspace: Workspace
) -> None:
    photo = json.loads((shared / "golden" / "real-photo-7706259.json").read_text(encoding="utf-8"))
    kind, modalities = stated_by_name(name) or ("", ())
    location = PUBLISHED_RULE if "location" in modalities else None
    tensors = read_head_file(shared / "heads" / f"{name}.pth").tensors
    info = save_head(workspace, HeadDraft(name, modalities, 512, location, "openai-00000000", "given"), tensors)
    head = load_head(workspace, info.head_id)
    image, title = (np.array([photo[key]], np.float32) for key in ("image_embedding", "title_embedding"))
    place = np.array([[54.0, -2.0]]) if kind == "linear" and location else np.full((1, 2), np.nan)
    for where in (place, np.full((1, 2), np.nan)):
        found = explain(Scorer(info, [head]), ALL[:1], image, title, where)
        scaled = PUBLISHED_RULE.scale(where)
        assert np.abs(total(found) - head.logits(fuse(modalities, image, title, scaled))).max() < 1e-6
        if kind == "linear":
            weight = tensors["weight"].astype(np.float64)
            for modality, part, columns in (
                ("image", image, weight[:, :512]),
                ("title", title, weight[:, 512:1024]),
                ("location", scaled, weight[:, 1024:]),
            ):
                assert np.abs(found.of(modality) - part.astype(np.float64) @ columns.T).max() < 1e-5
            np.testing.assert_array_equal(found.bias[0], tensors["bias"])
    # The golden photo's location is unknown; its scores are those of the authors' own code.
    golden = np.array([photo["expected"][name]["scores"][tag] for tag in info.tags])
    assert np.abs(1 / (1 + np.exp(-total(found)[0])) - golden).max() < 1e-5
    assert (found.location == 0).all()
    assert found.exact.tolist() == [kind == "linear"]
    assert found.head_ids == (info.head_id,)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("modalities", [MODALITIES, ("image", "title"), ("title",), ("image", "location")])
def test_contributions_add_up_to_the_logit_whatever_the_head(
    kind: str, modalities: tuple[str, ...], workspace: Workspace
) -> None:
    head = make_head(workspace, kind, modalities)
    found = explain_all(head)
    assert found.logits.dtype == found.image.dtype == np.float64
    assert found.logits.shape == found.bias.shape == found.title.shape == (3, 49)
    np.testing.assert_array_equal(found.logits, head.logits(features(head)))
    assert np.abs(total(found) - found.logits).max() < 1e-12
    for modality in set(MODALITIES) - set(modalities):
        assert not found.of(modality).any()


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_contribution_is_what_adding_the_modality_changes_on_average_over_all_orders(
    kind: str, workspace: Workspace
) -> None:
    head = make_head(workspace, kind, MODALITIES)
    found = explain_all(head)
    for modality in MODALITIES:
        changes = []
        for order in permutations(MODALITIES):
            later = order[order.index(modality) + 1 :]
            changes.append(head.logits(features(head, later)) - head.logits(features(head, (modality, *later))))
        np.testing.assert_allclose(found.of(modality), np.mean(changes, axis=0), atol=1e-5)
    np.testing.assert_allclose(found.bias, head.logits(features(head, MODALITIES)), atol=1e-5)


def test_the_photos_of_a_bundle_are_explained_by_the_member_that_scored_them(workspace: Workspace) -> None:
    whole = make_head(workspace, "linear", MODALITIES)
    blind = make_head(workspace, "mlp", ("title", "location"))
    bundle = save_bundle(workspace, "both", [whole.info.head_id, blind.info.head_id])
    used = np.array([[True, True, True], [False, True, False], [True, False, False]])
    found = explain(load_scorer(workspace, bundle.head_id), used, *embeddings(), PLACES)
    assert found.head_ids == (whole.info.head_id, blind.info.head_id, whole.info.head_id)
    assert found.exact.tolist() == [True, False, True]
    np.testing.assert_array_equal(found.title[0], explain_all(whole).title[0])
    np.testing.assert_array_equal(found.title[1], explain_all(blind).title[1])
    assert not found.image[1].any()


def test_a_photo_whose_features_are_not_finite_has_no_contributions_and_spoils_no_other(workspace: Workspace) -> None:
    head = make_head(workspace, "linear", MODALITIES)
    image, title = embeddings()
    image[1, 2] = np.inf
    found = explain(Scorer(head.info, [head]), ALL, image, title, PLACES)
    for part in (found.image, found.title, found.location, found.bias, found.logits):
        assert np.isnan(part[1]).all()
    np.testing.assert_array_equal(found.logits[[0, 2]], explain_all(head).logits[[0, 2]])


def test_no_photos_have_no_contributions(workspace: Workspace) -> None:
    head = make_head(workspace, "mlp", ("image",))
    found = explain(Scorer(head.info, [head]), ALL[:0], np.empty((0, DIM), np.float16), None, None)
    assert found.logits.shape == (0, 49)


def test_an_embedding_that_the_head_takes_must_be_there(workspace: Workspace) -> None:
    head = make_head(workspace, "linear", MODALITIES)
    image, title = embeddings()
    with pytest.raises(ValueError, match="needs title"):
        explain(Scorer(head.info, [head]), ALL, image, None, PLACES)
    with pytest.raises(ValueError, match="should be"):
        explain(Scorer(head.info, [head]), ALL, image[:, 1:], title, PLACES)
