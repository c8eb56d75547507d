"""Sparse rows with l1: methods work on copies of the columns that count, which stay sparse where they are empty."""

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from problems import solve_arrays, sparse_problem, sparse_rows

from tf_logreg import LogisticRegression
from tf_logreg.data.moments import Affine
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.fit.full_batch import copied_columns, working_columns
from tf_logreg.fit.result import Status
from tf_logreg.objective import host_sums

HOST = {"strategy": None, "dtype": "float32"}


@pytest.mark.parametrize("seed", [1, 17])
def test_l1_among_many_columns_that_are_alike(tmp_path, seed):
    """Words that occur once are copies of each other in units of their deviation, more than rows determine."""
    rng = np.random.default_rng(seed)
    words = (20000 * rng.random((100, 40)) ** 2).astype(int)
    x = scipy.sparse.csr_array((np.ones(4000), words.ravel(), np.arange(0, 4001, 40)), shape=(100, 20000))
    y = (rng.random(100) < 0.5).astype(np.int32)
    trained = solve_arrays(x, y, l1=3e-4, standardize=True, tmp_path=tmp_path, **HOST)[2]
    assert trained.status is Status.OPTIMAL, trained.message


@pytest.mark.parametrize("seed", [0, 3])
def test_l1_among_parallel_columns(tmp_path, seed):
    rng = np.random.default_rng(seed)
    x = sparse_rows(rng, 50, 200000, 0.0005)
    x.data = rng.normal(size=x.nnz)
    y = (np.arange(50) % 2).astype(np.int32)
    trained = solve_arrays(x, y, l1=0.02, standardize=False, tmp_path=tmp_path, **HOST)[2]
    assert trained.status is Status.OPTIMAL, trained.message


def copied(x, columns, *, sparse):
    """All columns of x: sparse, or laid out."""
    rows = np.arange(x.shape[0])
    source = from_sparse(x, (rows % 2).astype(np.int32), class_names=("a", "b"))
    read = copied_columns.reader(source, rows, columns, None)
    return read(np.arange(x.shape[1]), sparse, not sparse)


def test_columns_that_stay_sparse_are_centred_on_paper():
    rng = np.random.default_rng(3)
    x = sparse_rows(rng, 60, 20, 0.05)
    columns = Affine(rng.normal(size=20), rng.uniform(0.5, 2, 20))
    sparse, dense = (copied(x, columns, sparse=one) for one in (True, False))
    assert scipy.sparse.issparse(sparse.rows.x)
    w, weight, sums = rng.normal(size=(1, 21, 1)), rng.uniform(size=60), rng.normal(size=60)
    centred = dense.rows.x
    given = sparse.given(w.copy())
    np.testing.assert_allclose(sparse.rows.x @ given[0, :-1] + given[0, -1], centred @ w[0], atol=1e-13)
    of_columns = np.append(sparse.rows.x.T @ sums, sums.sum())[None, :, None]
    np.testing.assert_allclose(sparse.of_training(of_columns)[0, :, 0], centred.T @ sums, atol=1e-13)
    gram = centred.T @ (weight[:, None] * centred)
    np.testing.assert_allclose(sparse.gram(weight), gram, atol=1e-13)
    ones = np.ones((1, 60))
    np.testing.assert_allclose(sparse.product(weight, ones, w.copy())[0], gram @ w[0], atol=1e-13)
    np.testing.assert_allclose(sparse.diagonal(weight), np.diag(gram), atol=1e-13)


def test_products_with_the_hessian_of_a_softmax_are_those_of_the_laid_out_columns():
    rng = np.random.default_rng(4)
    x, columns = sparse_rows(rng, 60, 20, 0.05), Affine(rng.normal(size=20), rng.uniform(0.5, 2, 20))
    sparse, dense = (copied(x, columns, sparse=one) for one in (True, False))
    weight, p, v = rng.uniform(size=60), rng.dirichlet(np.ones(3), 60).T, rng.normal(size=(1, 21, 3))
    whole = host_sums.of_curvature(np.ascontiguousarray(dense.rows.x), weight, p)
    expected = (whole @ v.ravel()).reshape(21, 3)
    np.testing.assert_allclose(sparse.product(weight, p, v.copy())[0], expected, atol=1e-12)


def test_columns_that_are_far_from_zero_or_full_are_laid_out_or_not_copied():
    x = sparse_rows(np.random.default_rng(3), 60, 20, 0.05)
    far = Affine(np.full(20, 1e3), np.ones(20))
    assert copied(x, far, sparse=True) is None
    assert copied(x, far, sparse=False).mean is None
    full = scipy.sparse.csr_array(np.ones((60, 20)))
    assert copied(full, Affine(np.zeros(20), np.ones(20)), sparse=True) is None


@pytest.mark.parametrize("factored", [0, 4000])
def test_columns_that_stay_sparse_are_worked_on_as_they_are(monkeypatch, factored):
    monkeypatch.setattr(working_columns, "_MOST_COEFFICIENTS", 0)  # none can be laid out
    monkeypatch.setattr(working_columns, "_MOST_SPARSE", factored)
    monkeypatch.setattr(working_columns, "_FEW_SPARSE", 0 if factored == 0 else 1000)
    x, y, weight = sparse_problem(7, num_rows=1500, num_features=1200, density=0.005)
    l1 = 1e-3
    found = LogisticRegression(C=1 / (l1 * weight.sum()), l1_ratio=1, tol=1e-11).fit(x, y, weight)
    chosen = found.coef_[0] != 0
    assert found.status_ == "optimal"
    assert chosen.sum() > 100
    probability = scipy.special.expit(x @ found.coef_[0] + found.intercept_[0])
    gradient = x.T @ ((probability - y) * weight / weight.sum())
    assert np.abs(gradient + l1 * np.sign(found.coef_[0]))[chosen].max() < 1e-6 * l1
    assert np.abs(gradient[~chosen]).max() <= l1 * (1 + 1e-6)


@pytest.mark.parametrize("laid_out", [0, 2000])
def test_columns_of_a_softmax_that_stay_sparse_are_worked_on_as_they_are(monkeypatch, laid_out):
    monkeypatch.setattr(working_columns, "_FEW_SPARSE", 0)
    monkeypatch.setattr(
        working_columns, "_MOST_COEFFICIENTS", laid_out
    )  # at most, where products bring little
    x, _, weight = sparse_problem(7, num_rows=1500, num_features=1200, density=0.005)
    rng = np.random.default_rng(8)
    y = (x @ rng.normal(size=(1200, 3)) * 3 + rng.gumbel(size=(1500, 3))).argmax(axis=1)
    l1 = 1e-3
    found = LogisticRegression(C=1 / (l1 * weight.sum()), l1_ratio=1, tol=1e-11).fit(x, y, weight)
    chosen = found.coef_ != 0
    assert found.status_ == "optimal"
    assert chosen.sum() > 200
    error = scipy.special.softmax(x @ found.coef_.T + found.intercept_, axis=1) - np.eye(3)[y]
    gradient = ((weight / weight.sum())[:, None] * error).T @ x
    assert np.abs(gradient + l1 * np.sign(found.coef_))[chosen].max() < 1e-6 * l1
    assert np.abs(gradient[~chosen]).max() <= l1 * (1 + 1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_correlated_columns_that_stay_sparse_are_factored(monkeypatch, classes):
    """Ten copies of each column, nearly: products with their Hessian bring little, with its diagonal alone."""
    rng, made = np.random.default_rng(5), []
    once = sparse_rows(rng, 4000, 80, 0.02)
    x = scipy.sparse.csr_array(
        scipy.sparse.hstack([once + 0.1 * sparse_rows(rng, 4000, 80, 0.002) for _ in range(10)])
    )
    z = x @ rng.normal(size=(800, classes)) * 3 + rng.gumbel(size=(4000, classes))
    place, name = (copied_columns.Copied, "gram") if classes == 2 else (working_columns, "_hessian")
    hessian = getattr(place, name)
    monkeypatch.setattr(place, name, lambda *args: made.append(1) or hessian(*args))
    few = LogisticRegression(C=1.0, l1_ratio=1, tol=1e-6).fit(x, z.argmax(axis=1))
    assert few.status_ == "optimal"
    assert made
    made.clear()
    monkeypatch.setattr(working_columns, "_FEW_SPARSE", 0)  # as of thousands that count
    many = LogisticRegression(C=1.0, l1_ratio=1, tol=1e-6).fit(x, z.argmax(axis=1))
    assert many.status_ == "optimal"
    assert made
    assert many.result_["objective"] == pytest.approx(few.result_["objective"], rel=2e-6)
