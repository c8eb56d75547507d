"""The pooled preconditioner against the matrix that it stands for."""

import numpy as np
import pytest

from tf_logreg.fit.full_batch.preconditioner import Pooled

P, M, WEIGHT = 4, 3, 7.0


def pooled(bias: bool, l2: np.ndarray):
    """A `Pooled` of random rows, and the blocks [m, q, q] that it pools to: the same scatter in each."""
    rng = np.random.default_rng(0)
    d = rng.uniform(0.5, 1.5, (50, M)) * [0.95, 1.0, 1.05]  # close to each other: one group
    x = rng.standard_normal((50, P)) + 2
    with_one = np.column_stack([x, np.ones(50)])
    moments, gram = with_one.T @ d, (with_one * d.sum(axis=1)[:, None]).T @ with_one
    a = d.sum(axis=0)
    mean = with_one.T @ d / a * bias
    within = (gram - (mean * a) @ mean.T) / a.sum()
    blocks = np.stack([a[c] * (within + np.outer(mean[:, c], mean[:, c])) / WEIGHT for c in range(M)])
    shared = np.array([a[c] / a.mean() for c in range(M)])
    blocks += shared[:, None, None] * np.diag(np.append(l2, 0))
    q = P + bias
    return Pooled(WEIGHT, moments, gram, l2, bias=bias, smooth=False), blocks[:, :q, :q]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_it_solves_with_pooled_blocks(bias, l2):
    precondition, blocks = pooled(bias, np.linspace(1, 2, P) * l2)
    r = np.random.default_rng(1).standard_normal((2, P + bias, M))
    z = precondition.solve(r, np.ones(r.shape, bool))
    np.testing.assert_allclose(np.einsum("cpq,jqc->jpc", blocks, z), r, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("bias", [True, False])
def test_it_solves_within_the_free_coordinates(bias):
    precondition, blocks = pooled(bias, np.full(P, 0.1))
    r = np.random.default_rng(1).standard_normal((2, P + bias, M))
    free = np.ones(r.shape, bool)
    free[0, 1, 0] = free[1, :2, 2] = free[1, :P, 1] = free[0, :P, 2] = False
    z = precondition.solve(r, free)
    assert (z[~free] == 0).all()
    product = np.einsum("cpq,jqc->jpc", blocks, z)
    np.testing.assert_allclose(product[free], r[free], rtol=1e-10, atol=1e-10)
    for i in range(P):  # other features each time: no factor is kept for ever
        now = np.ones(r.shape, bool)
        now[:, i] = False
        precondition.solve(r, now)
    assert len(precondition._factors) <= 2


def spread(outputs: int, ratio: float, smooth: bool):
    """A `Pooled` of as many outputs whose curvatures span `ratio`, and its blocks [m, q, q] with their own l2."""
    rng = np.random.default_rng(2)
    a = np.geomspace(1.0, 1 / ratio, outputs)
    mean = np.vstack([rng.standard_normal((P, outputs)), np.ones(outputs)])
    scatter, l2 = np.diag([1.0, 2.0, 0.1, 0.01]), np.full(P, 0.05)
    between = np.einsum("c,pc,qc->cpq", a, mean, mean)
    within = a[:, None, None] * np.pad(scatter, (0, 1))
    blocks = between + within + np.diag(np.append(l2, 0))
    precondition = Pooled(1.0, mean * a, (between + within).sum(axis=0), l2, bias=True, smooth=smooth)
    return precondition, blocks, l2


@pytest.mark.parametrize(("outputs", "ratio", "factors"), [(6, 10.0, 6), (40, 1e5, 8)])
def test_alike_outputs_share_a_factor_and_few_are_kept(outputs, ratio, factors):
    precondition, blocks, _ = spread(outputs, ratio, smooth=False)
    r = np.eye(P + 1)[:, :, None] * np.ones(outputs)  # [q, q, m]: each output's inverse, a row at a time
    inverse = precondition.solve(r, np.ones(r.shape, bool))
    assert len(precondition._factors) <= factors
    # A shared factor's l2 is off by half a step.
    off = max(1.5, ratio ** (1 / 7)) ** 0.5 * (1 + 1e-9)
    for c in range(outputs):
        values = np.linalg.eigvals(inverse[:, :, c].T @ blocks[c]).real
        assert 1 / off <= values.min() <= values.max() <= off


def test_what_is_the_same_in_all_classes_is_solved_by_itself():
    precondition, blocks, l2 = spread(M, 1.0, smooth=True)  # as many curvatures as one step holds
    r = np.random.default_rng(3).standard_normal((1, P + 1, M))
    z = precondition.solve(r, np.ones(r.shape, bool))
    same = r.mean(axis=2)
    np.testing.assert_allclose(z[0, :P].mean(axis=1), same[0, :P] / l2)  # no curvature but l2's
    assert abs(z[0, P].mean()) < 1e-12  # and none at all along the bias
    differing = np.linalg.solve(blocks, (r[0] - same.T).T[:, :, None])[:, :, 0].T
    differing -= differing.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(z[0] - z[0].mean(axis=1, keepdims=True), differing, atol=1e-10)


def test_an_output_that_no_row_is_near_has_the_least_curvature():
    moments = np.column_stack([np.zeros(P + 1), np.ones((P + 1, 2))])
    gram = 2 * np.ones((P + 1, P + 1)) + np.diag([1.0] * P + [0.0])
    precondition = Pooled(1.0, moments, gram, np.ones(P), bias=True, smooth=False)
    r = np.random.default_rng(4).standard_normal((1, P + 1, M))
    z = precondition.solve(r, np.ones(r.shape, bool))
    least = 1e-6 * 2 / 3
    np.testing.assert_allclose(z[0, P, 0], r[0, P, 0] / least)
    # Its features have nothing but an l2 of one, off by half a step.
    off = (1 / least) ** (1 / 14) * 1.1
    assert (np.abs(np.log(z[0, :P, 0] / r[0, :P, 0])) < np.log(off)).all()
    assert np.isfinite(z).all()
