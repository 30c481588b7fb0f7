"""Training: epochs over shared batches, until each head has finished.

Heads that are trained together see the same batches, read and shuffled once; each becomes bit for bit what it would
become alone. Nothing here depends on torch's global random state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from geotag_batch.predict.policy import Policy
from geotag_batch.train.examples import Batches, Examples, Shuffled
from geotag_batch.train.learner import Epoch, Learner
from geotag_batch.train.recipe import HIDDEN
from geotag_batch.train.tally import Tally

__all__ = ["Watch", "train"]

_JUDGED_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of progress, and who may end it.

    `step` is called after each batch with the share of the epoch that is done, `epoch` after each epoch of a head,
    `stopping` is asked before each batch.
    """

    step: Callable[[float], None] = lambda share: None
    epoch: Callable[[Learner, Epoch], None] = lambda learner, epoch: None
    stopping: Callable[[], bool] = lambda: False


def train(learners: Sequence[Learner], examples: Examples, policy: Policy, watch: Watch) -> bool:
    """Train until every learner has finished; return False if `watch.stopping` ended it before.

    The learners have the same seed, batch size and weight of rejected tags. Those behind the others are trained first,
    until all are at the same epoch. `policy` decides on the validation part. An epoch that was stopped leaves the
    learners' states undefined: take up the last one that was written down.
    """
    recipes = [learner.recipe for learner in learners]
    assert len({(recipe.seed, recipe.batch_size, recipe.rejected_weight) for recipe in recipes}) <= 1
    with torch.inference_mode():
        while active := [learner for learner in learners if not learner.finished]:
            done = min(len(learner.history) for learner in active)
            group = [learner for learner in active if len(learner.history) == done]
            if not _run_epoch(group, examples, policy, watch):
                return False
    return True


def _run_epoch(learners: Sequence[Learner], examples: Examples, policy: Policy, watch: Watch) -> bool:
    recipe = learners[0].recipe
    modalities = {modality for learner in learners for modality in learner.recipe.modalities}
    shuffled = Shuffled.of(examples.training, recipe.seed, len(learners[0].history))
    size = recipe.batch_size_for(len(shuffled.rows))
    batches = Batches(examples, modalities, size, recipe.rejected_weight)
    losses = [torch.zeros(()) for _ in learners]
    for learner in learners:
        learner.begin_epoch()
    for start in range(0, len(shuffled.rows), size):
        if watch.stopping():
            return False
        plain = batches.plain(shuffled.rows[start : start + size])
        mixed = batches.mixed(plain, shuffled.mixing) if any(learner.recipe.mixup for learner in learners) else plain
        mlp = any(learner.recipe.head == "mlp" for learner in learners)
        kept = shuffled.kept(len(plain), HIDDEN) if mlp else None
        for place, learner in enumerate(learners):
            losses[place] += learner.learn(mixed if learner.recipe.mixup else plain, kept) * len(plain)
        watch.step((start + len(plain)) / len(shuffled.rows))
    for learner, loss, tally in zip(learners, losses, _judge(learners, examples, policy, modalities), strict=True):
        watch.epoch(learner, learner.end_epoch(float(loss) / len(shuffled.rows), tally))
    return True


def _judge(learners: Sequence[Learner], examples: Examples, policy: Policy, modalities: set[str]) -> list[Tally]:
    batches = Batches(examples, modalities, _JUDGED_AT_ONCE)
    tallies = [Tally(examples.labels.shape[1]) for _ in learners]
    for start in range(0, len(examples.validation), _JUDGED_AT_ONCE):
        rows = examples.validation[start : start + _JUDGED_AT_ONCE]
        batch, truth = batches.plain(rows), examples.labels[rows]
        for learner, tally in zip(learners, tallies, strict=True):
            tally.add(truth, policy.choose(learner.scores(batch)))
    return tallies
