"""Policies with a threshold of its own for each tag."""

from typing import Any

import numpy as np
import pytest

from geotag_batch.predict.policy import Policy
from geotag_batch.taxonomy import tag_names


def _thresholds(**of_first: float) -> tuple[float, ...]:
    return tuple(of_first.get(f"t{place}", 0.5) for place in range(49))


def _scores(*first: float) -> Any:  # noqa: ANN401
    row = np.full((1, 49), 0.1, np.float32)
    row[0, : len(first)] = first
    return row


def test_each_tag_is_held_against_its_own_threshold() -> None:
    policy = Policy(_thresholds(t0=0.9, t1=0.05))
    decisions = policy.decide(_scores(0.8, 0.06, 0.6))
    assert np.flatnonzero(decisions.chosen[0]).tolist() == [1, 2]
    assert not decisions.forced[0]
    assert decisions.top[0] == 0


def test_the_highest_score_is_taken_where_no_tag_passes_its_own() -> None:
    decisions = Policy(_thresholds(t0=0.9)).decide(_scores(0.8, 0.3))
    assert np.flatnonzero(decisions.chosen[0]).tolist() == [0]
    assert decisions.forced[0]
    assert not Policy(_thresholds(t0=0.9), at_least_one=False).decide(_scores(0.8, 0.3)).chosen.any()


def test_a_tag_with_threshold_one_is_given_by_the_at_least_one_rule_alone() -> None:
    policy = Policy(_thresholds(t0=1.0))
    assert np.flatnonzero(policy.choose(_scores(1.0, 0.7))[0]).tolist() == [1]
    assert np.flatnonzero(policy.choose(_scores(1.0, 0.4))[0]).tolist() == [0]


def test_head_json_names_the_tag_of_each_threshold() -> None:
    policy = Policy(_thresholds(t3=0.25))
    document = policy.to_json()
    assert document["threshold"][tag_names()[3]] == 0.25
    assert Policy.from_json(document) == policy
    assert Policy.from_json(document).policy_id == policy.policy_id != Policy().policy_id
    assert policy.describe() == "tags over thresholds of their own from 0.25 to 0.5, at least one"


@pytest.mark.parametrize("thresholds", [(0.5,) * 48, (0.5,) * 48 + (1.5,), (float("nan"),) * 49])
def test_thresholds_that_do_not_go_with_the_tags_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Policy(thresholds)


def test_a_threshold_for_an_unknown_tag_is_refused_by_name() -> None:
    document = Policy(_thresholds()).to_json()
    document["threshold"]["Seaside"] = document["threshold"].pop(tag_names()[0])
    with pytest.raises(ValueError, match="see '"):
        Policy.from_json(document)
