"""95% intervals of metrics: by other formulas, in the metrics of a model, and where there are none."""

import numpy as np
import pytest
import scipy.stats

from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices
from tf_logreg.model import head as heads
from tf_logreg.model import summary
from tf_logreg.model.model import Model
from tf_logreg.results import evaluate, intervals, measurement
from tf_logreg.results.intervals import NAMES

N = 300


def test_of_a_mean():
    values = np.random.default_rng(0).exponential(size=50)
    low, high = intervals.of_mean(values.mean(), np.square(values).mean(), 50)
    expected = scipy.stats.norm.interval(0.95, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose([low, high], expected, rtol=1e-12)
    assert intervals.of_mean(1.0, 1.0, 1) is None
    assert intervals.of_mean(np.inf, np.inf, 9) is None
    assert intervals.of_mean(0.5, 0.25 - 1e-17, 9) == [0.5, 0.5]


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (87, 96)])
def test_of_a_share(k, n):
    found = scipy.stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    np.testing.assert_allclose(intervals.of_share(k / n, n), [found.low, found.high], atol=1e-12)


def test_of_nothing():
    assert intervals.of_share(np.nan, 0) is None
    assert intervals.of_area(1.0, 0.0) is None
    assert intervals.of_area(0.9, None) is None
    assert intervals.of_area(0.99, 0.1)[1] == 1.0


def model(classes):
    outputs = 1 if classes == 2 else classes
    names = tuple(map(str, range(outputs))), tuple(map(str, range(classes)))
    return Model(np.eye(outputs), np.zeros(outputs), *names, heads.resolve("auto", classes), dtype="float64")


def measured(classes=2, weight=None, role="test", **where):
    """Metrics of random logits, and the logits, labels and rows of weight."""
    rng = np.random.default_rng(classes)
    one = model(classes)
    logits, y = rng.normal(size=(N, one.head.outputs)), rng.integers(0, classes, N)
    source = from_arrays(logits, y, weight=weight, class_names=one.class_names)
    options = {"max_rows": N, "max_bytes": 10**6}
    devices = Devices(**where)
    found = measurement.evaluate_model(options, one, source, {role: np.arange(N)}, devices)[0][role]
    return found, logits, y


@pytest.mark.parametrize("engine", ["host", "devices"])
@pytest.mark.parametrize("classes", [2, 3])
def test_in_the_metrics(strategies, engine, classes):
    strategy = strategies["one_device"] if engine == "devices" else None
    found, logits, y = measured(classes, np.full(N, 0.5), engine=engine, strategy=strategy)
    p = model(classes).head.probabilities(logits)
    loss, correct = -np.log(p[np.arange(N), y]), p.argmax(axis=1) == y
    expected = scipy.stats.norm.interval(0.95, loss.mean(), scipy.stats.sem(loss))
    np.testing.assert_allclose(found["log_loss_interval"], expected, rtol=1e-9)
    assert found["accuracy_interval"] == pytest.approx(intervals.of_share(correct.mean(), N))
    if classes == 2:
        low, high = found["roc_auc_interval"]
        assert low < found["roc_auc"] < high
    else:
        assert found["roc_auc_interval"] is None
    assert "intervals_missing" not in found


def test_rows_that_weigh_nothing_or_differ():
    weight = np.where(np.arange(N) < 200, 1.0, 0.0)
    found, logits, y = measured(weight=weight)
    correct = (logits[:200, 0] > 0) == y[:200]
    assert found["accuracy_interval"] == pytest.approx(intervals.of_share(correct.mean(), 200))
    weight[0] = 1.01
    found, *_ = measured(weight=weight)
    assert found["intervals_missing"] == "the rows' weights differ"
    assert [found[name] for name in NAMES[:3]] == [None] * 3
    assert summary.table({"test": found}).endswith("95% intervals: none, as the rows' weights differ.")


def test_not_of_training_rows():
    assert not set(NAMES) & set(measured(role="train")[0])


def test_a_line_of_the_end_of_a_run():
    found, *_ = measured()
    (low, high), (worst, best) = found["log_loss_interval"], found["roc_auc_interval"]
    line = summary.table({"test": found}).splitlines()[1]
    assert f"log loss {low:.3f} to {high:.3f}, accuracy 0." in line
    assert f"ROC AUC {worst:.3f} to {best:.3f}." in line
    assert len(summary.table({"validation": found}).splitlines()) == 1
    found = {name: value for name, value in found.items() if name not in NAMES}  # of an older version
    assert len(summary.table({"test": found}).splitlines()) == 1


def test_other_rows_are_mostly_inside():
    """Of 400 samples the intervals hold the metric of the whole population in about 95%."""
    rng, one, inside = np.random.default_rng(0), model(2), np.zeros(3)
    logits = rng.normal(size=(40_000, 1)) * 2
    y = (rng.random(40_000) < 1 / (1 + np.exp(-logits[:, 0]))).astype(int)
    source = from_arrays(logits, y, class_names=one.class_names)
    options = {"max_rows": 10**5, "max_bytes": 10**6}
    truth = evaluate.evaluate(one, source, np.arange(40_000), Devices(), **options)[0]
    for _ in range(400):
        sample = np.sort(rng.choice(40_000, 500, replace=False))
        found = evaluate.evaluate(one, source, sample, Devices(), **options)[0]
        for k, name in enumerate(("log_loss", "accuracy", "roc_auc")):
            low, high = found[f"{name}_interval"]
            inside[k] += low <= truth[name] <= high
    assert (np.abs(inside / 400 - 0.95) < 0.03).all()
