"""Metrics of logits that are extreme, missing, weightless or many."""

import functools
import json

import numpy as np
import pytest

from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model
from tf_logreg.results import evaluate, metrics


def test_extreme_logits_have_finite_loss():
    logits = np.array([[1e4], [-1e4], [3.0]], np.float32)
    total = metrics.sums(logits, np.array([0, 1, 1]), np.ones(3), 2)
    assert total["log_loss_sum"] == pytest.approx(2e4 + np.log1p(np.exp(-3)))
    np.testing.assert_allclose(np.exp(metrics.log_probabilities(logits)).sum(axis=0), 1)


def of_rows(logits, y, weight, classes):
    """Metrics of given logits: those of a model whose kernel is one, on rows that are the logits."""
    outputs = logits.shape[1]
    names = tuple(map(str, range(outputs))), tuple(map(str, range(classes)))
    model = Model(np.eye(outputs), np.zeros(outputs), *names, heads.resolve("auto", classes), dtype="float64")
    source = from_arrays(logits, y, weight=weight, class_names=names[1])
    return evaluate.evaluate(model, source, np.arange(len(y)), Devices(), max_rows=100, max_bytes=10**6)[0]


def test_the_areas_of_a_missing_class_are_none_with_the_reason():
    numbers = of_rows(np.zeros((4, 3)), np.array([0, 1, 1, 0]), np.ones(4), 3)
    assert (numbers["roc_auc"], numbers["pr_auc"]) == (None, None)
    assert numbers["areas_missing"] == "1 of 3 classes have no rows here"
    assert numbers["balanced_accuracy"] == 0.5  # of the two classes present
    assert numbers["per_class"]["f1"][2] == 0
    json.dumps(numbers, allow_nan=False)


def test_a_row_of_weight_0_is_absent():
    logits, y = np.array([[1.0], [-2.0], [np.inf]]), np.array([1, 0, 0])
    with_row = of_rows(logits, y, np.array([1.0, 2.0, 0.0]), 2)
    without = of_rows(logits[:2], y[:2], np.array([1.0, 2.0]), 2)
    assert {**with_row, "num_rows": 2} == without
    assert (without["roc_auc"], without["pr_auc"]) == (1.0, 1.0)


def test_two_columns_and_a_weight_of_0_in_the_areas():
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.5], [0.0, 7.0]])
    y, weight = np.array([0, 1, 0, 0]), np.array([1.0, 2.0, 1.0, 0.0])
    difference = logits[:, 1:] - logits[:, :1]
    found = of_rows(logits, y, weight, 2)
    for name in ("roc_auc", "pr_auc"):
        assert found[name] == of_rows(difference, y, weight, 2)[name]
    three = np.hstack([logits, np.array([[0.0], [1.0], [4.0], [0.0]])])
    y[2] = 2
    for name in ("roc_auc", "pr_auc"):
        assert of_rows(three, y, weight, 3)[name] == of_rows(three[:3], y[:3], weight[:3], 3)[name]


@pytest.mark.parametrize("num_classes", [2, 7])
def test_without_any_weight_means_are_none(num_classes):
    logits = np.zeros((3, 1 if num_classes == 2 else num_classes))
    numbers = of_rows(logits, np.array([0, 1, 1]), np.zeros(3), num_classes)
    assert numbers.pop("num_rows") == 3
    assert numbers.pop("per_class") == dict.fromkeys(("precision", "recall", "f1"), [0.0] * num_classes)
    assert numbers.pop("areas_missing") == f"{num_classes} of {num_classes} classes have no rows here"
    if num_classes == 7:
        assert numbers.pop("label/mean") == numbers.pop("prediction/mean") == [None] * 7
    assert set(numbers.values()) == {None}


@pytest.mark.parametrize("num_classes", [2, 7])
def test_sums_of_batches_add_up(num_classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(100, 1 if num_classes == 2 else num_classes)) * 3
    y, weight = rng.integers(0, num_classes, 100), rng.uniform(size=100)
    whole = metrics.sums(logits, y, weight, num_classes)
    parts = [
        metrics.sums(logits[i:j], y[i:j], weight[i:j], num_classes) for i, j in ((0, 1), (1, 60), (60, 100))
    ]
    together = functools.reduce(metrics.added, parts)
    for name, value in whole.items():
        np.testing.assert_allclose(together[name], value, rtol=1e-12, err_msg=name)


def test_pairs_of_50_000_classes_are_beyond_32_bits():
    """NumPy 1 keeps int32 labels times a number of classes in int32."""
    logits = np.zeros((3, 50_000), np.float32)
    logits[range(3), [49_998, 0, 7]] = 1
    y, weight = np.array([49_999, 0, 49_999], np.int32), np.array([1.0, 2.0, 4.0], np.float32)
    total = metrics.sums(logits, y, weight, 50_000)
    found = metrics.confusion(total)
    assert found["confusion_true"].tolist() == [0, 49_999, 49_999]
    assert found["confusion_predicted"].tolist() == [0, 7, 49_998]
    assert found["confusion_weight"].tolist() == [2, 4, 1]


def test_an_infinite_loss_is_null_with_the_reason():
    logits, y, weight = np.array([[np.inf], [1.0], [-2.0]]), np.array([0, 1, 0]), np.ones(3)
    numbers = metrics.from_sums(metrics.sums(logits, y, weight, 2))
    assert numbers["log_loss"] is None
    assert "infinite" in numbers["log_loss_missing"]
    assert numbers["accuracy"] == pytest.approx(2 / 3)
    found = metrics.areas([np.array([np.inf, 1.0, np.nan])], y, weight, 2)
    assert found["roc_auc"] is None
    assert "infinite" in found["areas_missing"]
