"""Fits on sparse rows: what they find is what dense rows give, certified, whatever the solver and the penalty."""

import numpy as np
import pytest
import scipy.sparse
import scipy.special
from problems import objective, settings_of, solve_arrays, sparse_problem, sparse_rows
from sklearn.linear_model import LogisticRegression as Peer

from tf_logreg.data import scan
from tf_logreg.data.arrays import from_arrays
from tf_logreg.data.sparse_arrays import from_sparse
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_host
from tf_logreg.errors import InputError
from tf_logreg.fit.learn import learn
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Status

HOST = {"strategy": None, "dtype": "float32"}


@pytest.mark.parametrize(
    "penalty", [{"l2": 1e-3}, {"l1": 3e-3}, {"l1": 1e-3, "l2": 1e-3}], ids=["l2", "l1", "both"]
)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("num_features", [40, 650], ids=["few columns", "many columns"])
def test_sparse_rows_give_what_dense_rows_give(tmp_path, num_features, classes, penalty):
    x, y, weight = sparse_problem(0, num_features=num_features, classes=classes)
    options = {
        "strategy": None,
        "tmp_path": tmp_path,
        "tol": 1e-11,
        "class_weights": np.arange(1.0, classes + 1),
    }
    found = [
        solve_arrays(rows, y, weight, dtype="float64", **options, **penalty) for rows in (x, x.toarray())
    ]
    assert all(trained.status is Status.OPTIMAL for *_, trained in found)
    np.testing.assert_allclose(found[0][2].objective, found[1][2].objective, rtol=1e-9)
    logits = [x @ kernel + bias for kernel, bias, _ in found]
    logits = [z - z.mean(axis=1, keepdims=True) if classes > 2 else z for z in logits]
    # A gap of 1e-11 is half of the mean of p (1 - p) times the squared differences.
    np.testing.assert_allclose(*logits, atol=2e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_optimum_is_scikit_learns(tmp_path, dtype):
    x, y, _ = sparse_problem(1)
    kernel, _, trained = solve_arrays(
        x, y, strategy=None, tmp_path=tmp_path, dtype=dtype, l2=1e-3, standardize=False, tol=1e-10
    )
    peer = Peer(C=1 / (1e-3 * len(y)), solver="newton-cg", tol=1e-10).fit(x, y)
    theirs = objective(x.toarray(), y, peer.coef_.T, peer.intercept_, l2=1e-3)
    assert abs(trained.objective - theirs) < 1e-9
    np.testing.assert_allclose(kernel, peer.coef_.T, atol=1e-4)


@pytest.mark.parametrize("method", ["newton", "lbfgs"])
def test_methods_agree_with_offsets_and_without_bias(tmp_path, method):
    x, y, weight = sparse_problem(2)
    offset = np.random.default_rng(0).normal(size=len(y))
    options = {"l2": 1e-2, "bias": False, "offset": offset, "tmp_path": tmp_path, "tol": 1e-8}
    sparse = solve_arrays(x, y, weight, solver=method, **HOST, **options)[2]
    dense = solve_arrays(x.toarray(), y, weight, strategy=None, **options)[2]
    assert sparse.status is dense.status is Status.OPTIMAL
    assert abs(sparse.objective - dense.objective) < 1e-8


def test_one_vs_rest_and_standardised_columns(tmp_path):
    x, y, _ = sparse_problem(3, classes=4)
    options = {"l2": 1e-2, "standardize": True, "output": "one_vs_rest", "tmp_path": tmp_path, "tol": 1e-9}
    found = [solve_arrays(rows, y, strategy=None, **options) for rows in (x, x.toarray())]
    np.testing.assert_allclose(found[0][2].objective, found[1][2].objective, rtol=1e-8)


@pytest.mark.parametrize("seed", [*range(24), 139])  # 139: a matrix that LAPACK's gesdd does not decompose
def test_no_bound_is_below_the_truth(tmp_path, seed):
    certified(tmp_path, seed)


@pytest.mark.deep
@pytest.mark.parametrize("start", range(100, 2100, 100))
def test_no_bound_of_two_thousand_is_below_the_truth(tmp_path, start):
    for seed in range(start, start + 100):
        certified(tmp_path, seed)


def certified(tmp_path, seed):
    """A random problem's bound holds against a closer optimum of dense rows; with a penalty it is optimal."""
    rng = np.random.default_rng(seed)
    kind = ("l1", "l2", "both", "none")[seed % 4]
    num_features = int(rng.integers(1, 900 if seed % 8 < 3 else 60))
    x, y, weight = sparse_problem(
        seed,
        int(rng.integers(20, 300)),
        num_features,
        int(rng.choice([2, 2, 3])),
        float(rng.choice([0.02, 0.1])),
    )
    strength = 10.0 ** rng.uniform(-4, -1)
    penalty = {name: strength for name in ("l1", "l2") if kind in (name, "both")}
    options = {"strategy": None, "tmp_path": tmp_path, "bias": bool(seed % 5), "standardize": bool(seed % 3)}
    found = solve_arrays(x, y, weight, dtype="float32", tol=1e-5, polish=False, **options, **penalty)[2]
    close = solve_arrays(x.toarray(), y, weight, tol=1e-10 if penalty else 1e-6, **options, **penalty)[2]
    if penalty:
        assert found.status is Status.OPTIMAL, (seed, found.message)
    else:
        assert found.status in (close.status, Status.MAX_PASSES), (seed, found.message)
    if found.certificate.gap is not None:
        assert found.objective - close.objective <= found.certificate.gap + 1e-13, seed


def test_l1_with_more_coefficients_than_can_be_projected_on_is_certified(tmp_path, monkeypatch):
    from tf_logreg.exact import normal_equations

    monkeypatch.setattr(normal_equations, "_MOST_PROJECTED", 20)
    x, y, _ = sparse_problem(4)
    trained = solve_arrays(x, y, l1=2e-3, tmp_path=tmp_path, tol=1e-5, **HOST)[2]
    assert (trained.kernel != 0).sum() > 20
    assert trained.status is Status.OPTIMAL


def test_the_scan_of_sparse_rows_is_that_of_dense_rows():
    rng = np.random.default_rng(0)
    x = sparse_rows(rng, 300, 8, 0.3).toarray()
    x[:, 0], x[:, 1], x[:, 2], x[:, 3] = 5.0, 1e6 + rng.normal(size=300), x[:, 2] * 1e-30, 0.0
    y, weight = np.arange(300) % 2, rng.integers(0, 3, 300).astype(float)
    sources = [
        make(rows, y, class_names=("a", "b"), weight=weight)
        for make, rows in ((from_arrays, x), (from_sparse, scipy.sparse.csr_array(x)))
    ]
    dense, sparse = (scan.scan(source, np.arange(300), 200) for source in sources)
    for name in ("weight_sum", "mean", "class_weight_sum"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), rtol=1e-12)
    np.testing.assert_allclose(sparse.deviation, dense.deviation, rtol=1e-9)
    assert sparse.deviation[0] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20])
def test_a_number_that_cannot_be_used_is_named(value):
    x = scipy.sparse.lil_array((5, 4))
    x[3, 2] = value
    source = from_sparse(x, np.arange(5) % 2, class_names=("a", "b"), feature_names=tuple("abcd"))
    with pytest.raises(InputError, match="in row 3, column 'c'"):
        scan.scan(source, np.arange(5))


def test_rows_are_used_where_they_lie():
    x, y, _ = sparse_problem(5)
    x = x.astype(np.float32)
    source = from_sparse(x, y, class_names=("a", "b"))
    assert np.shares_memory(source.host(np.arange(10, 20)).x.data, x.data)
    settings = settings_of(l2=1e-2)
    from problems import dataset_of

    from tf_logreg.fit.full_batch import optimum

    dataset = dataset_of(x, y, settings=settings, devices=Devices())
    columns = optimum.columns_of(settings, dataset)
    engine = on_host.placed_or_streamed(Devices(), dataset.source, dataset.train, columns)
    assert engine.sparse


def test_tensorflow_is_not_asked_to_read_sparse_rows():
    from problems import dataset_of

    x, y, _ = sparse_problem(6)
    settings = settings_of(solver__name="minibatch")
    dataset = dataset_of(x, y, settings=settings, devices=Devices())
    with pytest.raises(InputError, match="sparse rows"):
        learn(settings, dataset, Devices(), Monitor())


@pytest.mark.parametrize("penalty", [{"l1": 1e-2}, {"l2": 1e-2}], ids=["l1", "l2"])
def test_rows_without_any_value(tmp_path, penalty):
    x = scipy.sparse.csr_array((50, 3000))
    y = (np.arange(50) % 5 == 0).astype(np.int32)
    kernel, bias, trained = solve_arrays(x, y, tmp_path=tmp_path, **HOST, **penalty)
    assert trained.status is Status.OPTIMAL
    assert not kernel.any()
    assert bias == pytest.approx(np.log(0.25))
