"""Metrics against scikit-learn, for uneven batches, row weights and any number of replicas."""

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
        pipeline.distribute(strategy, batches),
        strategy=strategy,
        num_classes=classes,
        max_rows=1000,
    )
    predicted = probabilities.argmax(axis=1)
    close = dict(abs=1e-6)
    assert numbers["num_rows"] == 501
    assert numbers["log_loss"] == pytest.approx(
        peer.log_loss(y, probabilities, sample_weight=weight), **close
    )
    assert numbers["accuracy"] == pytest.approx(
        peer.accuracy_score(y, predicted, sample_weight=weight), **close
    )
    np.testing.assert_allclose(arrays["confusion"], peer.confusion_matrix(y, predicted, sample_weight=weight))
    if classes == 2:
        expected = peer.roc_auc_score(y, probabilities[:, 1], sample_weight=weight)
    else:
        # scikit-learn's own multi_class='ovr' takes row weights for each class in the same way.
        expected = peer.roc_auc_score(y, probabilities, sample_weight=weight, multi_class="ovr")
    assert numbers["roc_auc"] == pytest.approx(expected, **close)


def test_beyond_max_rows_the_area_is_left_out(fitted, strategies):
    source, model, *_ = fitted
    numbers, _ = evaluate.evaluate(
        model,
        pipeline.distribute(strategies["off"], pipeline.sequential_batches(source, np.arange(501))),
        strategy=strategies["off"],
        num_classes=len(source.class_names),
        max_rows=500,
    )
    assert numbers["roc_auc"] is None
    assert "max_rows=500" in numbers["roc_auc_missing"]


def test_extreme_logits_have_finite_loss():
    logits = np.array([[1e4], [-1e4], [3.0]], np.float32)
    total = metrics.sums(logits, np.array([0, 1, 1]), np.ones(3), 2)
    assert total["log_loss_sum"] == pytest.approx(2e4 + np.log1p(np.exp(-3)))
    np.testing.assert_allclose(np.exp(metrics.log_probabilities(logits)).sum(axis=1), 1)


def test_the_area_of_a_missing_class_is_none_with_the_reason():
    area, reason = metrics.roc_auc(np.zeros((4, 3)), np.array([0, 1, 1, 0]), np.ones(4), 3)
    assert area is None
    assert reason == "1 of 3 classes have no rows here"


def test_a_row_of_weight_0_is_absent():
    logits, y = np.array([[1.0], [-2.0], [9.0]]), np.array([1, 0, 0])
    with_row = metrics.from_sums(metrics.sums(logits, y, np.array([1.0, 2.0, 0.0]), 2))
    without = metrics.from_sums(metrics.sums(logits[:2], y[:2], np.array([1.0, 2.0]), 2))
    assert {**with_row, "num_rows": 2} == without
    assert metrics.roc_auc(logits, y, np.array([1.0, 2.0, 0.0]), 2)[0] == 1.0
