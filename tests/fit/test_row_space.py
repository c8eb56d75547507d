"""Wide problems: solved in the space of the rows, with the answers of scikit-learn and little memory."""

import json
import tracemalloc

import numpy as np
import pytest
from problems import random_problem
from sklearn.linear_model import LogisticRegression as Theirs

from tf_logreg import LogisticRegression, LogisticRegressionCV
from tf_logreg.fit.full_batch import row_space
from tf_logreg.fit.path import batches


def wide(classes=2, *, n=40, p=90):
    """x [n, p], y [n], weight [n]."""
    return random_problem(n, p, classes)


@pytest.fixture
def spaces(monkeypatch):
    """Shapes [n, r] of the spaces that fits made."""
    made, init = [], row_space._Space.__init__

    def counted(self, *arguments):
        init(self, *arguments)
        made.append(self.z.shape)

    monkeypatch.setattr(row_space._Space, "__init__", counted)
    return made


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_optimum_is_scikit_learns(spaces, classes, fit_intercept, strength):
    x, y, weight = wide(classes)
    options = {"C": strength, "fit_intercept": fit_intercept}
    ours = LogisticRegression(**options).fit(x, y, weight)
    theirs = Theirs(**options, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x, y, weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7 * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-7)
    assert ours.status_ == "optimal"
    assert len(spaces) == 1
    assert spaces[0][1] in (39, 40)
    assert ours.n_iter_[0] >= 2


def test_a_run_of_the_command_line_writes_its_result(command, spaces, tmp_path):
    x, y, _ = wide()
    np.savez(tmp_path / "rows.npz", x=x, y=y)
    rows = ["--config=numpy_arrays", f"--config.data.args.path={tmp_path}/rows.npz"]
    code, _, err = command(*rows, "--config.l2=0.1", f"--workdir={tmp_path}/run")
    assert (code, len(spaces)) == (0, 1), err
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "optimal"


@pytest.mark.parametrize("standardize", [True, False])
def test_columns_far_from_zero_and_of_many_scales(spaces, standardize):
    x, y, _ = wide()
    x = x * np.logspace(-1, 1, x.shape[1]) + 30
    ours = LogisticRegression(standardize=standardize).fit(x, y)
    scale = x.std(axis=0) if standardize else 1.0
    theirs = Theirs(solver="newton-cholesky", tol=1e-14).fit((x - x.mean(axis=0)) / scale, y)
    np.testing.assert_allclose(ours.coef_ * scale, theirs.coef_, atol=1e-7)
    assert spaces


def test_float32_rows(spaces):
    x, y, _ = wide()
    ours = LogisticRegression(tol=1e-6).fit(x.astype(np.float32), y)
    theirs = Theirs(solver="newton-cholesky", tol=1e-14).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert ours.status_ == "optimal"
    assert spaces


def test_conjugate_gradients_in_a_space_too_large_for_a_hessian(spaces, monkeypatch):
    x, y, _ = wide(3)
    expected = LogisticRegression().fit(x, y).coef_
    monkeypatch.setattr(row_space.Penalized, "explicit", staticmethod(lambda size: False))
    found = LogisticRegression(tol=1e-12).fit(x, y)
    np.testing.assert_allclose(found.coef_, expected, atol=1e-6)
    assert len(spaces) == 2


def test_columns_that_repeat_leave_a_smaller_space(spaces):
    x, y, _ = wide()
    x[20:] = x[:20]
    y[20:] = y[:20]
    ours = LogisticRegression(fit_intercept=False).fit(x, y)
    theirs = Theirs(solver="newton-cholesky", tol=1e-14, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-7)
    assert spaces == [(40, 20)]


@pytest.mark.parametrize("standardize", [True, False])
def test_a_path_is_each_problem_alone(spaces, monkeypatch, standardize):
    monkeypatch.setattr(
        batches, "worth_at_once", lambda *_: 1
    )  # elsewhere; here batches would share no space
    x, y, _ = wide(3, n=60)
    strengths, folds = [0.01, 1.0, 100.0], np.arange(60) % 3
    splits = [(np.flatnonzero(folds != f), np.flatnonzero(folds == f)) for f in range(3)]
    options = {"standardize": standardize, "tol": 1e-10}
    path = LogisticRegressionCV(Cs=strengths, cv=splits, **options).fit(x, y)
    # Each fold has deviations of its own; without them all strengths and folds share one space.
    assert len(spaces) == (4 if standardize else 2)
    for f, (train, _) in enumerate(splits):
        for i, strength in enumerate(strengths):
            alone = LogisticRegression(C=strength, **options).fit(x[train], y[train])
            for c in range(3):
                coef = np.append(alone.coef_[c], alone.intercept_[c])
                np.testing.assert_allclose(path.coefs_paths_[c][f, i], coef, atol=1e-4)


def test_columns_without_a_penalty_take_the_other_road(spaces):
    x, y, _ = wide()
    factor = np.ones(90)
    factor[3] = 0
    ours = LogisticRegression(penalty_factor=factor).fit(x, y)
    assert ours.status_ == "optimal"
    assert not spaces


def test_memory_is_that_of_the_rows_not_of_the_columns():
    """80 rows of 6,000 columns: a matrix of the columns takes 288 MB, X 3.8."""
    x, y, _ = wide(n=80, p=6000)
    LogisticRegression().fit(*wide()[:2])  # what is imported at the first fit
    tracemalloc.start()
    ours = LogisticRegression().fit(x, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ours.status_ == "optimal"
    assert peak < 8 * x.nbytes


def test_a_limit_ends_with_its_proven_gap(spaces):
    x, y, _ = wide(3)
    with pytest.warns(match="after .* passes the gap is at most"):
        ours = LogisticRegression(max_iter=2).fit(x, y)
    assert (ours.status_, ours.n_iter_.tolist()) == ("max_passes", [2])
    best = LogisticRegression().fit(x, y)
    assert ours.certified_gap_ >= ours.result_["objective"] - best.result_["objective"] > 0
    assert len(spaces) == 2


def test_rows_without_weight_are_as_absent():
    x, y, weight = wide(3)
    weight[::3] = 0
    there = weight > 0
    ours, fewer = (
        LogisticRegression().fit(x, y, weight),
        LogisticRegression().fit(x[there], y[there], weight[there]),
    )
    np.testing.assert_allclose(ours.coef_, fewer.coef_, atol=1e-10)
