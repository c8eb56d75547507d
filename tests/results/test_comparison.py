"""Paired differences: their intervals cover what they say, and the numbers are those of each model alone."""

import numpy as np
import pytest
from problems import random_problem
from sklearn import metrics as peer

from tf_logreg.data.arrays import from_arrays
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.results import comparison, intervals


def model(classes=2, seed=0, names=("a", "b", "c"), deviation=None):
    head = Head("sigmoid" if classes == 2 else "softmax", classes)
    rng = np.random.default_rng(seed)
    kernel, bias = rng.normal(size=(3, head.outputs)), rng.normal(size=head.outputs)
    return Model(kernel, bias, names, ("x", "y", "z")[:classes], head, deviation=deviation)


def answers(classes, seed, weight=None):
    x, y, _ = random_problem(200, 3, classes)
    source = from_arrays(x, y, weight=weight, class_names=("x", "y", "z")[:classes])
    return comparison.answers(model(classes, seed), source, np.arange(200)), x, y


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_each_models_own_numbers(classes, weighted):
    weight = np.random.default_rng(0).integers(0, 3, 200).astype(float) if weighted else None
    (one, x, y), (other, *_) = answers(classes, 1, weight), answers(classes, 2, weight)
    found = comparison.differences(one, other)
    for name, seed in (("workdir", 1), ("baseline", 2)):
        p = model(classes, seed).predict_proba(x)
        loss = peer.log_loss(y, p, sample_weight=weight)
        assert found["log_loss"][name] == pytest.approx(loss)
        right = peer.accuracy_score(y, p.argmax(axis=1), sample_weight=weight)
        assert found["accuracy"][name] == pytest.approx(right)
        if classes == 2:
            area = peer.roc_auc_score(y, p[:, 1], sample_weight=weight)
            assert found["roc_auc"][name] == pytest.approx(area)
    assert ("roc_auc" in found) == (classes == 2)
    assert found["intervals_missing"] == ("the rows' weights differ" if weighted else "")
    assert (found["log_loss"]["interval"] is None) == weighted
    if not weighted:
        difference = one.loss - other.loss
        half = 1.959964 * difference.std(ddof=1) / np.sqrt(200)
        assert found["log_loss"]["interval"] == pytest.approx(
            [difference.mean() - half, difference.mean() + half]
        )


def test_intervals_cover():
    """2,000 draws of 60 rows: the interval of a difference of accuracies, and of areas, has 95% of them, or more."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        kind = rng.choice(4, size=60, p=[0.6, 0.15, 0.1, 0.15])
        low, high = intervals.of_paired_shares(int((kind == 1).sum()), int((kind == 2).sum()), 60)
        inside += low <= 0.05 <= high
    assert 0.94 < inside / 2000 < 0.98
    low, high = intervals.of_paired_shares(0, 0, 60)
    assert low < 0 < high
    assert intervals.of_paired_shares(0, 0, 0) is None


def test_coefficients_are_matched_by_name():
    one = model(seed=1, deviation=np.array([1.0, 100.0, 1.0]))
    other = model(seed=2, names=("a", "b", "d"))
    found = comparison.coefficients(one, other)
    assert found["feature"][0] == "b"
    assert (found["only_workdir"], found["only_baseline"], found["left_out"]) == (1, 1, 0)
    by_name = dict(zip(found["feature"], zip(found["workdir"], found["baseline"], strict=True), strict=True))
    assert by_name["a"] == (one.kernel[0, 0], other.kernel[0, 0])
    assert by_name["c"] == (one.kernel[2, 0], None)
    assert by_name["d"] == (None, other.kernel[2, 0])


def test_configs():
    found = comparison.of_configs({"a": 1, "b": {"c": 2, "d": {}}}, {"a": 1, "b": {"c": 3, "d": {}}, "e": 4})
    assert found == {"b.c": [2, 3], "e": [None, 4]}
