"""What makes a dual point feasible: R by QR, by a Laplacian, or the normal matrix itself."""

import dataclasses

import mpmath
import numpy as np
import pytest
from host_problems import one_block, problem_at, solved

from tf_logreg.model import certificate, projection


@pytest.mark.parametrize("classes", [2, 3])
def test_both_projections_give_the_same_bound(monkeypatch, classes):
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    problem = dataclasses.replace(problem, w=problem.w * 0.99)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    monkeypatch.setattr(projection, "_MOST_BY_QR", 0)
    (other,) = certificate.certify(one_block(x, y, weight), [problem])
    assert other.gap == pytest.approx(found.gap, rel=1e-9)


def test_the_biases_projection_keeps_its_digits():
    """Two pairs of classes with a thread of 1e-20 between them: R against elimination in 50 digits."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 30).T
    p[:2, :15] *= 1e-20
    p[2:, 15:] *= 1e-20
    p, weight = p / p.sum(axis=0), rng.uniform(0.5, 2, 30)
    problem = problem_at(np.zeros((30, 1)), np.zeros((2, 4)), bias=True, l1=0, l2=1, classes=4)
    factor = projection._root_of_laplacian(projection.design(np.zeros((30, 1)), weight, p, problem))
    assert factor[1, 1] < 1e-8 < factor[0, 0]
    with mpmath.workdps(50):
        exact = np.vectorize(mpmath.mpf, otypes=[object])
        left = -(exact(p) * exact(weight)) @ exact(p).T
        for i in range(4):
            left[i, i] -= left[i].sum()
        for i in range(3):
            expected = left[i] / mpmath.sqrt(left[i, i])
            np.testing.assert_allclose(factor[i, i:], expected[i:].astype(float), rtol=1e-14)
            left -= np.outer(expected, expected)


def test_too_many_columns_to_project_is_said(monkeypatch):
    monkeypatch.setattr(projection, "_MOST_PROJECTED", 3)
    x, y, weight, problem = solved(l2=0.0)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.gap is None
    assert "too many" in found.reason
