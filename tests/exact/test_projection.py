"""What makes a dual point feasible: R by QR, by a Laplacian, or the normal matrix itself."""

import dataclasses

import mpmath
import numpy as np
import pytest
from host_problems import newton, one_block, problem_at, solved

from tf_logreg.exact import certificate, host, normal_equations, projection


@pytest.mark.parametrize("classes", [2, 3])
def test_both_projections_give_the_same_bound(monkeypatch, classes):
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    problem = dataclasses.replace(problem, w=problem.w * 0.99)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    monkeypatch.setattr(projection, "_NARROW", np.inf)  # R by QR whatever the columns
    (other,) = certificate.certify(one_block(x, y, weight), [problem])
    assert other.gap == pytest.approx(found.gap, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_columns_that_almost_depend_on_each_other_are_projected_on_by_qr(monkeypatch, classes):
    """Where the normal matrix has lost the difference of two columns."""
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    near = np.hstack([x, x[:, :1] + 1e-9 * np.square(x[:, 1:2])])
    w = np.insert(problem.w, 4, np.zeros(problem.w.shape[1]), axis=0)
    problem, reads = problem_at(near, w, bias=True, l1=0, l2=0, classes=classes), []

    def blocks():
        reads.append(1)
        return one_block(near, y, weight)()

    (found,) = certificate.certify(blocks, [problem])
    assert found.gap is not None
    assert len(reads) >= 3  # one of them for R
    monkeypatch.setattr(projection, "_NARROW", np.inf)
    assert certificate.certify(blocks, [problem])[0].gap == found.gap
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    (other,) = certificate.certify(blocks, [problem])
    assert other.gap is None or other.gap < found.gap  # a bound for the problem in which they are equal


@pytest.mark.parametrize(("classes", "l1"), [(2, 0), (2, 1), (3, 0), (3, 1)])
def test_what_moving_the_biases_does_needs_no_pass_of_its_own(monkeypatch, classes, l1):
    x, y, weight, problem = solved(l2=1e-2, classes=classes)
    w = problem.w.copy()
    if l1:  # holds all columns at zero
        logs = np.log(np.bincount(y, weight))
        w[:] = 0
        w[-1] = logs[1] - logs[0] if classes == 2 else logs
        problem = problem_at(x, w, bias=True, l1=l1, l2=0, classes=classes)
    w[-1, 0] += 1e-2
    problem, reads = dataclasses.replace(problem, w=w), []

    def blocks():
        reads.append(1)
        return one_block(x, y, weight)()

    enough = np.array([np.inf])
    (found,) = certificate.certify(blocks, [problem], enough=enough)
    assert len(reads) == 1
    monkeypatch.setattr(host, "_MOST_MOVED", 0)
    (other,) = certificate.certify(blocks, [problem], enough=enough)
    assert len(reads) > 2
    assert found.gap == pytest.approx(other.gap, rel=0.03)


def test_many_coefficients_with_l1_are_projected_on_last(monkeypatch):
    x, y, weight, without = solved(l2=0, classes=2)
    best = problem_at(x, without.w, bias=True, l1=1e-3, l2=0, classes=2)
    best = dataclasses.replace(best, w=newton(x, y, weight, best.w, best, 50)[0])
    assert (np.sign(best.w) == np.sign(without.w)).all()
    blocks = one_block(x, y, weight)
    w = best.w + 1e-5
    problem = dataclasses.replace(best, w=w)
    (tight,) = certificate.certify(blocks, [problem])
    (box,) = certificate.certify(blocks, [dataclasses.replace(problem, boxed=True)])
    (least,) = certificate.certify(blocks, [best])
    assert 0 < tight.objective - least.objective <= tight.gap < box.gap / 2
    monkeypatch.setattr(certificate, "_MOST_AT_ONCE", 1)

    def gap(enough, final=None):
        enough, final = np.array([enough]), None if final is None else np.array([final])
        return certificate.certify(blocks, [problem], enough=enough, final=final)[0].gap

    assert certificate.certify(blocks, [problem])[0].gap == tight.gap
    assert gap(1.01 * box.gap) == box.gap
    assert gap(0.99 * box.gap) == tight.gap
    assert gap(0.99 * box.gap, final=True) == tight.gap
    assert gap(0.99 * box.gap, final=False) == box.gap


def test_the_biases_projection_keeps_its_digits():
    """Two pairs of classes with a thread of 1e-20 between them: R against elimination in 50 digits."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 30).T
    p[:2, :15] *= 1e-20
    p[2:, 15:] *= 1e-20
    p, weight = p / p.sum(axis=0), rng.uniform(0.5, 2, 30)
    problem = problem_at(np.zeros((30, 1)), np.zeros((2, 4)), bias=True, l1=0, l2=1, classes=4)
    factor = projection._root_of_laplacian(normal_equations.of_softmax(np.zeros((30, 1)), weight, p, problem))
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


@pytest.mark.parametrize(
    ("classes", "l1", "l2"), [(2, 0, 0), (3, 0, 0), (3, 0.02, 0), (4, 0, 1e-2), (2, 0, 1e-2)]
)
def test_summed_in_place_it_gives_the_same_bound(monkeypatch, classes, l1, l2):
    """Constrained: all, the active, or the biases alone."""
    x, y, weight, problem = solved(l1=l1, l2=l2, classes=classes)
    problem = dataclasses.replace(problem, w=problem.w * 0.99)
    monkeypatch.setattr(host, "_MOST_MOVED", 0)
    (expected,) = certificate.certify(one_block(x, y, weight), [problem])
    monkeypatch.setattr(normal_equations, "_MOST_IN_BLOCKS", 0)
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    monkeypatch.setattr(normal_equations, "_DESIGN_ELEMENTS", 500)  # several stretches of rows
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.gap == pytest.approx(expected.gap, rel=1e-7)


@pytest.mark.parametrize("classes", [2, 3])
def test_summed_in_place_it_leaves_dependent_columns_out(monkeypatch, classes):
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    (expected,) = certificate.certify(one_block(x, y, weight), [problem])
    twice = np.hstack([x, x[:, :2]])
    w = np.insert(problem.w, 4, np.zeros((2, problem.w.shape[1])), axis=0)
    problem = problem_at(twice, w, bias=True, l1=0, l2=0, classes=classes)
    monkeypatch.setattr(normal_equations, "_MOST_IN_BLOCKS", 0)
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    (found,) = certificate.certify(one_block(twice, y, weight), [problem])
    assert found.gap == pytest.approx(expected.gap, abs=1e-12)


def test_summed_in_place_an_output_may_have_no_column(monkeypatch):
    """As where l1 holds all of a class at zero, and there is no bias."""
    x, y, weight, problem = solved(l1=0.02, l2=0, bias=False)
    w = problem.w.copy()
    w[:, 1] = 0
    problem = dataclasses.replace(problem, w=w)
    (expected,) = certificate.certify(one_block(x, y, weight), [problem])
    monkeypatch.setattr(normal_equations, "_MOST_IN_BLOCKS", 0)
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.gap == pytest.approx(expected.gap, rel=1e-7)


@pytest.mark.parametrize("panel", [1, 3, 64])
def test_a_laplacian_in_pieces_moves_each_by_itself(monkeypatch, panel):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(projection, "_PANEL", panel)
    monkeypatch.setattr(projection, "_TRAILING", 2)
    links = rng.uniform(0.1, 1, (9, 9))
    links[:4, 4:] = links[4:, :4] = 0
    links = links + links.T
    a = np.diag(links.sum(axis=1) - np.diag(links)) - links + np.diag(np.diag(links))
    problem = problem_at(np.zeros((5, 1)), np.zeros((2, 9)), bias=True, l1=0, l2=1, classes=9)
    onto = projection.of_matrix(a.copy(), 1.0, problem)
    assert len(onto.null) == 2
    residual = np.zeros((2, 9))
    residual[1] = a @ rng.normal(size=9)
    delta = projection.correction(onto, residual, problem)
    np.testing.assert_allclose(a @ delta[1], residual[1], atol=1e-12)
    assert projection.solvable(onto, residual, problem)
    residual[1, :2] += 1e-6  # flows into a piece and not out
    assert not projection.solvable(onto, residual, problem)


def test_too_many_columns_to_project_is_said(monkeypatch):
    monkeypatch.setattr(normal_equations, "_MOST_PROJECTED", 3)
    x, y, weight, problem = solved(l2=0.0)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.gap is None
    assert "too many" in found.reason
    assert found.unclear  # separation needs no dual point
    assert "l2" in found.remedy


def test_more_columns_than_the_rows_determine_is_said(monkeypatch):
    monkeypatch.setattr(normal_equations, "_MOST_IN_BLOCKS", 3)
    x, y, weight, problem = solved(l2=0.0, classes=2)
    (found,) = certificate.certify(one_block(x[:4], y[:4], weight[:4]), [problem])
    assert found.gap is None
    assert "5 coefficients without l2 are more than 4 rows determine" in found.reason


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("again", [False, True])
def test_summed_in_place_it_says_where_columns_may_depend_on_each_other(monkeypatch, classes, again):
    x, y, weight, problem = solved(l2=0.0, classes=classes)
    if again:
        x = np.hstack([x, x[:, :1]])
    problem = problem_at(
        x, np.zeros((x.shape[1] + 1, problem.w.shape[1])), bias=True, l1=0, l2=0, classes=classes
    )
    monkeypatch.setattr(normal_equations, "_MOST_IN_BLOCKS", 0)
    monkeypatch.setattr(normal_equations, "_MOST_BY_QR", 0)
    (found,) = certificate.certify(one_block(x, y, weight), [problem])
    assert found.narrow == again
