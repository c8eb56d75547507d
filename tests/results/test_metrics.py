"""Metrics against scikit-learn, for uneven batches, row weights and any number of replicas."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from ml_collections import ConfigDict
from problems import random_problem
from sklearn import metrics as peer

from tf_logreg.data import host_rows, pipeline
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.model import head as heads
from tf_logreg.model.head import Head
from tf_logreg.model.model import Model
from tf_logreg.results import evaluate, measurement, metrics


@pytest.fixture(params=[2, 3, 7])
def fitted(request):
    """A source, a model with random weights, and what it should say about each row."""
    classes = request.param
    x, y, weight = random_problem(501, 6, classes)
    head, rng = heads.resolve("auto", classes), np.random.default_rng(0)
    kernel, names = rng.normal(size=(6, head.outputs)), tuple(map(str, range(classes)))
    source = from_arrays(x, y, weight=weight, class_names=names)
    model = Model(kernel, rng.normal(size=head.outputs), source.feature_names, names, head, dtype="float64")
    probabilities = np.asarray(model.to_keras().predict(x, verbose=0))
    if classes == 2:
        probabilities = np.hstack([1 - probabilities, probabilities])
    return source, model, y, weight, probabilities


@pytest.mark.parametrize(
    ("kind", "engine"), [(None, "host"), ("one_device", "devices"), ("mirrored", "devices")]
)
def test_equal_to_scikit_learns(fitted, strategies, monkeypatch, kind, engine):
    for module, name in ((pipeline, "_BLOCK_ELEMENTS"), (host_rows, "CACHED")):
        monkeypatch.setattr(module, name, 7 * 50)  # ten batches of 50, or nine of 58, and a smaller one
    source, model, y, weight, probabilities = fitted
    devices, classes = Devices(kind and strategies[kind], engine=engine), len(source.class_names)
    numbers, arrays = evaluate.evaluate(
        model, source, np.arange(501), devices, max_rows=1000, max_bytes=2**20
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
        # scikit-learn's takes several classes from 1.7 on.
        "brier_score": peer.brier_score_loss(y, probabilities[:, 1], **with_weight)
        if binary
        else np.average(np.square(probabilities - one_hot).sum(axis=1), weights=weight),
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
    if binary:
        fall_out, recall, _ = peer.roc_curve(y, score, drop_intermediate=False, **with_weight)
        expected["ks"] = (recall - fall_out).max()
    intervals = {"log_loss_interval", "accuracy_interval", "roc_auc_interval", "intervals_missing"}
    others = {"per_class", *({"ks_threshold", "lift_top_tenth"} if binary else ())}
    assert set(numbers) == {*expected, *intervals, *others}
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


@pytest.mark.parametrize("classes", [3, 40])
def test_many_classes_over_few_features(monkeypatch, classes):
    """Blocks count the wider of features and classes; the confusion of many classes is told by pairs."""
    x, _, weight = random_problem(2 * classes + 150, 4, 2)
    weight = weight.astype(np.float32).astype(np.float64)  # as batches have it
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(len(x)) % classes).astype(np.int32)
    kernel, bias = rng.normal(size=(4, classes)), rng.normal(size=classes)
    names = tuple(map(str, range(classes)))
    source = from_arrays(x, y, weight=weight, class_names=names)
    model = Model(kernel, bias, source.feature_names, names, Head("softmax", classes), dtype="float64")
    monkeypatch.setattr(host_rows, "CACHED", 100 * classes)
    monkeypatch.setattr(metrics, "MOST_DENSE_CLASSES", 10)
    monkeypatch.setattr(evaluate, "_TOGETHER", 7 * len(x))  # areas of seven classes at a time
    sizes, sums = [], metrics.sums
    monkeypatch.setattr(
        metrics, "sums", lambda logits, *args: sizes.append(logits.shape) or sums(logits, *args)
    )
    options = ConfigDict({"max_rows": 10**6, "max_bytes": 2**30})
    rows = {"test": np.arange(len(x))}
    numbers, arrays = measurement.evaluate_model(options, model, source, rows, Devices())
    numbers, arrays = numbers["test"], {name.removeprefix("test/"): a for name, a in arrays.items()}
    assert max(size[0] for size in sizes) == 100 * classes // max(4, classes)

    logits = x @ kernel + bias
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    one_hot, predicted = np.eye(classes)[y], p.argmax(axis=1)
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (y, predicted), weight)
    total, hits = weight.sum(), np.diag(confusion)
    order = (p > p[np.arange(len(y)), y][:, None]).sum(axis=1)
    expected = {
        "log_loss": -(weight @ np.log(p[np.arange(len(y)), y])) / total,
        "accuracy": hits.sum() / total,
        "balanced_accuracy": np.mean(hits / confusion.sum(axis=1)),
        "brier_score": weight @ np.square(p - one_hot).sum(axis=1) / total,
        "accuracy_baseline": confusion.sum(axis=1).max() / total,
        "label/mean": confusion.sum(axis=1) / total,
        "prediction/mean": weight @ p / total,
        "roc_auc": np.mean(
            [peer.roc_auc_score(y == c, p[:, c], sample_weight=weight) for c in range(classes)]
        ),
        "pr_auc": np.mean(
            [peer.average_precision_score(y == c, p[:, c], sample_weight=weight) for c in range(classes)]
        ),
    }
    if classes >= 6:
        expected["top_5_accuracy"] = weight @ (order < 5) / total
    for name, value in expected.items():
        np.testing.assert_allclose(numbers[name], value, rtol=1e-12, err_msg=name)
    recall = [found or 0 for found in hits / confusion.sum(axis=1)]
    np.testing.assert_allclose(numbers["per_class"]["recall"], recall, rtol=1e-12)
    if classes == 3:
        found = arrays["confusion"]
    else:
        assert "confusion" not in arrays
        true, predicted, share = (arrays[f"confusion_{name}"] for name in ("true", "predicted", "weight"))
        assert len(true) == np.count_nonzero(confusion)
        assert true.dtype == predicted.dtype == np.int64
        found = np.zeros((classes, classes))
        found[true, predicted] = share
    np.testing.assert_allclose(found, confusion, rtol=1e-12)


def test_workers_add_up_to_one(monkeypatch):
    """The sums and areas of two workers' rows are those of all rows; columns are told a few at a time."""
    x, y, weight = random_problem(300, 4, 3)
    source = from_arrays(x, y, weight=weight, class_names=("a", "b", "c"))
    kernel = np.random.default_rng(0).normal(size=(4, 3))
    model = Model(
        kernel, np.zeros(3), source.feature_names, ("a", "b", "c"), Head("softmax", 3), dtype="float64"
    )

    def found(rows, from_each):
        # One of two workers, that is given its own rows.
        workers = SimpleNamespace(from_each=from_each, replicas=range(1))
        devices = SimpleNamespace(engine="host", replicas=1, workers=workers)
        return evaluate.evaluate(model, source, rows, devices, max_rows=300, max_bytes=2**20)

    told = []
    found(np.arange(200, 300), lambda value: told.append(value) or [value])
    other, answers = iter(told), []
    monkeypatch.setattr(evaluate, "_TOGETHER", 300)

    def from_each(value):
        answers.append(value)
        if len(answers) <= 4:  # the sums, then what is told of rows
            return [value, next(other)]
        c = len(answers) - 5
        return [value, told[4][:, c : c + 1]]

    numbers, arrays = found(np.arange(200), from_each)
    assert [answer.shape for answer in answers[4:]] == [(200, 1)] * 3
    whole, whole_arrays = found(np.arange(300), lambda value: [value])
    assert set(numbers) == set(whole)
    for name in ("log_loss", "accuracy", "brier_score", "roc_auc", "pr_auc", "num_rows"):
        assert numbers[name] == pytest.approx(whole[name], rel=1e-12), name
    np.testing.assert_allclose(arrays["confusion"], whole_arrays["confusion"], rtol=1e-12)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_rows": 500, "max_bytes": 2**20}, "more than evaluate.max_rows=500 rows"),
        ({"max_rows": 501, "max_bytes": 4007}, "more than evaluate.max_bytes=4007"),
    ],
)
def test_beyond_the_limits_the_area_is_left_out(fitted, limits, reason):
    source, model, *_ = fitted
    numbers, _ = evaluate.evaluate(model, source, np.arange(501), Devices(), **limits)
    assert numbers["roc_auc"] is None
    assert numbers["pr_auc"] is None
    assert reason in numbers["areas_missing"]
