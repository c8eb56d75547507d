"""Metrics against scikit-learn, for uneven batches, row weights and any number of replicas."""

import json

import numpy as np
import pytest
from problems import random_problem
from sklearn import metrics as peer

from tf_logreg.data import pipeline
from tf_logreg.data.source import from_arrays
from tf_logreg.model import dense
from tf_logreg.results import evaluate, metrics


@pytest.fixture(params=[2, 3, 7])
def fitted(request):
    """A source, a model with random weights, and what it should say about each row."""
    classes = request.param
    x, y, weight = random_problem(501, 6, classes)
    output = dense.resolve_output("auto", classes)
    model = dense.build(6, classes, output=output, bias=True, dtype="float64")
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=model.get_layer("logits").kernel.shape)
    dense.set_weights(model, kernel, rng.normal(size=kernel.shape[1]))
    source = from_arrays(x, y, weight=weight, class_names=tuple(map(str, range(classes))))
    probabilities = np.asarray(model.predict(x, verbose=0))
    if classes == 2:
        probabilities = np.hstack([1 - probabilities, probabilities])
    return source, model, y, weight, probabilities


@pytest.mark.parametrize("kind", ["one_device", "mirrored"])
def test_equal_to_scikit_learns(fitted, strategies, monkeypatch, kind):
    monkeypatch.setattr(pipeline, "_BLOCK_ELEMENTS", 6 * 50)  # ten batches of 50 and one of 1
    source, model, y, weight, probabilities = fitted
    strategy, classes = strategies[kind], len(source.class_names)
    batches = pipeline.sequential_batches(source, np.arange(501), replicas=strategy.num_replicas_in_sync)
    numbers, arrays = evaluate.evaluate(
        model,
        pipeline.distribute(strategy, lambda _: batches),
        strategy=strategy,
        num_classes=classes,
        max_rows=1000,
    )
    predicted, one_hot = probabilities.argmax(axis=1), np.eye(classes)[y]
    with_weight = {"sample_weight": weight}
    binary = classes == 2
    share, mean_prediction = np.average(one_hot, 0, weight), np.average(probabilities, 0, weight)
    expected = {
        "num_rows": 501,
        "log_loss": peer.log_loss(y, probabilities, **with_weight),
        "accuracy": peer.accuracy_score(y, predicted, **with_weight),
        "balanced_accuracy": peer.balanced_accuracy_score(y, predicted, **with_weight),
        "brier_score": peer.brier_score_loss(
            y, probabilities[:, 1] if binary else probabilities, **with_weight
        ),
        "expected_calibration_error": calibration_error(probabilities, y, weight),
        "accuracy_baseline": share.max(),
        "label/mean": share[1] if binary else share,
        "prediction/mean": mean_prediction[1] if binary else mean_prediction,
    }
    score = probabilities[:, 1] if binary else probabilities
    expected["roc_auc"] = peer.roc_auc_score(
        y, score, **with_weight, **({} if binary else {"multi_class": "ovr"})
    )
    expected["pr_auc"] = np.mean(
        [
            peer.average_precision_score(y == c, probabilities[:, c], **with_weight)
            for c in ([1] if binary else range(classes))
        ]
    )
    if classes >= 6:
        expected["top_5_accuracy"] = peer.top_k_accuracy_score(y, probabilities, k=5, **with_weight)
    assert set(numbers) == {*expected, "per_class"}
    for name, value in expected.items():
        np.testing.assert_allclose(numbers[name], value, atol=1e-6, err_msg=name)
    per_class = peer.precision_recall_fscore_support(y, predicted, zero_division=0, **with_weight)
    for name, value in zip(("precision", "recall", "f1"), per_class[:3], strict=True):
        np.testing.assert_allclose(numbers["per_class"][name], value, atol=1e-6)
    np.testing.assert_allclose(arrays["confusion"], peer.confusion_matrix(y, predicted, **with_weight))
    bins, top, correct = arrays["calibration"], probabilities.max(axis=1), predicted == y
    for b in range(15):
        inside = (top > b / 15) & (top <= (b + 1) / 15)
        assert bins[b, 0] == weight[inside].sum()
        if inside.any():
            means = [np.average(v[inside], weights=weight[inside]) for v in (top, correct)]
            np.testing.assert_allclose(bins[b, 1:], means, atol=1e-6)
        else:
            assert np.isnan(bins[b, 1:]).all()
    json.dumps(numbers, allow_nan=False)


def calibration_error(probabilities, y, weight):
    """Guo et al. 2017, eq. 3, bin by bin."""
    top, correct, error = probabilities.max(axis=1), probabilities.argmax(axis=1) == y, 0.0
    for b in range(15):
        inside = (top > b / 15) & (top <= (b + 1) / 15)
        if inside.any():
            gap = np.average(correct[inside], weights=weight[inside]) - np.average(
                top[inside], weights=weight[inside]
            )
            error += weight[inside].sum() / weight.sum() * abs(gap)
    return error


def test_beyond_max_rows_the_area_is_left_out(fitted, strategies):
    source, model, *_ = fitted
    numbers, _ = evaluate.evaluate(
        model,
        pipeline.distribute(strategies["off"], lambda _: pipeline.sequential_batches(source, np.arange(501))),
        strategy=strategies["off"],
        num_classes=len(source.class_names),
        max_rows=500,
    )
    assert numbers["roc_auc"] is None
    assert numbers["pr_auc"] is None
    assert "max_rows=500" in numbers["areas_missing"]


def test_extreme_logits_have_finite_loss():
    logits = np.array([[1e4], [-1e4], [3.0]], np.float32)
    total = metrics.sums(logits, np.array([0, 1, 1]), np.ones(3), 2)
    assert total["log_loss_sum"] == pytest.approx(2e4 + np.log1p(np.exp(-3)))
    np.testing.assert_allclose(np.exp(metrics.log_probabilities(logits)).sum(axis=1), 1)


def test_the_areas_of_a_missing_class_are_none_with_the_reason():
    found = metrics.areas(np.zeros((4, 3)), np.array([0, 1, 1, 0]), np.ones(4), 3)
    assert found == {"roc_auc": None, "pr_auc": None, "areas_missing": "1 of 3 classes have no rows here"}
    total = metrics.sums(np.zeros((4, 3)), np.array([0, 1, 1, 0]), np.ones(4), 3)
    numbers = metrics.from_sums(total)
    assert numbers["balanced_accuracy"] == 0.5  # of the two classes present
    assert numbers["per_class"]["f1"][2] == 0
    json.dumps(numbers, allow_nan=False)


def test_a_row_of_weight_0_is_absent():
    logits, y = np.array([[1.0], [-2.0], [np.inf]]), np.array([1, 0, 0])
    with_row = metrics.from_sums(metrics.sums(logits, y, np.array([1.0, 2.0, 0.0]), 2))
    without = metrics.from_sums(metrics.sums(logits[:2], y[:2], np.array([1.0, 2.0]), 2))
    assert {**with_row, "num_rows": 2} == without
    assert metrics.areas(logits, y, np.array([1.0, 2.0, 0.0]), 2) == {"roc_auc": 1.0, "pr_auc": 1.0}


def test_two_columns_and_a_weight_of_0_in_the_areas():
    logits = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.5], [0.0, np.inf]], np.float32)
    y, weight = np.array([0, 1, 0, 0]), np.array([1.0, 2.0, 1.0, 0.0])
    difference = logits[:, 1:] - logits[:, :1]
    assert metrics.areas(logits, y, weight, 2) == metrics.areas(difference, y, weight, 2)
    three = np.hstack([logits, np.array([[0.0], [1.0], [4.0], [0.0]], np.float32)])
    y[2] = 2
    assert metrics.areas(three, y, weight, 3) == metrics.areas(three[:3], y[:3], weight[:3], 3)


@pytest.mark.parametrize("num_classes", [2, 7])
def test_without_any_weight_means_are_none(num_classes):
    logits = np.zeros((3, 1 if num_classes == 2 else num_classes))
    total = metrics.sums(logits, np.array([0, 1, 1]), np.zeros(3), num_classes)
    numbers = metrics.from_sums(total)
    assert numbers.pop("num_rows") == 3
    assert numbers.pop("per_class") == dict.fromkeys(("precision", "recall", "f1"), [0.0] * num_classes)
    if num_classes == 7:
        assert numbers.pop("label/mean") == numbers.pop("prediction/mean") == [None] * 7
    assert set(numbers.values()) == {None}
    assert metrics.areas(logits, np.array([0, 1, 1]), np.zeros(3), num_classes)["roc_auc"] is None


@pytest.mark.parametrize("num_classes", [2, 7])
def test_sums_of_batches_add_up(num_classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(100, 1 if num_classes == 2 else num_classes)) * 3
    y, weight = rng.integers(0, num_classes, 100), rng.uniform(size=100)
    whole = metrics.sums(logits, y, weight, num_classes)
    parts = [
        metrics.sums(logits[i:j], y[i:j], weight[i:j], num_classes) for i, j in ((0, 1), (1, 60), (60, 100))
    ]
    for name, value in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), value, rtol=1e-12)
