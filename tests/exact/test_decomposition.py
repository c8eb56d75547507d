"""Singular values where the faster method gives up."""

import numpy as np
import pytest

from tf_logreg.exact import decomposition


@pytest.mark.parametrize("full", [True, False])
def test_the_slower_method_finds_the_same(monkeypatch, full):
    matrix = np.random.default_rng(0).normal(size=(7, 4))
    expected = np.linalg.svd(matrix, full_matrices=full)

    def fails(*_, **__):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    u, singular, v = decomposition.svd(matrix, full=full)
    assert (u.shape, v.shape) == (expected[0].shape, expected[2].shape)
    np.testing.assert_allclose(singular, expected[1], rtol=1e-13)
    np.testing.assert_allclose(u[:, :4] * singular @ v, matrix, atol=1e-13)
