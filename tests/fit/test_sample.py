"""Preconditioners of rows on the host against the matrices that they stand for."""

import numpy as np
import pytest
from problems import random_problem, solve_arrays

from tf_logreg.fit.full_batch import penalized, preconditioner, row_space, sample
from tf_logreg.fit.full_batch.preconditioner import Pooled
from tf_logreg.fit.result import Status

S, P = 12, 30


def rows(outputs, *, whole=True):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((S, P)) + 0.5
    return sample.Rows(x, np.zeros(S, int), np.ones(S), np.zeros((S, 1)), np.zeros(S, int), x @ x.T, whole)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_all_rows_solve_as_their_gram_matrix_does(bias, outputs, masked):
    rng = np.random.default_rng(1)
    some, weight, l2 = rows(outputs), rng.integers(0, 3, S).astype(float), np.linspace(0.5, 2, P)
    w = 0.3 * rng.standard_normal((P + 1, outputs)) * np.append(np.ones(P), bias)[:, None]
    d = weight[:, None] * some.curvatures(w, bias)
    with_one = np.column_stack([some.x, np.ones(S)])
    gram = (with_one * d.sum(axis=1)[:, None]).T @ with_one
    options = {"bias": bias, "smooth": not masked}
    expected = Pooled(weight.sum(), with_one.T @ d, gram, l2, **options)
    found = preconditioner.of_sample(some, w, weight, l2, **options)
    r = rng.standard_normal((2, P + bias, outputs))
    free = rng.random(r.shape) < 0.6 if masked else np.ones(r.shape, bool)
    np.testing.assert_allclose(found.solve(r, free), expected.solve(r, free), rtol=1e-8, atol=1e-10)


def test_few_rows_leave_no_direction_without_curvature():
    some = rows(1, whole=False)
    scatter = sample.Scatter(some, np.full((S, 1), 0.25), centred=True)
    inverse = scatter.factor(np.zeros(P), np.ones(P, bool))(np.eye(P))
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-10)
    values = 1 / np.linalg.eigvalsh(inverse)
    assert 0.05 < values.min() < values.max() < 10  # of columns whose own is one
    assert np.trace(np.linalg.inv(inverse)) == pytest.approx(P * scatter.mean)


@pytest.mark.parametrize(("num_rows", "p", "expected"), [
    (50, 200_000, 50), (2000, 20_000, 2000), (20_000, 50_000, 1342), (50, 600, 0), (50, 800, 50), (60_000, 784, 0),
    (9000, 4096, 0),
])  # fmt: skip
def test_size(num_rows, p, expected):
    assert sample.size(num_rows, p) == expected


def by_kernel(x, y, l2):
    """The optimum's objective and coefficients from the n x n form: w = X^T a, in float64."""
    n, codes = len(y), 2.0 * y - 1
    gram, a, b = x @ x.T, np.zeros(len(y)), 0.0
    for _ in range(60):
        z = gram @ a + b
        p = 1 / (1 + np.exp(codes * z))
        d = p * (1 - p) / n
        # Newton: a = -gradient of the loss / l2 where the step ends.
        left = np.block([[np.diag(1 / d) + gram / l2, np.ones((n, 1))], [np.ones((1, n)), np.zeros((1, 1))]])
        step = np.linalg.solve(left, np.append(z + codes * p / n / d, 0))
        a, b = step[:n] / l2, step[n]
    z = gram @ a + b
    return np.logaddexp(0, -codes * z).mean() + l2 / 2 * a @ gram @ a, x.T @ a


@pytest.mark.parametrize("some_rows", [True, False])
@pytest.mark.parametrize("l2", [0.3, 1e-2])
def test_wide_data_end_where_the_kernel_form_does(strategies, tmp_path, monkeypatch, some_rows, l2):
    x, y, _ = random_problem(60, 700, 2)
    monkeypatch.setattr(row_space, "applies", lambda _: False)  # the road of rows that are not in memory
    if some_rows:
        monkeypatch.setattr(sample, "_MOST_ROWS", 20)
    kernel, _, result = solve_arrays(
        x, y, strategy=strategies["one_device"], tmp_path=tmp_path, l2=l2, tol=1e-12, standardize=False
    )
    assert result.status is Status.OPTIMAL
    value, expected = by_kernel(x, y, l2)
    assert result.certificate.objective == pytest.approx(value, abs=1e-10)
    # F is strongly convex: a gap bounds how far coefficients lie from the optimum's.
    assert np.linalg.norm(kernel[:, 0] - expected) <= np.sqrt(2 * result.certificate.gap / l2) < 1e-4
    assert result.passes < (120 if some_rows else 60)


@pytest.mark.parametrize(
    "case",
    [
        "softmax",
        "l1",
        "elastic",
        "free columns",
        "columns of a weak l2",
        "no weight in the sample",
        "no bias",
        "one_vs_rest",
        pytest.param("streamed", marks=pytest.mark.long),
        "float32",
    ],
)
def test_a_sample_of_rows_shapes_steps_and_not_the_answer(strategies, tmp_path, monkeypatch, case):
    x, y, weight = random_problem(90, 40, 2 if case in ("l1", "free columns") else 3)
    fields = {"l2": 1e-2, "tol": 1e-11, "tmp_path": tmp_path}
    fields |= {"strategy": strategies["mirrored" if case == "softmax" else "one_device"]}
    fields |= {"dtype": "float64"}
    if case == "l1":
        fields |= {"l1": 0.02, "l2": 0.0}
    elif case == "elastic":
        fields |= {"l1": 0.01}
    elif case == "free columns":
        fields |= {"penalty_factor": (0.0,) * 2 + (1.0,) * 38}
    elif case == "columns of a weak l2":
        fields |= {"penalty_factor": (1e-23,) * 2 + (1.0,) * 38, "dtype": "float32", "tol": 1e-8}
    elif case == "no weight in the sample":
        weight[::3] = 0
    elif case == "no bias":
        fields |= {"bias": False}
    elif case == "one_vs_rest":
        fields |= {"output": "one_vs_rest"}
    elif case == "float32":
        fields |= {"dtype": "float32", "tol": 1e-8}
    expected, _, _ = solve_arrays(x, y, weight, **fields)
    monkeypatch.setattr(penalized, "_LARGEST_HESSIAN", 0)
    count = 30
    if case == "streamed":
        fields |= {"resident": False, "tol": 1e-8}
        count = 90  # all: few passes
    monkeypatch.setattr(sample, "size", lambda rows, p: count)
    found, _, result = solve_arrays(x, y, weight, **fields)
    assert result.status is Status.OPTIMAL
    assert result.passes < 250
    np.testing.assert_allclose(found, expected, atol=1e-3 if fields["tol"] > 1e-10 else 1e-4)
    if "l1" in fields:
        np.testing.assert_array_equal(found == 0, expected == 0)
