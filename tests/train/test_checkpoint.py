"""Training that was interrupted and goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geotag_batch.errors import InputError, StorageError
from geotag_batch.predict.policy import Policy
from geotag_batch.train.checkpoint import Checkpoints
from geotag_batch.train.learner import Learner
from geotag_batch.train.recipe import Recipe
from geotag_batch.train.trainer import Watch, train
from tests.train.labelled import make_examples

_EXAMPLES = make_examples(200, 50)
_FACTS = {"recipe": {"seed": 0, "mixup": True}, "photos": 200}


def _learner(head: Any = "mlp") -> Learner:  # noqa: ANN401
    recipe = Recipe.published(head, mixup=True, epochs=7, patience=7)
    return Learner(recipe, _EXAMPLES.widths(recipe.modalities), 49)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_an_interrupted_training_gives_bit_for_bit_the_uninterrupted_head(tmp_path: Path, head: Any) -> None:  # noqa: ANN401
    checkpoints = Checkpoints(tmp_path)
    whole = _learner(head)
    train([whole], _EXAMPLES, Policy(), Watch())

    seen = 0
    while True:  # a new process each time, stopped after three more epochs, in the middle of the fourth
        learner = _learner(head)
        assert checkpoints.resume("a head", learner, _FACTS) == (seen > 0)
        assert len(learner.history) == seen
        batches = iter(range(3 * 17 + 5))
        done = train(
            [learner],
            _EXAMPLES,
            Policy(),
            Watch(
                epoch=lambda learner, _: checkpoints.save("a head", learner, _FACTS),
                stopping=lambda batches=batches: next(batches, None) is None,  # type: ignore[misc]
            ),
        )
        if done:
            break
        seen += 3
    assert seen == 6
    assert learner.history == whole.history
    for name, tensor in whole.result().tensors.items():
        assert np.array_equal(learner.result().tensors[name], tensor)


def test_a_changed_recipe_or_other_photos_are_refused_by_name(tmp_path: Path) -> None:
    checkpoints, learner = Checkpoints(tmp_path), _learner()
    checkpoints.save("a head", learner, _FACTS)
    changed = {"recipe": {"seed": 3, "mixup": True}, "photos": 201}
    with pytest.raises(InputError, match=r"photos was 200, is 201; recipe\.seed was 0, is 3") as caught:
        checkpoints.resume("a head", _learner(), changed)
    assert "--restart" in str(caught.value.hint)
    assert not checkpoints.resume("another head", _learner(), changed)
    checkpoints.remove("a head")
    checkpoints.remove("a head")
    assert not checkpoints.resume("a head", _learner(), changed)


def test_a_broken_checkpoint_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("a head", _learner(), _FACTS)
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    for broken in (b"", whole[:20], whole[:-100]):
        path.write_bytes(broken)
        with pytest.raises(StorageError, match=r"a head\.safetensors is broken"):
            checkpoints.resume("a head", _learner(), _FACTS)
    checkpoints.save("a head", _learner("linear"), _FACTS)  # whole, but another kind's
    with pytest.raises(StorageError, match="is broken"):
        checkpoints.resume("a head", _learner(), _FACTS)
