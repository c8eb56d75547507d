"""Thresholds against scikit-learn's metrics at each of them, and the rules against a search of all."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from sklearn import metrics as peer

from tf_logreg.fit import threshold_settings
from tf_logreg.model import thresholds


def rows(digits, seed=0):
    rng = np.random.default_rng(seed)
    score = np.round(rng.normal(size=80) * 2, digits)
    return rng.random(80) < scipy.special.expit(score), score, rng.uniform(0.5, 2, 80)


@pytest.mark.parametrize("digits", [0, 12])  # ties, none
def test_each_threshold_has_scikit_learns_metrics(digits):
    member, score, weight = rows(digits)
    found = thresholds.cuts(member, score, weight)
    assert len(found.threshold) == len(np.unique(score)) + 1
    assert (np.diff(found.threshold) < 0).all()
    probability, given = scipy.special.expit(score), {"sample_weight": weight}
    for k, threshold in enumerate(found.threshold):
        called = probability > threshold
        assert found.metric("accuracy")[k] == pytest.approx(peer.accuracy_score(member, called, **given))
        assert found.metric("f1")[k] == pytest.approx(peer.f1_score(member, called, **given))
        recall = peer.balanced_accuracy_score(member, called, **given)
        assert found.metric("balanced_accuracy")[k] == pytest.approx(recall)
        assert found.metric("youden")[k] == pytest.approx(2 * recall - 1, abs=1e-12)
        wrong = np.average(
            np.where(called & ~member, 5, 0) + np.where(~called & member, 2, 0), weights=weight
        )
        assert found.metric("cost", 5, 2)[k] == pytest.approx(wrong)
        assert found.recall[k] == pytest.approx(peer.recall_score(member, called, **given))
        if called.any():
            assert found.precision[k] == pytest.approx(peer.precision_score(member, called, **given))
        assert found.rate[k] == pytest.approx(np.average(called, weights=weight))


@pytest.mark.parametrize("seed", range(5))
def test_rules_take_what_they_say(seed):
    found = thresholds.cuts(*rows(1, seed))
    for metric in threshold_settings.METRICS:
        values = found.metric(metric, 3, 1) * (-1 if metric == "cost" else 1)
        assert values[thresholds.best(found, metric, 3, 1)] == pytest.approx(values.max())
    for share in (0.1, 0.5, 0.9, 1.0):
        k = thresholds.at_recall(found, share)
        assert found.recall[k] >= share - 1e-12
        assert found.recall[k - 1] < share
        k = thresholds.at_rate(found, share)
        assert found.rate[k] <= share + 1e-12
        assert k == len(found.rate) - 1 or found.rate[k + 1] > share
    k = thresholds.at_precision(found, 0.8)
    assert found.precision[k] >= 0.8
    assert (found.precision[k + 1 :] < 0.8).all()


def test_what_no_threshold_reaches():
    found = thresholds.cuts(np.array([False, True, False]), np.array([1.0, 1.0, 0.0]), np.ones(3))
    assert thresholds.at_precision(found, 0.6) is None
    assert thresholds.at_rate(found, 0.5) is None
    assert thresholds.at_recall(found, 1.0) == 1


def test_of_equal_thresholds_the_nearest_to_a_half():
    score = np.array([3.0, 1.0, -1.0, -3.0])
    found = thresholds.cuts(np.array([True, False, True, False]), score, np.ones(4))
    assert found.threshold[thresholds.best(found, "accuracy", 1, 1)] in scipy.special.expit([2.0, -2.0])
    apart = thresholds.cuts(score > 0, score, np.ones(4))
    assert apart.threshold[thresholds.best(apart, "f1", 1, 1)] == 0.5


def test_scores_that_no_probability_tells_apart():
    """A threshold is a float64 probability: beyond 36 it is 1, and there is none between two scores."""
    score = np.array([800.0, 700.0, 40.0, 0.0])
    found = thresholds.cuts(np.array([True, False, True, False]), score, np.ones(4))
    called = [(score > cut).sum() for cut in scipy.special.logit(found.threshold)]
    assert called == (found.hits + found.others).tolist() == [0, 3, 4]


@pytest.mark.parametrize("digits", [0, 12])
def test_the_table_has_every_hundredth(digits):
    rng = np.random.default_rng(3)
    score = np.round(rng.normal(size=5000), digits)
    member = rng.random(5000) < scipy.special.expit(score)
    found = thresholds.cuts(member, score, np.ones(5000))
    table = thresholds.table(found)
    assert table["rate"][[0, -1]].tolist() == [0, 1]
    assert (np.diff(table["threshold"]) < 0).all()
    assert 190 < len(table["rate"]) <= 201 or digits == 0
    if digits:
        for share in ("rate", "recall"):
            nearest = np.abs(table[share] - np.linspace(0, 1, 101)[:, None]).min(axis=1)
            assert nearest.max() <= 1 / member.sum()
    for row in (dict(zip(table, line, strict=True)) for line in list(zip(*table.values(), strict=True))[1:]):
        called = scipy.special.expit(score) > row["threshold"]
        assert row["precision"] == pytest.approx(member[called].mean())
        assert row["recall"] == pytest.approx(called[member].mean())
        assert row["fall_out"] == pytest.approx(called[~member].mean())
        assert row["f1"] == pytest.approx(peer.f1_score(member, called))
    assert np.isnan(table["precision"][0])


def test_gains_and_their_ties():
    score = np.repeat([3.0, 2.0, 1.0, 0.0], [5, 10, 5, 20])
    member = np.zeros(40, bool)
    member[[0, 1, 2, 5, 6, 7, 8, 20]] = True
    gains = thresholds.gains(thresholds.cuts(member, score, np.ones(40)))
    # The first tenth are four of the five highest; the third is seven of the ten next.
    np.testing.assert_allclose(gains["gain"][:3] * 8, [3 * 4 / 5, 3 + 4 * 3 / 10, 3 + 4 * 7 / 10])
    np.testing.assert_allclose(gains["lift"], gains["gain"] / gains["rate"])
    assert gains["gain"][-1] == 1


def test_the_distance_is_scipys():
    member, score, _ = rows(12)
    distance, threshold = thresholds.kolmogorov_smirnov(thresholds.cuts(member, score, np.ones(80)))
    expected = scipy.stats.ks_2samp(score[member], score[~member], alternative="less")
    assert distance == pytest.approx(expected.statistic)
    called = scipy.special.expit(score) > threshold
    assert called[member].mean() - called[~member].mean() == pytest.approx(distance)
