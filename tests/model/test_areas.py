"""Areas against scikit-learn's, with ties, weights and scores of any size."""

import numpy as np
import pytest
from sklearn import metrics as peer

from tf_logreg.model import areas


@pytest.mark.parametrize("digits", [0, 1, 12])  # many ties, some, none
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_to_scikit_learns(digits, dtype):
    rng = np.random.default_rng(digits)
    score, weight = np.round(rng.normal(size=500) * 3, digits), rng.uniform(0.1, 5, 500).astype(dtype)
    member = rng.random(500) < 1 / (1 + np.exp(-score))
    roc_area, precision = areas.areas(member, score, weight)
    assert roc_area == pytest.approx(
        peer.roc_auc_score(member, score, sample_weight=weight.astype(float)), rel=1e-12
    )
    expected = peer.average_precision_score(member, score, sample_weight=weight.astype(float))
    assert precision == pytest.approx(expected, rel=1e-12)


def test_one_score_for_all_says_nothing():
    assert areas.areas(np.array([True, False, False]), np.zeros(3), np.ones(3)) == (0.5, pytest.approx(1 / 3))


def test_a_perfect_order():
    score = np.array([1e300, 3.0, -1e300, -2.0])
    assert areas.areas(score > 0, score, np.ones(4)) == (1.0, 1.0)
    assert areas.areas(score < 0, score, np.ones(4))[0] == 0.0
