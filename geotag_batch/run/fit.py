"""Decision policies and temperatures fitted on the photos that a head did not learn from."""

import math
from dataclasses import dataclass, replace

from geotag_batch.config import Config
from geotag_batch.fingerprint import software_versions
from geotag_batch.predict.head import Head, HeadDraft, HeadInfo, find_head_id, load_head, save_head, save_policy
from geotag_batch.predict.policy import Policy
from geotag_batch.run.judging import judge, seed_of, split_warning
from geotag_batch.run.lock import hold_lock
from geotag_batch.taxonomy import tag_names
from geotag_batch.train.calibrate import fit_temperature
from geotag_batch.train.dataset import Split
from geotag_batch.train.fit_policy import Goal, fit_policy, reached
from geotag_batch.train.metrics import calibration
from geotag_batch.workspace import Workspace
from geotag_batch.write.runs import utc_now

__all__ = ["Aim", "CalibrateReport", "FitReport", "calibrate_head", "fit_head"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a policy is fitted for; `seed` is that of the split, by default the head's own."""

    goal: Goal
    by_tag: bool = True
    at_least_one: bool = True
    precision: float = 0.9
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class FitReport:
    """A head with its new policy, what the goal was `before` and is `after`, and the tags that `never` reach it."""

    head: HeadInfo
    before: float
    after: float
    photos: int
    never: list[str]
    warning: str | None


@dataclass(frozen=True, slots=True)
class CalibrateReport:
    """The new head, its temperature, and the expected calibration error `before` and `after`."""

    head: HeadInfo
    temperature: float
    before: float
    after: float
    photos: int
    warning: str | None


def fit_head(workspace: Workspace, config: Config, head: str, aim: Aim) -> FitReport:
    """Fit a head's decision policy on its validation photos and save it; the head_id stays.

    Raises HeadError, InputError, CatalogueError, StorageError or LockedError.
    """
    with hold_lock(workspace):
        loaded = load_head(workspace, find_head_id(workspace, head))
        split = Split(seed_of(loaded) if aim.seed is None else aim.seed)
        judged = judge(workspace, config, [loaded], split)
        truth, (scores,) = judged.truth, judged.given
        policy = fit_policy(
            truth, scores, aim.goal, by_tag=aim.by_tag, at_least_one=aim.at_least_one, precision=aim.precision
        )
        info = save_policy(workspace, loaded.info.head_id, policy)
    never = []
    if aim.goal == "precision" and isinstance(policy.threshold, tuple):
        never = [tag for tag, threshold in zip(tag_names(), policy.threshold, strict=True) if threshold == 1]
    before = reached(loaded.info.policy, truth, scores, aim.goal)
    after = reached(policy, truth, scores, aim.goal)
    return FitReport(info, before, after, len(truth), never, split_warning(loaded, split))


def calibrate_head(workspace: Workspace, config: Config, head: str, seed: int | None = None) -> CalibrateReport:
    """Fit a temperature on a head's validation photos and save the head that has it in its weights.

    The last layer is divided by the temperature: another head, for its scores are others. Its thresholds are scaled
    as its scores are, so that it gives the same tags. Raises HeadError, InputError, CatalogueError, StorageError or
    LockedError.
    """
    with hold_lock(workspace):
        loaded = load_head(workspace, find_head_id(workspace, head))
        split = Split(seed_of(loaded) if seed is None else seed)
        logits = judge(workspace, config, [loaded], split, ask=Head.logits)
        temperature = fit_temperature(logits.given[0], logits.truth)
        prefix = "" if loaded.info.type == "linear" else "3."
        tensors = dict(loaded.tensors)
        for name in ("weight", "bias"):
            tensors[prefix + name] = tensors[prefix + name] / temperature
        before = calibration(logits.truth, judge(workspace, config, [loaded], split).given[0]).error
        made = Head(replace(loaded.info), tensors)
        after = calibration(logits.truth, judge(workspace, config, [made], split).given[0]).error
        draft = _draft(loaded.info, temperature, before, after)
        info = save_head(workspace, replace(draft, policy=_scaled(loaded.info.policy, temperature)), tensors)
    return CalibrateReport(info, temperature, before, after, len(logits.ids), split_warning(loaded, split))


def _scaled(policy: Policy, temperature: float) -> Policy:
    """Return the policy that gives the same tags from scores whose logits were divided by `temperature`."""

    def scale(threshold: float) -> float:
        if threshold in (0.0, 0.5, 1.0):
            return threshold
        return 1 / (1 + math.exp(-math.log(threshold / (1 - threshold)) / temperature))

    if isinstance(policy.threshold, tuple):
        return replace(policy, threshold=tuple(map(scale, policy.threshold)))
    return replace(policy, threshold=scale(policy.threshold))


def _draft(info: HeadInfo, temperature: float, before: float, after: float) -> HeadDraft:
    provenance = {
        **info.provenance,
        "calibrated_from": info.head_id,
        "temperature": temperature,
        "calibrated_at": f"{utc_now().isoformat(timespec='seconds')}Z",
        "expected_calibration_error": {"before": before, "after": after},
        "software": software_versions(),
    }
    return HeadDraft(
        name=f"{info.name}-calibrated" if not info.name.endswith("-calibrated") else info.name,
        modalities=info.modalities,
        dim=info.dim,
        location=info.location,
        encoder_id=info.encoder_id,
        encoder_declared=info.encoder_declared,
        policy=info.policy,
        metrics=info.metrics,
        provenance=provenance,
    )
