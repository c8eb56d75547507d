"""The certified optimum beside scikit-learn's, statsmodels' and published numbers, and its invariances."""

import numpy as np
import pytest
from problems import objective, random_problem, solve_arrays
from sklearn.datasets import load_breast_cancer, load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.discrete_model import Logit, MNLogit

from tf_logreg.fit.result import Status

# Spector and Mazzeo (1980) as statsmodels ships it: GPA, TUCE, PSI, GRADE.
SPECTOR = """
2.66 20 0 0  2.89 22 0 0  3.28 24 0 0  2.92 12 0 0  4.00 21 0 1  2.86 17 0 0  2.76 17 0 0  2.87 21 0 0
3.03 25 0 0  3.92 29 0 1  2.63 20 0 0  3.32 23 0 0  3.57 23 0 0  3.26 25 0 1  3.53 26 0 0  2.74 19 0 0
2.75 25 0 0  2.83 19 0 0  3.12 23 1 0  3.16 25 1 1  2.06 22 1 0  3.62 28 1 1  2.89 14 1 0  3.51 26 1 0
3.54 24 1 1  2.83 27 1 1  3.39 17 1 1  2.67 24 1 0  3.65 21 1 1  4.00 23 1 1  3.10 21 1 0  2.39 19 1 1
"""


def data(name):
    """Features of deviation one."""
    if name == "planted":
        x, y, _ = random_problem(20_000, 50, 2, seed=3)
    else:
        load = {"breast_cancer": load_breast_cancer, "digits": load_digits, "iris": load_iris}[name]
        x, y = load(return_X_y=True)
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1), y.astype(np.int32)


def peer_fit(x, y, l2, weight=None, **arguments):
    """scikit-learn's optimum at our l2."""
    total = len(y) if weight is None else weight.sum()
    peer = LogisticRegression(
        C=1 / (l2 * total), solver="newton-cholesky", tol=1e-12, max_iter=1000, **arguments
    )
    peer.fit(x, y, sample_weight=weight)
    return peer.coef_.T, peer.intercept_


def same_softmax(kernel, bias, peer_kernel, peer_bias, rtol):
    """Coefficients are compared with their free direction taken out: biases are centred."""
    np.testing.assert_allclose(kernel, peer_kernel, rtol=rtol, atol=rtol * np.abs(peer_kernel).max())
    centred, peer_centred = bias - bias.mean(), peer_bias - peer_bias.mean()
    np.testing.assert_allclose(centred, peer_centred, rtol=rtol, atol=rtol * max(1, np.abs(peer_bias).max()))


@pytest.mark.parametrize("l2", [1e-1, 1e-4])
@pytest.mark.parametrize("name", ["breast_cancer", "digits", "iris", "planted"])
def test_scikit_learns_optimum(strategies, tmp_path, name, l2):
    x, y = data(name)
    kernel, bias, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=l2, tol=3e-14, standardize=False
    )
    peer_kernel, peer_bias = peer_fit(x, y, l2)
    ours, theirs = objective(x, y, kernel, bias, l2=l2), objective(x, y, peer_kernel, peer_bias, l2=l2)
    assert abs(ours - theirs) <= 1e-10 * theirs
    if kernel.shape[1] == 1:
        np.testing.assert_allclose(kernel, peer_kernel, rtol=1e-6, atol=1e-6 * np.abs(peer_kernel).max())
        np.testing.assert_allclose(bias, peer_bias, rtol=1e-6, atol=1e-6)
    else:
        same_softmax(kernel, bias, peer_kernel, peer_bias, 1e-6)
    assert result.status is Status.OPTIMAL


@pytest.mark.parametrize("name", ["breast_cancer", "iris"])
@pytest.mark.parametrize("bias", [True, False])
def test_row_and_class_weights_and_no_bias(strategies, tmp_path, name, bias):
    x, y = data(name)
    x = x + 0.3
    rng = np.random.default_rng(0)
    weight, classes = rng.uniform(0.2, 3, len(y)), rng.uniform(0.5, 2, y.max() + 1)
    kernel, intercept, _ = solve_arrays(
        x, y, weight, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-2, tol=1e-13,
        standardize=False, bias=bias, class_weights=classes,
    )  # fmt: skip
    peer = peer_fit(
        x, y, 1e-2 * (weight * classes[y]).sum() / weight.sum(), weight,
        class_weight=dict(enumerate(classes)), fit_intercept=bias,
    )  # fmt: skip
    same_softmax(kernel, intercept if bias else np.zeros(1), peer[0], peer[1] if bias else np.zeros(1), 2e-6)


def test_standardised_penalties_are_those_of_scaled_columns(strategies, tmp_path):
    x, y, weight = random_problem(300, 5, 3)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-2, tol=1e-13)
    kernel, bias, _ = solve_arrays(x * [1, 10, 1e-3, 1e3, 1], y, weight, standardize=True, **common)
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average(np.square(x - mean), axis=0, weights=weight))
    scaled, scaled_bias = peer_fit((x - mean) / spread, y, 1e-2, weight)
    same_softmax(kernel * np.array([1, 10, 1e-3, 1e3, 1])[:, None] * spread[:, None], bias,
                 scaled, scaled_bias - mean / spread @ scaled, 1e-6)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_float32_reaches_a_gap_of_1e9(strategies, tmp_path, dtype):
    x, y = data("breast_cancer")
    _, _, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, tol=1e-9, dtype=dtype
    )
    assert result.status is Status.OPTIMAL
    assert result.relative_gap <= 1e-9


def test_float32_reaches_a_small_gap_where_its_gradients_are_too_rough(strategies, tmp_path):
    x, y = data("digits")
    _, _, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-7, tol=1e-9, dtype="float32"
    )
    assert result.status is Status.OPTIMAL
    assert result.passes < 1000


def test_where_float32_hides_progress_float64_goes_on_at_once(strategies, tmp_path):
    x, y, weight = random_problem(2000, 64, 10)
    _, _, result = solve_arrays(
        x, y, weight, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-9, dtype="float32"
    )
    assert result.status is Status.OPTIMAL
    assert result.iterations < 25  # 13, but 50 where only steps of no length end float32's


def test_spectors_published_numbers(strategies, tmp_path):
    table = np.array(SPECTOR.split(), float).reshape(32, 4)
    kernel, bias, result = solve_arrays(
        table[:, :3],
        table[:, 3].astype(np.int32),
        strategy=strategies["one_device"],
        tmp_path=tmp_path,
        tol=1e-13,
    )
    # Stata's logit, quoted in statsmodels/discrete/tests/results/results_discrete.py.
    # A gap of 1e-15 leaves its root in the coefficients.
    np.testing.assert_allclose(kernel[:, 0], [2.82611297201, 0.0951576702557, 2.37868772835], rtol=1e-6)
    np.testing.assert_allclose(bias, [-13.0213483201], rtol=1e-6)
    assert result.certificate.gap < 1e-12


@pytest.mark.parametrize("classes", [2, 3])
def test_statsmodels_without_a_penalty(strategies, tmp_path, classes):
    x, y, _ = random_problem(300, 4, classes)
    kernel, bias, _ = solve_arrays(x, y, strategy=strategies["one_device"], tmp_path=tmp_path, tol=4e-15)
    model = Logit if classes == 2 else MNLogit
    peer = model(y, np.hstack([np.ones((300, 1)), x])).fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    ours = np.vstack([bias, kernel])
    ours = ours if classes == 2 else ours[:, 1:] - ours[:, :1]
    np.testing.assert_allclose(ours, np.asarray(peer.params).reshape(ours.shape), rtol=1e-6, atol=1e-6)


def test_two_by_two_table_is_the_log_odds_ratio(strategies, tmp_path):
    x, y = np.array([[0.0], [0], [1], [1]]), np.array([0, 1, 0, 1], np.int32)
    kernel, bias, _ = solve_arrays(
        x, y, np.array([30.0, 10, 5, 25]), strategy=strategies["one_device"], tmp_path=tmp_path, tol=4e-15
    )
    np.testing.assert_allclose(kernel, [[np.log(25 * 30 / (5 * 10))]], rtol=1e-7)
    np.testing.assert_allclose(bias, [np.log(10 / 30)], rtol=1e-7)


@pytest.mark.parametrize("solver", ["gradient_descent", "lbfgs", "newton", "proximal_newton"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_method_reaches_the_same_certified_optimum(strategies, tmp_path, solver, classes):
    x, y, weight = random_problem(200, 5, classes)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=0.1, max_passes=3000)
    kernel, _, result = solve_arrays(x, y, weight, solver=solver, tol=1e-9, **common)
    exact, _, _ = solve_arrays(x, y, weight, tol=1e-13, **common)
    assert result.status is Status.OPTIMAL
    np.testing.assert_allclose(kernel, exact, atol=2e-4 * np.abs(exact).max())


def test_conjugate_gradients_agree_with_cholesky(strategies, tmp_path, monkeypatch):
    from tf_logreg.fit.full_batch import penalized

    x, y = data("digits")
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, tol=1e-11)
    for l1 in (0.0, 1e-3):
        explicit, _, _ = solve_arrays(x[:600], y[:600], l1=l1, **common)
        monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
        matrix_free, _, result = solve_arrays(x[:600], y[:600], l1=l1, **common)
        monkeypatch.undo()
        assert result.status is Status.OPTIMAL
        np.testing.assert_allclose(matrix_free, explicit, atol=1e-4 * np.abs(explicit).max())


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("kind", ["off", "one_device", "mirrored", "four"])
def test_any_devices_and_any_way_of_reading_agree(strategies, tmp_path, kind, resident):
    x, y, weight = random_problem(333, 5, 3)
    # Without the polish, which streams the rows of so many replicas twenty times more.
    common = dict(tmp_path=tmp_path, l2=1e-3, tol=1e-12, solver__polish=False)
    expected, bias, _ = solve_arrays(x, y, weight, strategy=strategies["one_device"], **common)
    found, found_bias, _ = solve_arrays(x, y, weight, strategy=strategies[kind], resident=resident, **common)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found_bias, bias, rtol=1e-7, atol=1e-8)


def test_invariances(strategies, tmp_path):
    x, y, weight = random_problem(150, 4, 2)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-2, tol=1e-13, standardize=False)
    kernel, bias, _ = solve_arrays(x, y, weight, **common)

    def same(other, factor=1.0, shift=0.0):
        np.testing.assert_allclose(other[0], factor * kernel, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(other[1], factor * bias + shift, rtol=1e-6, atol=1e-8)

    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    same(solve_arrays(x[repeated], y[repeated], **common))
    order = np.random.default_rng(0).permutation(len(y))
    same(solve_arrays(x[order], y[order], weight[order], **common))
    same(solve_arrays(x, y, 1000 * weight, **common))
    absent = np.concatenate([weight, np.zeros(20)])
    same(solve_arrays(np.vstack([x, 1e6 + x[:20]]), np.concatenate([y, y[:20]]), absent, **common))
    same(solve_arrays(x, 1 - y, weight, **common), factor=-1.0)
    same(solve_arrays(x + 1e8, y, weight, **common)[:1] + (bias,))
    twice, _, _ = solve_arrays(np.hstack([x, x]), y, weight, **{**common, "l2": 2e-2})
    np.testing.assert_allclose(twice, np.vstack([kernel, kernel]) / 2, rtol=1e-6, atol=1e-9)
    offset = np.full(len(y), 0.7)
    same(solve_arrays(x, y, weight, offset=offset, **common), shift=-0.7)
    softmax, _, _ = solve_arrays(x, y, weight, output="softmax", **{**common, "l2": 2e-2})
    np.testing.assert_allclose(softmax[:, 1:] - softmax[:, :1], kernel, rtol=1e-6, atol=1e-9)


def test_unpenalised_features(strategies, tmp_path):
    x, y, _ = random_problem(300, 3, 2)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-13, standardize=False)
    kernel, bias, _ = solve_arrays(x, y, l2=10.0, penalty_factor=(0.0, 1e9, 1e9), **common)
    alone, alone_bias, _ = solve_arrays(x[:, :1], y, **common)
    np.testing.assert_allclose(kernel[0], alone[0], rtol=1e-5)
    np.testing.assert_allclose(bias, alone_bias, atol=1e-5)
    # Without a penalty the scale of a column does not matter.
    scaled, _, _ = solve_arrays(x * 1e6, y, **common)
    np.testing.assert_allclose(scaled * 1e6, solve_arrays(x, y, **common)[0], rtol=1e-7)


def test_no_passes_left_is_said_and_never_optimal(strategies, tmp_path):
    x, y, _ = random_problem(200, 4, 3)
    for passes in (0, 1):
        _, _, result = solve_arrays(
            x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, max_passes=passes
        )
        assert result.status is Status.MAX_PASSES
        assert "solver.max_passes" in result.message
        assert result.relative_gap > 1e-6


def test_warm_start_saves_passes(strategies, tmp_path):
    x, y, _ = random_problem(300, 5, 3)
    # Those of the method: small problems go on to the last digits wherever they start.
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, solver__polish=False)
    kernel, bias, cold = solve_arrays(x, y, tol=1e-12, **common)
    _, _, warm = solve_arrays(x, y, start=(kernel, bias), **common)
    assert warm.status is Status.OPTIMAL
    assert warm.made["value_and_gradient"] < cold.made["value_and_gradient"] / 2


class Killed(BaseException):
    """As SIGKILL does: nothing of ours catches it."""


@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("at", [2, 5, 8])
def test_a_killed_solve_repeats_at_most_one_pass(strategies, tmp_path, monkeypatch, at, l1):
    from tf_logreg.fit.full_batch import penalized, saving
    from tf_logreg.fit.full_batch.tape import Tape

    x, y = data("digits")
    x, y = x[:500], y[:500]
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l1=l1, l2=1e-3, tol=1e-10)
    monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
    monkeypatch.setattr(saving, "_SECONDS_BETWEEN_CHECKPOINTS", -1e9)  # after every pass
    passes, real, limit = [0], Tape.__call__, [at]

    def counted(tape, *arguments):
        before = len(tape.recorded)
        found = real(tape, *arguments)
        passes[0] += len(tape.recorded) > before
        if passes[0] == limit[0]:
            limit[0] = None
            raise Killed
        return found

    monkeypatch.setattr(Tape, "__call__", counted)
    with pytest.raises(Killed):
        solve_arrays(x, y, checkpoints=tmp_path / "killed", **common)
    resumed, _, result = solve_arrays(x, y, checkpoints=tmp_path / "killed", **common)
    broken, passes[0] = passes[0], 0
    unbroken, _, whole = solve_arrays(x, y, **common)
    assert result.status is whole.status is Status.OPTIMAL
    assert broken <= passes[0] + 1
    np.testing.assert_array_equal(resumed, unbroken)
