"""How often intervals of 95% hold the planted coefficients: 2,000 sets of rows, a minute or more each kind."""

import numpy as np
import pytest
from fitted_errors import DEVICES, fitted

from tf_logreg import config as configs
from tf_logreg.data import arrays
from tf_logreg.data import dataset as make
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor

SETS, ROWS, LEVEL = 2000, 400, 0.95
KERNEL = np.array([[0.0, 0.8, -0.5], [0.0, -0.4, 0.3], [0.0, 0.0, 0.6]])
BIAS = np.array([0.0, -0.3, 0.2])


def drawn(seed, classes):
    """Rows of the planted model, and its coefficients against class 0, the bias last: [4, C - 1]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 3))
    logits = x @ KERNEL[:, :classes] + BIAS[:classes]
    y = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return x, y.astype(np.int32), np.vstack([KERNEL, BIAS])[:, 1:classes]


def bootstrapped(x, y, seed):
    """Percentile and basic intervals of a fit's coefficients."""
    config = configs.get_config()
    config.inference.bootstrap, config.seed = 200, seed
    source = arrays.from_arrays(x, y, class_names=("0", "1"))
    dataset = make.of_rows(source, {"train": np.arange(len(y))}, config, DEVICES)
    fit = learn.learn(config, dataset, DEVICES, Monitor())
    found = learn.with_bootstrap(config, dataset, DEVICES, fit).model
    theta = np.vstack([found.kernel, found.bias])
    return found.bootstrap.columns(theta, found.bootstrap.theta(has_bias=True))


def coverage(held):
    """The share of intervals [sets, coefficients] that hold, and its standard error, by sets."""
    by_set = np.asarray(held, float).reshape(len(held), -1).mean(axis=1)
    return by_set.mean(), by_set.std(ddof=1) / np.sqrt(len(by_set))


@pytest.mark.deep
@pytest.mark.parametrize(
    ("classes", "cov_type", "profile"), [(2, "nonrobust", True), (2, "HC0", False), (3, "nonrobust", False), (3, "HC0", False)]
)  # fmt: skip
def test_intervals_by_the_covariance_hold_as_often_as_they_say(classes, cov_type, profile):
    held, by_profile = [], []
    for seed in range(SETS):
        x, y, true = drawn(seed, classes)
        asked = {"profile": ("x0",)} if profile else {}
        found = fitted(x, y, cov_type=cov_type, **asked).model.inference
        low, high = found.interval
        held.append((low <= true) & (true <= high))
        if profile:
            by_profile.append((found.profile_low[0] <= true[0]) & (true[0] <= found.profile_high[0]))
    for name, each in (("covariance", held), *[("profile", by_profile)] * profile):
        share, error = coverage(each)
        print(f"{classes} classes, {cov_type}, {name}: {share:.4f} +- {error:.4f}")
        # Robust errors are a little short of so few rows.
        assert abs(share - LEVEL) < 4 * error + (0.006 if cov_type == "HC0" else 0.002)


@pytest.mark.deep
def test_intervals_of_the_bootstrap_hold_about_as_often_as_they_say():
    """Percentiles of 200 replicates are themselves rough, by about a hundredth."""
    held = {"boot": [], "basic": []}
    for seed in range(SETS):
        x, y, true = drawn(seed, 2)
        found = bootstrapped(x, y, seed)
        for name, each in held.items():
            each.append((found[f"{name}_low"] <= true) & (true <= found[f"{name}_high"]))
    for name, each in held.items():
        share, error = coverage(each)
        print(f"bootstrap, {name}: {share:.4f} +- {error:.4f}")
        assert abs(share - LEVEL) < 4 * error + 0.015
