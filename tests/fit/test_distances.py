"""Bounds on coefficients and logits hold beside optima of 50 digits, and no digit that is printed is wrong."""

import dataclasses

import mpmath
import numpy as np
import pytest
from fifty_digits import optimum
from problems import sparse_rows

from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.exact import distance
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.model import digits

DEVICES = Devices(dtype="float64")


def drawn(seed):
    """A small problem of some kind: rows, and settings."""
    rng = np.random.default_rng(seed)
    num_rows, p, classes = rng.integers(14, 24), rng.integers(1, 4), rng.integers(2, 4)
    x = rng.normal(size=(num_rows, p)) * 10.0 ** rng.integers(-3, 4, p) + 10.0 ** rng.integers(-2, 3, p)
    if rng.random() < 0.3:
        x = x.astype(np.float32)
    logits = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=(p, classes))
    y = (logits + 1.5 * rng.gumbel(size=logits.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    config = configs.get_config()
    config.l1, config.l2 = rng.choice([0, 0, 0.01, 0.05]), 10.0 ** rng.choice([-np.inf, -6, -3, -1])
    config.model.bias, config.standardize = bool(rng.random() < 0.8), bool(rng.random() < 0.7)
    config.solver.tol, config.solver.polish = 10.0 ** -rng.integers(3, 14), bool(rng.random() < 0.5)
    if classes == 2 and rng.random() < 0.2:
        config.class_weight = "balanced"
    if rng.random() < 0.2:
        config.model.output = "one_vs_rest"
    return x, y.astype(np.int32), rng.uniform(0.5, 2, num_rows).astype(np.float32), config


def fitted(x, y, weight, config, rows=None):
    """The dataset, the fit, and how far it is from the optimum."""
    names = tuple(str(k) for k in range(y.max() + 1))
    source = arrays.from_arrays(x, y, class_names=names, weight=weight)
    dataset = make.of_rows(source, rows or {"train": np.arange(len(y))}, config, DEVICES)
    learn.check(config, dataset, DEVICES)
    fit = learn.learn(config, dataset, DEVICES, Monitor())
    return dataset, fit, learn.distances_of(config, dataset, DEVICES, fit)


def check_case(seed):
    """How many digits of a problem's coefficients were shown; none of them is wrong."""
    x, y, weight, config = drawn(seed)
    _, fit, found = fitted(x, y, weight, config)
    if found is None or found.missing:
        return 0
    count, bounds = 0, found.coefficients
    for k, one in enumerate(found.found):
        labels = one.problem.labels(y)
        weights = weight.astype(float) * (1 if config.class_weight == "" else one.problem.class_weight[y])
        best = optimum(x.astype(float), labels, weights, one.problem)
        if best is None:
            continue
        with mpmath.workdps(50):
            count += _check_coefficients(one, best, fit, bounds, k, config)
            w, x_centred = one.problem.w, x.astype(float) - one.problem.centre
            off = mpmath.matrix(w.tolist()) - best
            moved = x_centred @ np.array(off[: x.shape[1], :].tolist(), float)
            if one.problem.has_bias:
                moved += np.array(off[x.shape[1], :].tolist(), float)
            bound = one.rows(x) + 1e-15 * (np.abs(x_centred) @ np.abs(w[: x.shape[1]]))
            assert (np.abs(moved) <= bound).all(), seed
            assert (one.rows(x).max(axis=1) <= one.rows_at_most(x) * (1 + 1e-9)).all(), seed
    return count


def _check_coefficients(one, best, fit, bounds, k, config):
    """Digits that are shown of one problem."""
    count, p, centre = 0, len(one.problem.centre), one.problem.centre.tolist()
    outputs = best.cols
    for c in range(outputs):
        column = k * outputs + c if len(bounds[0]) > outputs else c
        true = [best[i, c] for i in range(p)]
        values = fit.model.kernel[:, column].tolist()
        if config.model.bias and config.class_weight == "":
            true.append(best[p, c] - mpmath.fdot(centre, true))
            values.append(fit.model.bias[column])
        for value, exact, bound in zip(values, true, bounds[:, column], strict=False):
            assert abs(mpmath.mpf(value) - exact) <= bound, (value, exact, bound)
            text = digits.shown(value, bound, 5)
            if not text.startswith("~"):
                # Half a unit of the last digit that stands there.
                last = mpmath.mpf(10) ** (_place(text))
                assert abs(mpmath.mpf(text) - exact) <= last / 2 * (1 + mpmath.mpf(10) ** -12), (text, exact)
                count += sum(map(str.isdigit, text))
    return count


def _place(text):
    """The power of ten of a text's last digit."""
    number, _, exponent = text.partition("e")
    return int(exponent or 0) - len(number.partition(".")[2])


def test_no_digit_that_is_shown_is_wrong():
    counts = [check_case(seed) for seed in range(25)]
    assert sum(count > 0 for count in counts) > 15


@pytest.mark.deep
@pytest.mark.parametrize("start", range(1000, 2000, 100))
def test_no_digit_that_is_shown_is_wrong_at_length(start):
    assert sum(check_case(seed) > 0 for seed in range(start, start + 100)) > 70


@pytest.mark.parametrize("way", ["l2", "sample"])
def test_less_than_the_whole_hessian_bounds_too(monkeypatch, way):
    """Beside l2 alone, as with many coefficients, and of a part of the rows, as with many rows."""
    if way == "l2":
        monkeypatch.setattr(distance, "_MOST_DENSE", 0)
    else:
        for name in ("_FEW_OPERATIONS", "_ROWS_A_COEFFICIENT"):
            monkeypatch.setattr(distance, name, 1)
    shown = 0
    for seed in range(100, 125):
        if drawn(seed)[3].l2 >= 1e-3:
            shown += check_case(seed) > 0
    assert shown > 5


def planted(classes, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 3))
    logits = x @ rng.normal(size=(3, classes))
    return x, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1).astype(np.int32)


@pytest.mark.parametrize(
    ("classes", "output"), [(2, "auto"), (2, "softmax"), (2, "one_vs_rest"), (3, "auto")]
)
def test_rows_on_a_boundary_are_open_decisions(classes, output):
    x, y = planted(classes)
    config = configs.get_config()
    config.l2, config.model.output = 0.01, output
    rows = {"train": np.arange(200), "test": np.arange(200, 300)}
    dataset, fit, found = fitted(x, y, np.ones(300, np.float32), config, rows)
    assert found.open_decisions(dataset, rows["test"]) == 0
    # Two of the rows moved to where two classes are equally probable.
    model = fit.model
    for row in (250, 260):
        z = model.logits(x[[row]])[0]
        order = np.argsort(z)[::-1]
        toward = model.kernel[:, order[0]] - (model.kernel[:, order[1]] if len(z) > 1 else 0)
        apart = z[order[0]] - (z[order[1]] if len(z) > 1 else 0)
        x[row] -= toward * apart / (toward @ toward)
    dataset = make.of_rows(
        arrays.from_arrays(x, y, class_names=dataset.source.class_names), rows, config, DEVICES
    )
    found = learn.distances_of(config, dataset, DEVICES, fit)
    assert 1 <= found.open_decisions(dataset, rows["test"]) <= 2


def test_a_threshold_is_the_boundary_of_decisions():
    x, y = planted(2)
    config = configs.get_config()
    rows = {"train": np.arange(200), "test": np.arange(200, 300)}
    dataset, fit, _ = fitted(x, y, np.ones(300, np.float32), config, rows)
    model = fit.model
    chance = float(model.predict_proba(x[[250]])[0, 1])
    for threshold, expected in ((chance, 1), (0.0, 0), (1.0, 0), (None, 0)):
        there = dataclasses.replace(fit, model=dataclasses.replace(model, threshold=threshold))
        found = learn.distances_of(config, dataset, DEVICES, there)
        assert found.open_decisions(dataset, rows["test"]) == expected


def test_sparse_rows_have_the_bounds_of_dense_ones():
    rng = np.random.default_rng(0)
    x = sparse_rows(rng, 200, 5, 0.4)
    y = rng.integers(0, 2, 200).astype(np.int32)
    config = configs.get_config()
    config.l2 = 0.01
    near = []
    for source in (
        from_sparse(x, y, class_names=("a", "b")),
        arrays.from_arrays(x.toarray(), y, class_names=("a", "b")),
    ):
        rows = {"train": np.arange(150), "test": np.arange(150, 200)}
        dataset = make.of_rows(source, rows, config, DEVICES)
        found = learn.distances_of(config, dataset, DEVICES, learn.learn(config, dataset, DEVICES, Monitor()))
        assert found.open_decisions(dataset, rows["test"]) == 0
        near.append(found.coefficients)
    assert near[0].shape == near[1].shape == (6, 1)
    assert max(near[0].max(), near[1].max()) < 1e-10


def test_where_nothing_is_known_it_is_said():
    x, y = planted(2)
    config = configs.get_config()
    config.solver.name, config.solver.max_passes, config.solver.polish = "gradient_descent", 2, False
    _, fit, found = fitted(x, y, np.ones(300, np.float32), config)
    assert fit.status is Status.MAX_PASSES
    assert "too far from the optimum" in found.missing
    assert np.isinf(found.coefficients).all()
    assert found.coefficients.shape == (4, 1)
    config = configs.get_config()
    _, _, found = fitted(np.c_[x, x[:, 0]], y, np.ones(300, np.float32), config)
    assert "hardly determine" in found.missing
    _, _, found = fitted(np.c_[x, y], y, np.ones(300, np.float32), config)
    assert found is None  # separated: there is no optimum


def test_too_many_coefficients_to_know_are_said(monkeypatch):
    monkeypatch.setattr(distance, "_MOST_DENSE", 2)
    x, y = planted(3)
    _, _, found = fitted(x, y, np.ones(300, np.float32), configs.get_config())
    assert found.missing == "12 coefficients, of which some have no l2, are too many to find their curvature"
    monkeypatch.setattr(distance, "_MOST_MEANS", 2)
    config = configs.get_config()
    config.l2 = 0.1
    _, _, found = fitted(x, y, np.ones(300, np.float32), config)
    assert found.missing == "12 coefficients in 3 classes are too many to find their curvature"


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (0.123456, None, "0.12346"),
        (0.123456, np.inf, "0.12346"),
        (0.123456, 1e-12, "0.12346"),
        (0.123456, 1e-3, "0.12"),
        (0.1249999, 1e-6, "0.125"),
        (0.95, 0.06, "~0.9"),
        (0.0003, 0.004, "0.00"),
        (-0.2, 0.15, "~-0.2"),
        (-1234.5, 0.01, "-1234.5"),
        (3.0, 2.0, "~3"),
        (1e-12, 1e-12, "0.00000"),
    ],
)
def test_proven_digits(value, bound, expected):
    assert digits.shown(value, bound, 5) == expected
