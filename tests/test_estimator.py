"""`LogisticRegression`: scikit-learn's classifier on our road."""

import numpy as np
import pytest
from problems import random_problem
from sklearn import datasets, linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator

from tf_logreg import LogisticRegression


def reference(**options) -> linear_model.LogisticRegression:
    """scikit-learn's own, as exact as it goes."""
    return linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=10_000, **options)


def planted(num_rows: int, num_features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of known weights, two classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, num_features))
    logits = x @ rng.normal(size=num_features) / np.sqrt(num_features)
    return x, (logits > rng.logistic(size=num_rows)).astype(int)


PROBLEMS = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "five digits": lambda: datasets.load_digits(n_class=5, return_X_y=True),
    "planted": lambda: planted(5000, 40),
}


# scikit-learn's own fit of all digits to the last digit takes seconds.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name == "digits")) for name in PROBLEMS]
)
def test_coefficients_are_those_of_scikit_learn(name):
    x, y = PROBLEMS[name]()
    ours, theirs = LogisticRegression().fit(x, y), reference().fit(x, y)
    assert ours.status_ == "optimal"
    assert ours.certified_gap_ <= 1e-6
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-7)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))


@pytest.mark.parametrize(
    "options",
    [{}, {"l1_ratio": 0.5}, {"output": "one_vs_rest"}, {"output": "softmax", "class_weight": "balanced"}],
    ids=str,
)
def test_scikit_learn_accepts_it(options):
    found = check_estimator(LogisticRegression(**options), on_fail=None, on_skip=None)
    failed = {
        one["check_name"]: one["exception"] for one in found if one["status"] not in ("passed", "skipped")
    }
    assert not failed
    # Arrays of other libraries are looked at only where SciPy's switch for them is on.
    assert {one["check_name"] for one in found if one["status"] == "skipped"} <= {"check_array_api_input"}
    assert len(found) > 40


@pytest.mark.parametrize("method", ["newton", "lbfgs", "gradient_descent"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_small_problems_are_solved_to_the_last_digits(method, dtype):
    x, y = datasets.load_iris(return_X_y=True)
    ours = LogisticRegression(solver=method, dtype=dtype, max_iter=10_000).fit(x, y)
    theirs = reference().fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-9, atol=1e-9)


def test_newton_steps_take_over_where_gradients_alone_come_no_further():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    ours, theirs = LogisticRegression(solver="lbfgs").fit(x, y), reference().fit(x, y)
    assert ours.status_ == "optimal"
    assert ours.n_iter_[0] < 1000
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-7, atol=1e-9)


def test_the_time_limit_gives_the_best_model_so_far_with_its_gap():
    x, y = planted(3000, 200)
    with pytest.warns(ConvergenceWarning, match=r"the gap is at most .* within time_limit: raise it"):
        hurried = LogisticRegression(C=0.1, time_limit=1e-9).fit(x, y)
    assert hurried.status_ == "time_limit"
    done = LogisticRegression(C=0.1).fit(x, y)
    loss = [-np.log(model.predict_proba(x)[np.arange(len(y)), y]).mean() for model in (hurried, done)]
    null = -np.log([1 - y.mean(), y.mean()]) @ [1 - y.mean(), y.mean()]
    assert 1e-6 < (loss[0] - loss[1]) / null <= hurried.certified_gap_ < 100


def test_coefficients_can_be_written_to():
    x, y = datasets.load_iris(return_X_y=True)
    model = LogisticRegression().fit(x, y)
    model.coef_[:] = 0
    model.intercept_[:] = [0, 1, 2]
    np.testing.assert_allclose(model.decision_function(x), np.tile([0.0, 1, 2], (150, 1)))


def test_coefficients_have_the_precision_of_x():
    x, y = datasets.load_iris(return_X_y=True)
    found = LogisticRegression().fit(x, y)
    assert found.coef_.dtype == found.intercept_.dtype == np.float64
    single = LogisticRegression().fit(x.astype(np.float32), y)
    assert single.coef_.dtype == single.intercept_.dtype == np.float32
    np.testing.assert_allclose(single.coef_, found.coef_, atol=1e-3)
    # What float32 cannot hold keeps its digits.
    far = LogisticRegression().fit((x + 1e4).astype(np.float32), y)
    assert far.coef_.dtype == np.float64


def test_predictions_do_not_suffer_from_the_rounding_of_coefficients():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    model = LogisticRegression(C=100).fit(x.astype(np.float32), y)
    rounded = x @ model.coef_[0].astype(float) + model.intercept_.astype(float)
    exact = model.decision_function(x)
    assert 0 < np.abs(rounded - exact).max() < 1e-3
    np.testing.assert_array_equal(exact, model._model.decision_function(x))


@pytest.mark.parametrize(
    ("solver", "beginning"),
    [
        ("lbfgs", r"lbfgs failed to converge after 2 iteration\(s\)\. Increase the number of iterations: "),
        ("newton-cholesky", "Newton solver did not converge after 2 iterations: "),
        ("saga", "The max_iter was reached which means the coef_ did not converge: "),
        ("auto", ""),
    ],
)
def test_the_warning_begins_as_that_of_scikit_learn(solver, beginning):
    x, y = datasets.load_iris(return_X_y=True)
    with pytest.warns(
        ConvergenceWarning, match=f"^{beginning}after .* the gap is at most .*raise max_iter"
    ) as found:
        model = LogisticRegression(solver=solver, max_iter=2).fit(x, y)
    assert len(found) == 1
    assert model.n_iter_ == [2]


def test_an_l1_penalty_is_optimal_to_the_last_digits():
    x, y = datasets.make_classification(n_samples=100, n_features=20, random_state=42)
    model = LogisticRegression(l1_ratio=1).fit(x, y)
    w, gradient = model.coef_[0], x.T @ (model.predict_proba(x)[:, 1] - y)
    assert 5 < (w != 0).sum() < 20
    np.testing.assert_allclose(gradient[w != 0], -np.sign(w[w != 0]), rtol=1e-12)
    assert np.abs(gradient[w == 0]).max() < 1


@pytest.mark.parametrize("output", ["sigmoid", "softmax", "one_vs_rest"])
def test_log_probabilities_are_finite_where_probabilities_underflow(output):
    x, y, _ = random_problem(60, 2, 2)
    model = LogisticRegression(output=output).fit(x, y)
    np.testing.assert_allclose(model.predict_log_proba(x), np.log(model.predict_proba(x)), rtol=1e-12)
    far = np.sign(model.coef_[-1]) * [[1e5, 1e5]]
    least = model.predict_log_proba(far)[0, 0]
    assert np.isfinite(least)
    np.testing.assert_allclose(least, -model.decision_function(far)[0], rtol=1e-12)
