"""l1 and the elastic net beside saga and celer: the same optimum, exact zeros, the right entrants."""

import numpy as np
import pytest
from celer import LogisticRegression as Celer
from problems import objective, random_problem, saga, solve_arrays
from sklearn.datasets import make_classification

from tf_logreg.fit.result import Status


@pytest.mark.parametrize(("classes", "l1"), [(2, 0.02), (2, 0.2), (3, 0.02)])
def test_l1_is_sagas_optimum_with_exact_zeros(strategies, tmp_path, classes, l1):
    x, y, _ = random_problem(400, 12, classes)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-14, standardize=False)
    kernel, bias, result = solve_arrays(x, y, l1=l1, **common)
    peer = saga(1.0, C=1 / (l1 * len(y)), tol=1e-14, max_iter=100_000).fit(x, y)
    ours = objective(x, y, kernel, bias, l1=l1)
    assert abs(ours - objective(x, y, peer.coef_.T, peer.intercept_, l1=l1)) < 1e-10
    assert ours - result.certificate.gap <= objective(x, y, peer.coef_.T, peer.intercept_, l1=l1)
    z, peer_z = x @ kernel + bias, x @ peer.coef_.T + peer.intercept_
    np.testing.assert_allclose(z - z[:, :1] if classes > 2 else z, peer_z - peer_z[:, :1] if classes > 2 else peer_z,
                               atol=1e-6)  # fmt: skip
    assert (kernel == 0).any() or l1 < 0.1
    assert result.status is Status.OPTIMAL


def test_l1_at_lambda_max_is_all_zero_and_just_below_has_the_right_entrant(strategies, tmp_path):
    x, y, weight = random_problem(300, 6, 2)
    x = (x - np.average(x, axis=0, weights=weight)) / x.std(axis=0)
    correlation = np.abs(np.average((y - np.average(y, weights=weight))[:, None] * x, axis=0, weights=weight))
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-12, standardize=False)
    kernel, _, result = solve_arrays(x, y, weight, l1=correlation.max() * 1.0001, **common)
    assert (kernel == 0).all()
    assert result.status is Status.OPTIMAL
    kernel, _, _ = solve_arrays(x, y, weight, l1=correlation.max() * 0.999, **common)
    assert np.flatnonzero(kernel[:, 0]).tolist() == [correlation.argmax()]


def test_elastic_net_between_its_ends(strategies, tmp_path):
    x, y, _ = random_problem(300, 6, 3)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-12, standardize=False)
    kernel, bias, _ = solve_arrays(x, y, l1=0.01, l2=0.05, **common)
    peer = saga(0.01 / 0.06, C=1 / (0.06 * len(y)), tol=1e-12, max_iter=100_000).fit(x, y)
    # A kernel with l2 is unique; the bias up to a constant.
    np.testing.assert_allclose(kernel, peer.coef_.T, atol=1e-5)
    np.testing.assert_allclose(bias - bias.mean(), peer.intercept_ - peer.intercept_.mean(), atol=1e-5)


def test_signs_that_differ_between_classes_stop_no_step(strategies, tmp_path):
    """A number added to all classes' coefficients changes no loss, only the penalty: up to the first zero."""
    x, y = make_classification(n_samples=100, n_classes=3, n_informative=3, random_state=0)
    kernel, bias, result = solve_arrays(
        x,
        y.astype(np.int32),
        l1=0.01,
        strategy=strategies["one_device"],
        tmp_path=tmp_path,
        standardize=False,
    )
    assert result.status is Status.OPTIMAL
    peer = saga(1.0, C=1.0, tol=1e-10, max_iter=100_000).fit(x, y)
    ours = objective(x, y, kernel, bias, l1=0.01)
    assert ours == pytest.approx(objective(x, y, peer.coef_.T, peer.intercept_, l1=0.01), rel=1e-6)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_l1_is_celers_optimum(strategies, tmp_path, share):
    x, y, _ = random_problem(400, 12, 2)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    l1 = share * np.abs((y - 0.5) @ x).max() / len(y)  # of lambda_max without an intercept
    kernel, _, _ = solve_arrays(
        x, y, l1=l1, strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-14, standardize=False, bias=False,
    )  # fmt: skip
    peer = Celer(C=1 / (l1 * len(y)), tol=1e-14, max_iter=10_000).fit(x, 2 * y - 1)
    ours, theirs = objective(x, y, kernel, 0.0, l1=l1), objective(x, y, peer.coef_.T, 0.0, l1=l1)
    assert abs(ours - theirs) < 1e-10
    np.testing.assert_allclose(kernel, peer.coef_.T, atol=1e-6)
    assert (kernel != 0).tolist() == (peer.coef_.T != 0).tolist()


@pytest.mark.parametrize("end", ["l1", "l2"])
@pytest.mark.parametrize("classes", [2, 3])
def test_elastic_net_tends_to_its_ends(strategies, tmp_path, end, classes):
    x, y, _ = random_problem(300, 6, classes)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-14, standardize=False)
    pure = {end: 0.02}
    kernel, bias, _ = solve_arrays(x, y, **pure, **common)
    other = "l2" if end == "l1" else "l1"
    value = objective(x, y, kernel, bias, **pure)
    for small in (1e-4, 1e-6, 1e-8):
        near, near_bias, _ = solve_arrays(x, y, **pure, **{other: small}, **common)
        # F_pure(near) - F_pure(kernel) is at most what the other penalty takes at `kernel`.
        most = small * (np.abs(kernel).sum() if other == "l1" else np.square(kernel).sum() / 2)
        excess = objective(x, y, near, near_bias, **pure) - value
        assert -1e-13 < excess < most + 1e-13


def test_a_coefficient_that_its_penalty_holds_at_zero_hides_no_other(strategies, tmp_path):
    """A column of 1e-17 without `standardize` has an l1 of some 1e13 in columns of deviation one."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    y = (x[:, 0] + rng.normal(size=500) > 0).astype(int)
    x[:, 1] *= 1e-17
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l1=1e-3, tol=1e-12, standardize=False)
    kernel, _, result = solve_arrays(x, y, **common)
    assert result.status is Status.OPTIMAL
    assert kernel[1] == 0
    without, _, _ = solve_arrays(np.delete(x, 1, axis=1), y, **common)
    np.testing.assert_allclose(np.delete(kernel, 1, axis=0), without, rtol=1e-7)
