"""The pooled preconditioner against the matrix that it stands for."""

import numpy as np
import pytest

from tf_logreg.fit.preconditioner import Pooled

P, M, WEIGHT = 4, 3, 7.0


def pooled(bias: bool, l2: np.ndarray):
    """A `Pooled` of random rows, and the blocks [m, q, q] that it pools to: the same scatter in each."""
    rng = np.random.default_rng(0)
    d = rng.uniform(0.5, 1.5, (50, M)) * [0.95, 1.0, 1.05]  # close to each other: one group
    x = rng.standard_normal((50, P)) + 2
    with_one = np.column_stack([x, np.ones(50)])
    moments, gram = with_one.T @ d, (with_one * d.sum(axis=1)[:, None]).T @ with_one
    a = d.sum(axis=0)
    mean = with_one.T @ d / a
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
    free[0, 1, 0] = free[1, :2, 2] = free[1, :P, 1] = False
    z = precondition.solve(r, free)
    assert (z[~free] == 0).all()
    product = np.einsum("cpq,jqc->jpc", blocks, z)
    np.testing.assert_allclose(product[free], r[free], rtol=1e-10, atol=1e-10)


def test_an_output_that_no_row_is_near_leaves_the_answer_finite():
    moments = np.ones((P + 1, M))
    moments[:, 1] = 0
    precondition = Pooled(
        1.0, moments, np.ones((P + 1, P + 1)) * 2 + np.eye(P + 1), np.ones(P), bias=True, smooth=True
    )
    assert np.isfinite(precondition.solve(np.ones((1, P + 1, M)), np.ones((1, P + 1, M), bool))).all()
