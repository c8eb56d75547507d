"""Certificates of fits that end anywhere on their way: never below the truth, and close to it."""

import numpy as np
import pytest
from host_problems import newton
from problems import dataset_of, settings_of

from tf_logreg.devices.devices import Devices
from tf_logreg.exact import host
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor

METHODS = ("newton", "lbfgs", "gradient_descent")


def stopped_fit(seed):
    """A random fit after a few passes, short of its tiny target, and the problem that it solved in columns of deviation one.

    Returns:
        x [n, p] in training columns, y, weight, `host.Problem` at the fit's weights, `Certificate`.
    """
    rng = np.random.default_rng(seed)
    classes, p, n = int(rng.integers(2, 5)), int(rng.integers(1, 6)), int(rng.integers(20, 120))
    x = rng.normal(size=(n, p)) * 10.0 ** rng.uniform(-2, 2, p) + 10.0 ** rng.uniform(-3, 2, p)
    z = (x - x.mean(axis=0)) / x.std(axis=0) @ rng.normal(size=(p, classes))
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1).astype(np.int32)
    y[:classes] = np.arange(classes)
    weight, bias = rng.uniform(0.5, 2, n).astype(np.float32).astype(float), bool(rng.integers(4))
    l1, l2 = [(0, 0), (0, 10 ** rng.uniform(-5, 0)), (10 ** rng.uniform(-3, -1), 0), (0.01, 0.01)][seed % 4]
    method = "proximal_newton" if l1 else METHODS[int(rng.integers(3))]
    settings = settings_of(
        solver__name=method, solver__tol=1e-15, solver__max_passes=int(rng.integers(2, 25)), model__bias=bias, standardize=True,
        l1=l1, l2=l2,
    )  # fmt: skip
    devices = Devices(dtype="float64")
    dataset = dataset_of(x, y, weight, settings=settings, devices=devices, num_classes=classes)
    trained = learn.learn(settings, dataset, devices, Monitor()).trained
    moments = dataset.all_moments
    columns = (x - (moments.mean if bias else 0)) / moments.deviation
    w = np.vstack([trained.kernel, trained.bias[None]])[: p + bias]
    penalty = np.ones_like(w)
    penalty[p:] = 0
    problem = host.Problem(w, np.zeros(p), l1 * penalty, l2 * penalty, np.ones(classes))
    return columns, y, weight, problem, trained.certificate


def excess(columns, y, weight, problem):
    """F(w) - F at a point that is no worse than what Newton's method finds from it, in long doubles."""

    def value(w):
        z = np.hstack([columns, np.ones((len(y), 1))])[:, : len(w)].astype(np.longdouble) @ w
        z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
        top = z.max(axis=1)
        loss = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(y)), y]
        penalty = problem.l2 / 2 * np.square(w) + problem.l1 * np.abs(w)
        return (weight @ loss) / weight.sum() + penalty.sum()

    best, _ = newton(columns, y, weight, problem.w, problem, 20)
    return float(value(problem.w) - min(value(best), value(problem.w)))


def ratios(seeds):
    """Bound over truth of fits whose true gap is above rounding."""
    found, certified = [], 0
    for seed in seeds:
        columns, y, weight, problem, certificate = stopped_fit(seed)
        if certificate.gap is None:
            continue
        certified += 1
        true = excess(columns, y, weight, problem)
        assert certificate.gap >= true - 1e-16, seed
        if true > 1e-12:
            found.append(certificate.gap / true)
    assert certified > len(seeds) / 2
    return found


def test_the_bounds_of_stopped_fits_hold_and_are_close():
    found = ratios(range(40))
    assert len(found) > 10
    assert np.median(found) < 1.05


@pytest.mark.deep
@pytest.mark.parametrize("start", range(100, 10_000, 900))
def test_the_bounds_of_stopped_fits_hold_and_are_close_at_length(start):
    assert np.median(ratios(range(start, start + 900))) < 1.05
