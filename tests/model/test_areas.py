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
    roc_area, precision, deviation = areas.areas(member, score, weight)
    assert deviation is None
    assert roc_area == pytest.approx(
        peer.roc_auc_score(member, score, sample_weight=weight.astype(float)), rel=1e-12
    )
    expected = peer.average_precision_score(member, score, sample_weight=weight.astype(float))
    assert precision == pytest.approx(expected, rel=1e-12)


def test_one_score_for_all_says_nothing():
    found = areas.areas(np.array([True, False, False]), np.zeros(3), np.ones(3))
    assert found == (0.5, pytest.approx(1 / 3), None)


def test_a_perfect_order():
    score = np.array([1e300, 3.0, -1e300, -2.0])
    assert areas.areas(score > 0, score, np.ones(4)) == (1.0, 1.0, 0.0)
    assert areas.areas(score < 0, score, np.ones(4))[0] == 0.0


def test_the_deviation_of_a_published_area():
    """Hanley and McNeil (Radiology 1982), table I; by DeLong's formula Stata's manual (roctab) has 0.8932 and 0.0307."""
    score = np.concatenate([np.repeat(range(5), [33, 6, 6, 11, 2]), np.repeat(range(5), [3, 2, 2, 11, 33])])
    found = areas.areas(np.repeat([False, True], [58, 51]), score.astype(float), np.full(109, 0.25))
    assert found.roc == pytest.approx(0.8932, abs=5e-5)
    assert found.roc_deviation == pytest.approx(0.0307, abs=5e-5)
    # Its interval there: 0.83295 to 0.95339.
    assert found.roc - 1.96 * found.roc_deviation == pytest.approx(0.83295, abs=1e-5)


@pytest.mark.parametrize("digits", [0, 1, 12])
def test_the_deviation_of_all_pairs(digits):
    rng = np.random.default_rng(digits)
    score = np.round(rng.normal(size=120) * 2, digits)
    member = rng.random(120) < 0.4
    above = score[member][:, None] - score[~member]
    kernel = np.where(above == 0, 0.5, above > 0)  # of DeLong et al., by pair of a member and another
    variance = kernel.mean(axis=1).var(ddof=1) / len(kernel) + kernel.mean(axis=0).var(ddof=1) / len(kernel.T)
    found = areas.areas(member, score, np.full(120, 3.0))
    assert found.roc == pytest.approx(kernel.mean(), rel=1e-12)
    assert found.roc_deviation == pytest.approx(np.sqrt(variance), rel=1e-10)


@pytest.mark.parametrize("digits", [0, 1, 12])
def test_the_deviation_of_a_difference_of_all_pairs(digits):
    """DeLong et al. (1988), eq. 5 with the contrast (1, -1), from the covariances of their components."""
    rng = np.random.default_rng(digits)
    first = np.round(rng.normal(size=90) * 2, digits)
    scores = first, np.round(first + rng.normal(size=90), digits)
    member = rng.random(90) < 0.4
    kernels = []
    for score in scores:
        above = score[member][:, None] - score[~member]
        kernels.append(np.where(above == 0, 0.5, above > 0))
    contrast = np.array([1, -1])
    of_members, of_others = (np.cov([one.mean(axis=axis) for one in kernels]) for axis in (1, 0))
    variance = contrast @ (of_members / member.sum() + of_others / (~member).sum()) @ contrast
    assert areas.deviation_of_difference(member, *scores) == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert areas.deviation_of_difference(member, first, first) == 0
    assert areas.deviation_of_difference(np.arange(90) == 3, *scores) is None
