"""Small problems begin with bare Newton steps, which find what the methods of all problems find."""

import dataclasses
import itertools

import numpy as np
import pytest
from problems import random_problem, solve_arrays
from sklearn.exceptions import ConvergenceWarning

from tf_logreg import LogisticRegression
from tf_logreg.fit.full_batch import quick_start
from tf_logreg.fit.result import Status


def fitted(classes=2, num_rows=200, **parameters):
    x, y, weight = random_problem(num_rows, 4, classes)
    return LogisticRegression(**parameters).fit(x, y, weight)


@pytest.fixture
def begun(monkeypatch):
    """What the quick start found, fit by fit."""
    found, start = [], quick_start.start
    monkeypatch.setattr(
        quick_start, "start", lambda *args, **more: found.append(start(*args, **more)) or found[-1]
    )
    return found


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("classes", "more"),
    [
        (2, {}),
        (2, {"output": "softmax"}),
        (3, {}),
        (3, {"output": "one_vs_rest"}),
        (3, {"class_weight": "balanced", "standardize": True, "C": 1e-2}),
        (2, {"class_weight": {0: 3.0, 1: 0.5}, "C": 1e4}),
        (2, {"l1_ratio": 1.0, "C": 0.1}),
        (3, {"l1_ratio": 0.5, "C": 0.1}),
        (3, {"l1_ratio": 1.0, "C": 0.1, "output": "one_vs_rest"}),
    ],
)
def test_it_ends_where_others_do(begun, monkeypatch, classes, more, bias):
    quick = fitted(classes, fit_intercept=bias, **more)
    assert begun[0] is not None
    assert quick.status_ == "optimal"
    assert quick.n_iter_[0] == begun[0].steps.max()  # nothing was left to do
    monkeypatch.setattr(quick_start, "start", lambda *_, **__: None)
    slow = fitted(classes, fit_intercept=bias, **more)
    np.testing.assert_array_equal(quick.coef_ == 0, slow.coef_ == 0)
    np.testing.assert_allclose(quick.coef_, slow.coef_, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(quick.intercept_, slow.intercept_, rtol=1e-9, atol=1e-11)
    assert quick.result_["certified_gap"] < 1e-12


def test_offsets_count(begun, tmp_path):
    x, y, weight = random_problem(200, 4, 2)
    offset = np.random.default_rng(0).normal(size=200)
    ours = LogisticRegression(tol=1e-9).fit(x, y, weight, offset=offset)
    assert begun[0] is not None
    z = x @ ours.coef_[0] + ours.intercept_ + offset
    error = (1 / (1 + np.exp(-z)) - y) * weight
    np.testing.assert_allclose(x.T @ error + ours.coef_[0], 0, atol=1e-9)
    assert abs(error.sum()) < 1e-9


@pytest.mark.parametrize(
    "parameters",
    [
        {"penalty_factor": (1, 1, 0, 1)},
        {"penalty_factor": (1, 1, 0, 1), "l1_ratio": 1.0},
        {"C": np.inf},
        {"solver": "lbfgs"},
    ],
)
def test_others_are_left_to_their_methods(begun, parameters):
    fitted(**parameters)
    assert begun == [None]


def test_so_is_l1_over_more_columns_than_rows(begun):
    x, y, _ = random_problem(20, 40, 2)
    LogisticRegression(l1_ratio=1.0, C=1.0).fit(x, y)
    assert begun == [None]


def test_problems_that_are_left_when_the_time_is_over_stay_where_they_are(begun):
    with pytest.warns(ConvergenceWarning):
        late = fitted(3, output="one_vs_rest", time_limit=1e-9)
    assert late.status_ == "time_limit"
    assert np.isfinite(begun[0].gap[0])
    assert (begun[0].gap[1:] == np.inf).all()
    assert (begun[0].steps[1:] == 0).all()


def test_steps_and_passes_are_limits(begun, tmp_path):
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        few = fitted(max_iter=2)
    assert few.n_iter_[0] == begun[0].steps[0] == 2
    x, y, _ = random_problem(200, 4, 3)
    for passes, penalty in itertools.product((0, 1, 4), ("l1", "l2")):
        limits = {"max_passes": passes, penalty: 1e-3}
        _, _, result = solve_arrays(x, y, strategy=None, tmp_path=tmp_path, **limits)
        assert result.status is Status.MAX_PASSES
        assert begun[-1].gap[0] == np.inf
        assert passes > 1 or begun[-1].steps[0] == 0


def test_a_start_that_is_far_off_is_brought_back(begun):
    """A full step from there overshoots, and is halved."""
    x, y, weight = random_problem(200, 4, 2)
    cold = LogisticRegression(C=100).fit(x, y, weight)
    warm = LogisticRegression(C=100, warm_start=True).fit(x, y, weight)
    warm._model = dataclasses.replace(warm._model, kernel=np.full((4, 1), -30.0), bias=np.array([20.0]))
    warm.fit(x, y, weight)
    assert warm.status_ == "optimal"
    np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-9)
