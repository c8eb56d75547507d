"""l1 over more columns than a Hessian takes: working sets lead to the same optimum, whatever the problem."""

import itertools

import numpy as np
import pytest
from celer import LogisticRegression as Celer
from problems import dataset_of, settings_of
from scipy.special import softmax

from tf_logreg import LogisticRegression, LogisticRegressionCV
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status
from tf_logreg.solvers import linear_system, working_set


def wide(num_rows, num_features, classes=2, seed=0):
    """Correlated columns, a few of which tell the classes apart."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, num_features))
    x[:, 1:] += 0.7 * x[:, :-1]
    score = x[:, ::10] @ rng.normal(size=(x[:, ::10].shape[1], classes))
    return x, (score + rng.normal(size=score.shape)).argmax(axis=1)


def slopes(x, y, weight, model, l1, l2):
    """Softmax probabilities' gradient where a coefficient is not zero, and what exceeds l1 where it is."""
    classes = model.coef_.shape[0]
    z = x @ model.coef_.T + model.intercept_
    p = softmax(np.hstack([0 * z, z]) if classes == 1 else z, axis=1)
    error = (p - np.eye(p.shape[1])[y])[:, -classes:] * weight[:, None] / weight.sum()
    w, gradient = model.coef_.T, x.T @ error + l2[:, None] * model.coef_.T
    l1 = np.broadcast_to(l1[:, None], w.shape)
    at_zero = np.maximum(np.abs(gradient) - l1, 0)
    return np.where(w != 0, gradient + l1 * np.sign(w), at_zero), error.sum(axis=0)


@pytest.mark.parametrize("asked", [3, 5, 8])
def test_a_step_that_time_ends_leaves_a_model_with_a_bound(asked):
    """Within a set, where no pass over the rows asks for the time; far from the optimum."""
    x, y = wide(300, 900)
    settings = settings_of(solver__name="proximal_newton", l1=0.05 * largest_l1(x, y), solver__tol=1e-9)
    devices, times = Devices(dtype="float64"), itertools.count()
    dataset = dataset_of(x, y, np.ones(len(y)), settings=settings, devices=devices, num_classes=2)
    late = Monitor(late=lambda: next(times) >= asked)
    found = learn.learn(settings, dataset, devices, late).trained
    best = learn.learn(settings, dataset, devices, Monitor()).trained
    assert (found.status, best.status) == (Status.TIME_LIMIT, Status.OPTIMAL)
    assert found.kernel.any()
    assert found.objective - best.objective <= found.certificate.gap < found.objective


def largest_l1(x, y):
    return np.abs(x.T @ (y - 0.5)).max() / len(y)


def test_single_precision_is_certified_with_the_support_of_the_optimum():
    x, y = wide(500, 5000)
    l1 = 0.2 * largest_l1(x, y)
    common = dict(C=1 / (l1 * len(y)), fit_intercept=False)
    model = LogisticRegression(l1_ratio=1, tol=1e-9, **common).fit(x.astype(np.float32), y)
    assert model.status_ == "optimal"
    assert model.result_["relative_gap"] <= 1e-9
    peer = Celer(tol=1e-7, max_iter=1000, **common).fit(np.asfortranarray(x), 2 * y - 1)
    assert ((model.coef_ != 0) == (peer.coef_ != 0)).all()
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("shape", "share", "options"),
    [
        ((150, 900, 2), 1.0, {}),
        ((150, 900, 2), 0.5, {"class_weight": "balanced"}),
        ((100, 400, 3), 1.0, {}),
        ((100, 400, 3), 0.9, {"penalized": 390}),
        ((100, 400, 3), 0.05, {}),
        ((60, 900, 2), 0.02, {}),
        ((1500, 700, 2), 1.0, {"fit_intercept": False}),
        ((1500, 700, 2), 0.02, {}),
    ],
)
def test_no_coefficient_has_a_slope_left(shape, share, options):
    x, y = wide(*shape)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y))
    factor = np.random.default_rng(2).uniform(0.5, 2, x.shape[1])
    if (penalized := options.pop("penalized", 0)) > 0:
        factor[penalized:] = 0
    strength = 0.02
    model = LogisticRegression(
        C=1 / (strength * weight.sum()), l1_ratio=share, tol=1e-11, penalty_factor=factor, **options
    )
    if "class_weight" in options:
        of_class = np.bincount(y, weight)
        row_weight = weight * (weight.sum() / (len(of_class) * of_class))[y]
    else:
        row_weight = weight
    model.fit(x, y, weight)
    assert model.status_ == "optimal"
    l1, l2 = share * strength * factor, (1 - share) * strength * factor
    left, of_bias = slopes(x, y, row_weight, model, l1, l2)
    assert np.abs(left).max() < 1e-5 * strength
    if model.fit_intercept:
        assert np.abs(of_bias).max() < 1e-6


def test_problems_that_share_the_rows_are_each_as_alone():
    x, y = wide(120, 800, classes=3)
    common = dict(C=0.3, l1_ratio=0.95, tol=1e-12)
    together = LogisticRegression(output="one_vs_rest", **common).fit(x, y)
    for k, coefficients in enumerate(together.coef_):
        alone = LogisticRegression(**common).fit(x, y == k).coef_[0]
        assert ((coefficients != 0) == (alone != 0)).all()
        np.testing.assert_allclose(coefficients, alone, atol=1e-6)


def test_the_strengths_of_a_path_are_each_as_alone():
    x, y = wide(120, 800)
    common = dict(tol=1e-12, fit_intercept=False)
    path = LogisticRegressionCV(Cs=[0.05, 0.2, 1.0], l1_ratios=[1.0], cv=3, **common).fit(x, y)
    assert all(status == "optimal" for status in path.status_paths_.ravel())
    alone = LogisticRegression(C=path.C_[0], l1_ratio=1, **common).fit(x, y)
    assert ((path.coef_ != 0) == (alone.coef_ != 0)).all()
    np.testing.assert_allclose(path.coef_, alone.coef_, atol=1e-6)


@pytest.mark.parametrize("strategy", ["off", "one_device"])
def test_both_engines_take_sets(strategy):
    x, y = wide(100, 700)
    model = LogisticRegression(C=0.5, l1_ratio=1, tol=1e-9, strategy=strategy).fit(x, y)
    assert model.status_ == "optimal"
    peer = LogisticRegression(C=0.5, l1_ratio=1, tol=1e-9).fit(x, y)
    np.testing.assert_allclose(model.coef_, peer.coef_, atol=1e-5)


def test_a_set_keeps_what_is_not_zero_and_takes_what_exceeds_its_l1_the_most():
    rng = np.random.default_rng(0)
    w, l1 = np.zeros(1000), np.full(1000, 0.3)
    w[:80], l1[80:90] = 1, 0
    gradient = rng.normal(size=1000)
    taken = working_set.working_set(w, gradient, l1)
    assert len(taken) == 180
    assert (taken[:90] == np.arange(90)).all()
    excess = np.abs(gradient) - l1
    others = np.setdiff1d(np.arange(90, 1000), taken)
    assert excess[taken[90:]].min() >= excess[others].max()
    near = np.where(np.arange(1000) < 200, gradient, 0.1)
    assert (
        working_set.working_set(w, near, l1) == np.union1d(np.arange(90), np.flatnonzero(np.abs(near) > l1))
    ).all()


@pytest.mark.parametrize(
    ("share", "strength", "bias", "classes"),
    [
        (1.0, 1e-4, False, 2),
        (1.0, 1e-6, True, 2),
        (0.9, 1e-5, True, 2),
        (0.5, 1e-6, False, 2),
        (1.0, 1e-4, True, 3),
    ],
)
def test_a_weak_penalty_over_more_columns_than_rows_leaves_no_slope(share, strength, bias, classes):
    """Hundreds of times as weak as what holds all at zero: nearly every coefficient has a reason to move."""
    x, y = wide(100, 600, classes)
    common = dict(C=1 / (strength * len(y)), l1_ratio=share, fit_intercept=bias)
    model = LogisticRegression(tol=1e-12, **common).fit(x, y)
    assert model.status_ == "optimal"
    l1, l2 = (np.full(x.shape[1], part * strength) for part in (share, 1 - share))
    left, of_bias = slopes(x, y, np.ones(len(y)), model, l1, l2)
    assert np.abs(left).max() < 1e-4 * strength
    assert not bias or np.abs(of_bias).max() < 1e-4 * strength
    assert share < 0.9 or (model.coef_ != 0).sum() < len(y) * (classes - 1)


def test_systems_of_rows_are_those_of_columns():
    rng = np.random.default_rng(0)
    root, diagonal = rng.normal(size=(2, 50, 20)), rng.uniform(0.1, 1, (2, 50))
    r, free = rng.normal(size=(2, 50)), rng.random((2, 50)) < [[0.7], [0.2]]
    hessian = np.einsum("kpr,kqr->kpq", root, root) + diagonal[:, :, None] * np.eye(50)
    found = linear_system.free_solver_of_root(root, diagonal)(r, free)
    np.testing.assert_allclose(found, linear_system.free_solver(hessian)(r, free), atol=1e-10)
    assert (found[~free] == 0).all()
