import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geotag_batch.predict.policy import Policy

SCORES = np.array([[0.9, 0.6, 0.1], [0.5, 0.4, 0.3], [0.2, 0.3, 0.3]], np.float32)


def test_every_tag_over_the_threshold_is_chosen_and_none_at_it() -> None:
    assert Policy(0.5, at_least_one=False).decide(SCORES).chosen.tolist() == [
        [True, True, False],
        [False, False, False],
        [False, False, False],
    ]


def test_a_photo_without_a_tag_gets_the_highest_and_that_is_marked() -> None:
    decisions = Policy().decide(SCORES)
    assert decisions.chosen.tolist() == [[True, True, False], [True, False, False], [False, True, False]]
    assert decisions.forced.tolist() == [False, True, True]
    assert decisions.top.tolist() == [0, 0, 1]


def test_without_that_rule_nothing_is_forced() -> None:
    assert not Policy(0.99, at_least_one=False).decide(SCORES).forced.any()


def test_the_set_probability_is_the_product_over_all_tags() -> None:
    decisions = Policy().decide(SCORES)
    assert decisions.set_probability.dtype == np.float32
    assert decisions.set_probability == pytest.approx([0.9 * 0.6 * 0.9, 0.5 * 0.6 * 0.7, 0.8 * 0.3 * 0.7])


@given(
    scores=arrays(np.float32, (3, 49), elements=st.floats(0, 1, width=32)),
    threshold=st.floats(0, 0.99),
    at_least_one=st.booleans(),
)
def test_a_photo_has_no_tag_only_where_that_is_allowed(scores: Any, threshold: float, at_least_one: bool) -> None:  # noqa: ANN401
    decisions = Policy(threshold, at_least_one).decide(scores)
    assert decisions.chosen.any(axis=1).all() or not at_least_one
    for row in range(3):
        chosen = scores[row][decisions.chosen[row]]
        left_out = scores[row][~decisions.chosen[row]]
        assert not len(chosen) or not len(left_out) or chosen.min() >= left_out.max()
        assert (scores[row][decisions.top[row]] >= scores[row]).all()


def test_another_policy_has_another_id() -> None:
    ids = {Policy().policy_id, Policy(0.2).policy_id, Policy(0.5, at_least_one=False).policy_id}
    assert len(ids) == 3
    assert Policy(0.5).policy_id == Policy().policy_id


def test_a_policy_survives_its_json() -> None:
    for policy in (Policy(), Policy(0.2, at_least_one=False)):
        assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy


@pytest.mark.parametrize("threshold", [-0.1, 1.0, 2, float("nan")])
def test_a_threshold_that_no_score_could_be_over_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Policy(threshold)
