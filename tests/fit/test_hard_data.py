"""Data that break other programs: separation, scales, rounding, rare classes, dependent columns."""

import gc
import weakref

import numpy as np
import pytest
from problems import random_problem, solve_arrays

from tf_logreg import LogisticRegression
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.result import Status


@pytest.mark.parametrize(
    "case", ["scales", "mean", "duplicates", "constant", "wide", "rare", "one column", "logits"]
)
def test_torture(strategies, tmp_path, case):
    x, y, _ = random_problem(200, 4, 2)
    l2 = 1e-3
    if case == "scales":
        x, l2 = x * [1e-12, 1e-3, 1e5, 1e12], 0.0
    elif case == "mean":
        x = x / x.std(axis=0) + 1e8
    elif case == "duplicates":
        x, l2 = np.hstack([x, x[:, :2]]), 0.0
    elif case == "constant":
        x = np.hstack([x, np.full((200, 1), 7.0), np.zeros((200, 1))])
    elif case == "wide":
        x = np.random.default_rng(0).normal(size=(20, 300))
        y = y[:20]
        y[:2] = 0, 1
    elif case == "rare":
        x, y = np.random.default_rng(0).normal(size=(50_000, 2)), np.zeros(50_000, np.int32)
        y[:3] = 1
    elif case == "one column":
        x = x[:, :1]
    elif case == "logits":
        x = x * 1e4
    kernel, bias, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=l2, tol=1e-9, standardize=False
    )
    assert result.status is Status.OPTIMAL, result.message
    # A free bias makes the predictions sum to the labels.
    z = (x - x.mean(axis=0)) @ kernel + (bias + x.mean(axis=0) @ kernel)
    assert (1 / (1 + np.exp(-z))).sum() == pytest.approx(y.sum(), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("kind", ["complete", "quasi", "softmax"])
def test_separated_data_are_said_to_be(strategies, tmp_path, kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 3))
    if kind == "softmax":
        y = (x[:, :1] * [1, 0, -1] + rng.gumbel(size=(100, 3))).argmax(axis=1)
    else:
        y = (x[:, 0] + rng.logistic(size=100) > 0).astype(int)
    if kind == "complete":
        x[:, 1] = y + 0.1 * rng.random(100)
    else:
        x[:, 1] = (y == 1) & (rng.random(100) < 0.3)
    _, _, result = solve_arrays(x, y.astype(np.int32), strategy=strategies["one_device"], tmp_path=tmp_path)
    assert result.status is Status.SEPARATED
    assert "'x1'" in result.message
    assert ("'x0'" in result.message) == (kind == "complete")
    assert result.relative_gap is None
    # Each other class gets a row there: the optimum is finite.
    others = range(2, y.max() + 1)
    for row, c in zip(np.flatnonzero(x[:, 1] > 0.5), (0, *others), strict=False):
        y[row] = c
    _, _, result = solve_arrays(x, y.astype(np.int32), strategy=strategies["one_device"], tmp_path=tmp_path)
    assert result.status is Status.OPTIMAL


def test_rows_in_the_order_of_a_column(strategies, tmp_path):
    rng = np.random.default_rng(0)
    level = np.sort(rng.integers(0, 8, 60_000))
    x = np.hstack([np.eye(8)[level][:, 1:], rng.normal(size=(60_000, 2))])
    y = (x @ rng.normal(size=9) + rng.logistic(size=60_000) > 0).astype(np.int32)
    _, _, result = solve_arrays(x, y, strategy=strategies["one_device"], tmp_path=tmp_path, dtype="float32")
    assert result.status is Status.OPTIMAL
    assert result.passes < 30


def test_an_outlier_is_no_separation(strategies, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 2)), rng.integers(0, 2, 200).astype(np.int32)
    x[0], y[0] = 1e10, 1
    _, _, result = solve_arrays(x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=0.0)
    assert result.status is not Status.SEPARATED


def test_gradient_descent_without_a_penalty_is_given_its_passes(strategies, tmp_path):
    x, y, _ = random_problem(500, 3, 2)
    _, _, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, solver="gradient_descent", max_passes=3000
    )
    assert result.status is Status.OPTIMAL


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_float32_softmax_keeps_out_of_its_free_directions(strategies, tmp_path, monkeypatch, l2, explicit):
    from tf_logreg.fit.full_batch import penalized

    x, y, weight = random_problem(3000, 3, 3)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l2=l2)
    expected, bias, _ = solve_arrays(x, y, weight, tol=1e-13, **common)
    monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 600 if explicit else 0)
    kernel, found_bias, result = solve_arrays(x, y, weight, dtype="float32", tol=1e-9, **common)
    assert result.status is Status.OPTIMAL
    # Passes of the engine; those in float64, which polish a small problem, stay out of these directions anyway.
    assert sum(result.made.values()) - result.made["float64"] < (30 if explicit else 100)
    np.testing.assert_allclose(kernel, expected, atol=1e-3)
    np.testing.assert_allclose(found_bias, bias, atol=1e-3)


def test_a_thousand_classes_one_of_a_single_row(strategies, tmp_path):
    rng = np.random.default_rng(0)
    y = np.concatenate([[999], rng.integers(0, 999, 4000), np.arange(999)]).astype(np.int32)
    x = rng.normal(size=(1000, 8))[y] + rng.normal(size=(5000, 8))
    kernel, bias, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-2, dtype="float32"
    )
    assert result.status is Status.OPTIMAL
    assert kernel.shape == (8, 1000)
    z = x @ kernel + bias
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    # The bias is free: each class gets as much probability as it has rows, also that of one row.
    np.testing.assert_allclose(p.sum(axis=0), np.bincount(y), rtol=0.05)


def test_one_in_a_million(strategies, tmp_path):
    x, y = (
        np.random.default_rng(0).normal(size=(1_000_000, 1)).astype(np.float32),
        np.zeros(1_000_000, np.int32),
    )
    y[123_456] = 1
    kernel, bias, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-3, tol=1e-9, dtype="float32"
    )
    assert result.status is Status.OPTIMAL
    assert (1 / (1 + np.exp(-(x.astype(float) @ kernel + bias)))).sum() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("columns", [np.zeros((50, 1)), np.full((50, 2), 3.0)])
def test_without_any_feature_the_bias_is_the_logit_of_the_mean(strategies, tmp_path, columns):
    y = (np.arange(50) < 13).astype(np.int32)
    kernel, bias, result = solve_arrays(columns, y, strategy=strategies["one_device"], tmp_path=tmp_path)
    assert (kernel == 0).all()
    np.testing.assert_allclose(bias, np.log(13 / 37), rtol=1e-12)
    assert result.status is Status.OPTIMAL


def test_two_rows(strategies, tmp_path):
    x, y = np.array([[0.0], [1.0]]), np.array([0, 1], np.int32)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path)
    _, _, result = solve_arrays(x, y, **common)
    assert result.status is Status.SEPARATED
    kernel, bias, result = solve_arrays(x, y, l2=0.1, tol=1e-13, standardize=False, **common)
    assert result.status is Status.OPTIMAL
    # By symmetry the boundary lies halfway, and the slope solves w l2 = sigmoid(-w / 2) / 2.
    np.testing.assert_allclose(bias, -kernel[0] / 2, rtol=1e-6)
    np.testing.assert_allclose(kernel[0] * 0.1, 1 / (1 + np.exp(kernel[0] / 2)) / 2, rtol=1e-6)


def test_column_order(strategies, tmp_path):
    x, y, weight = random_problem(200, 5, 3)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, l1=1e-3, l2=1e-2, tol=1e-13)
    kernel, bias, _ = solve_arrays(x, y, weight, **common)
    order = np.array([3, 0, 4, 1, 2])
    other, other_bias, _ = solve_arrays(x[:, order], y, weight, **common)
    np.testing.assert_allclose(other, kernel[order], atol=1e-6)
    np.testing.assert_allclose(other_bias, bias, atol=1e-6)


def test_duplicated_columns_share_equally_under_l2(strategies, tmp_path):
    x, y, _ = random_problem(200, 3, 2)
    kernel, _, _ = solve_arrays(
        np.hstack([x, x[:, :1]]), y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=1e-2, tol=1e-13
    )
    np.testing.assert_allclose(kernel[0], kernel[3], rtol=1e-6)


def test_unpenalised_duplicates_leave_predictions_unique(strategies, tmp_path):
    x, y, _ = random_problem(200, 3, 2)
    common = dict(strategy=strategies["one_device"], tmp_path=tmp_path, tol=1e-13)
    kernel, bias, _ = solve_arrays(x, y, **common)
    twice, twice_bias, result = solve_arrays(np.hstack([x, x[:, :2] @ [[1.0], [2.0]]]), y, **common)
    assert result.status is Status.OPTIMAL
    np.testing.assert_allclose(
        np.hstack([x, x[:, :2] @ [[1.0], [2.0]]]) @ twice + twice_bias, x @ kernel + bias, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["one_device", "mirrored"])
def test_x_is_given_back_when_a_fit_ends(strategies, tmp_path, monkeypatch, kind):
    """Without the garbage collector's help: it may not come before the next fit needs the room."""
    real, made = optimum.placed, []

    def remembered(*arguments, **options):
        engine = real(*arguments, **options)
        made.append(weakref.ref(engine.sums))
        return engine

    monkeypatch.setattr(optimum, "placed", remembered)
    x, y, _ = random_problem(200, 3, 2)
    gc.disable()
    try:
        solve_arrays(x, y, strategy=strategies[kind], tmp_path=tmp_path, l2=1e-2)
        assert made[0]() is None
    finally:
        gc.enable()


def test_a_step_so_long_that_its_penalty_overflows_is_halved():
    """Sixty columns and twenty rows leave directions without curvature but for an l2 of next to nothing."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 60)), rng.integers(0, 4, 20)
    model = LogisticRegression(C=1e250).fit(x, y)
    assert np.isfinite(model.coef_).all()
    assert model.certified_gap_ <= 1e-6
    assert (model.predict(x) == y).all()
