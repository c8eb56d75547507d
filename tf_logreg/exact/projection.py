"""The weighted least-squares projection that makes a dual point feasible, and beside l2 a close one.

The constrained columns of G must take given values; those with l2 that are moved take the values at which the
bound is least. The normal equations of their weighted design (`normal_equations`) are taken apart here, and
give the step that brings them there (`docs/certificate.md`, 'Feasible dual points').
A softmax's biases alone are eliminated: their R comes without a subtraction.
"""

import functools
from typing import NamedTuple

import numpy as np
import scipy.linalg

from tf_logreg.exact import decomposition, normal_equations
from tf_logreg.exact.host import Problem

# A direction that is taken for null must have no equation but rounding's, in columns of length one.
_LARGEST_NULL_RESIDUAL = 1e-10
_PANEL, _TRAILING = 64, 512  # rows of a Laplacian that are eliminated, and changed by them, at a time


class Projection(NamedTuple):
    """A of T constrained columns, taken apart: A = N V^T S^2 V N.

    Attributes:
        norm: [T] N, the columns' lengths. singular: [r] S. directions: [r, T] V.
        null: [T - r, T], the directions that only rounding tells from zero.
    """

    norm: np.ndarray
    singular: np.ndarray
    directions: np.ndarray
    null: np.ndarray

    @property
    def least(self) -> float:
        """The smallest singular value over the largest; 0 where there is none."""
        return float(self.singular[-1] / self.singular[0]) if self.singular.size else 0.0

    def solve(self, b: np.ndarray) -> np.ndarray:
        """(N^-1 A N^-1)^-1 b, [T]."""
        return self.directions.T @ (self.directions @ b / np.square(self.singular))


class Triangular(NamedTuple):
    """The same by elimination: A = N R^T R N, its columns in an order of their own.

    Attributes:
        norm: [T] N. null: as of a `Projection`.
        order: [r], columns that determine the others.
        factor: [r, r] R of these, upper triangular, in Fortran's order.
    """

    norm: np.ndarray
    order: np.ndarray
    factor: np.ndarray
    null: np.ndarray

    @property
    def least(self) -> float:
        """As of a `Projection`, about: pivots stand for singular values."""
        pivots = np.diag(self.factor)
        return float(pivots.min() / pivots.max()) if pivots.size else 0.0

    def solve(self, b: np.ndarray) -> np.ndarray:
        """As of a `Projection`; what is left out is 0."""
        found = np.zeros(len(self.norm))
        if self.order.size:
            half, _ = scipy.linalg.lapack.dtrtrs(self.factor, b[self.order], trans=1)
            found[self.order], _ = scipy.linalg.lapack.dtrtrs(self.factor, half)
        return found


_NARROW = 1e-3  # of singular values or pivots, from where on the columns themselves are looked at


@functools.cache
def signs(outputs: int) -> np.ndarray:
    """[pairs, m]: 1 for the first and -1 for the second class of each pair; 1 for a sigmoid."""
    if outputs == 1:
        return np.ones((1, 1))
    first, second = np.triu_indices(outputs, 1)
    return np.eye(outputs)[first] - np.eye(outputs)[second]


def of_biases(moves: np.ndarray, problem: Problem) -> Triangular | None:
    """The projection onto the equations of the biases alone, from what they move each other by.

    Args:
        moves: [q, pairs], see `sums.Sums`.
    """
    if not problem.has_bias:
        return None
    outputs = problem.w.shape[1]
    if outputs > 1:
        of_pairs = signs(outputs)
        return _eliminated((of_pairs.T * moves[-1]) @ of_pairs, 1.0)
    rank = int(moves[-1, 0] > 0)
    order = np.arange(rank)
    return Triangular(np.sqrt(moves[-1]), order, np.eye(rank), np.eye(1)[rank:])


def of_root(root: np.ndarray, weight_sum: float) -> Projection:
    """The projection from all rows' `normal_equations.roots`, and their weights."""
    factor = root / np.sqrt(weight_sum)
    norm = _ones_for_zeros(np.linalg.norm(factor, axis=0))
    _, singular, v = decomposition.svd(factor / norm, full=True)
    return _of_singular(norm, singular, v, 500 * np.finfo(np.float64).eps * max(factor.shape))


def of_matrix(matrix: np.ndarray, weight_sum: float, problem: Problem) -> Projection | Triangular:
    """The projection from the normal matrix of all rows, which is overwritten, and their weights."""
    eps = np.finfo(np.float64).eps
    if normal_equations.biases_alone(problem):
        return _eliminated(matrix, weight_sum)
    matrix /= weight_sum
    np.einsum("tt->t", matrix)[:] += np.where(problem.with_l2, problem.l2, 0)[problem.moved]
    norm = _ones_for_zeros(np.sqrt(np.diag(matrix)))
    matrix /= norm
    matrix /= norm[:, None]
    # Only of columns without a penalty is it asked how closely they depend on each other (`is_narrow`).
    if (
        not problem.unpenalised.any()
        or normal_equations.by_qr(problem)
        or not normal_equations.in_blocks(problem)
    ):
        return _pivoted(matrix, norm, eps * len(matrix))
    values, vectors = scipy.linalg.eigh(matrix, check_finite=False)
    singular = np.sqrt(np.maximum(values[::-1], 0))
    return _of_singular(norm, singular, vectors.T[::-1], np.sqrt(eps * len(matrix)))


def _of_singular(norm: np.ndarray, singular: np.ndarray, v: np.ndarray, floor: float) -> Projection:
    rank = int((singular > singular.max(initial=0.0) * floor).sum())
    return Projection(norm, singular[:rank], v[:rank], v[rank:])


def is_narrow(onto: Projection | Triangular, problem: Problem) -> bool:
    """Whether constrained columns may depend on each other."""
    # A softmax has one direction a row that changes nothing, whatever the columns.
    spare = int(problem.constrained.all(axis=1).sum()) if problem.w.shape[1] > 1 else 0
    return len(onto.null) > spare or onto.least < _NARROW


def _eliminated(laplacian: np.ndarray, weight_sum: float) -> Triangular:
    floor = 500 * np.finfo(np.float64).eps * len(laplacian)
    links = np.triu(laplacian, 1)
    degree = -(links.sum(axis=0) + links.sum(axis=1)) / weight_sum
    norm = _ones_for_zeros(np.sqrt(degree))
    factor = _root_of_laplacian(links)
    factor /= np.sqrt(weight_sum)
    factor /= norm
    # A class that nothing links to those after it: together with those linked to it, it may move freely.
    leads = np.diag(factor) > floor
    order, rest = np.flatnonzero(leads), np.flatnonzero(~leads)
    return _with_null(norm, order, rest, factor[np.ix_(order, order)], factor[np.ix_(order, rest)])


def _pivoted(normal: np.ndarray, norm: np.ndarray, floor: float) -> Triangular:
    """Cholesky with the largest pivot first (Higham, Accuracy and Stability, 2002, sec. 10.3)."""
    factor, order, rank, _ = scipy.linalg.lapack.dpstrf(normal, tol=floor, overwrite_a=1)
    order = order - 1
    return _with_null(norm, order[:rank], order[rank:], factor[:rank, :rank], factor[:rank, rank:])


def _with_null(norm, order, rest, factor, beyond) -> Triangular:
    null = np.zeros((rest.size, len(norm)))
    null[np.arange(rest.size), rest] = 1
    if rest.size and order.size:
        null[:, order] = -scipy.linalg.solve_triangular(factor, beyond, check_finite=False).T
    null /= np.linalg.norm(null, axis=1, keepdims=True)
    return Triangular(norm, order, np.asfortranarray(factor), null)


def residual_of(gradient: np.ndarray, problem: Problem, delta: np.ndarray | None = None) -> np.ndarray:
    """How far the columns of G that are moved are from where they go, [q, m].

    Args:
        gradient: G of a dual point that has moved by delta, None for not at all.
    """
    rest = gradient + problem.l2 * problem.w + problem.l1 * np.sign(problem.w)
    if delta is not None:  # an l2 takes its share of the move
        rest -= np.where(problem.with_l2, problem.l2 * delta, 0)
    return np.where(problem.moved, rest, 0)


def correction(
    projection: Projection | Triangular | None, residual: np.ndarray, problem: Problem
) -> np.ndarray:
    """Delta [q, m] with (A + l2) delta = residual in the coordinates that are moved, 0 elsewhere.

    Null directions (all biases of a softmax together, duplicate columns) are left out.
    """
    delta, mask = np.zeros_like(problem.w), problem.moved
    if projection is not None:
        # Callers look whether it is finite.
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            delta[mask] = projection.solve(residual[mask] / projection.norm) / projection.norm
    return delta


def solvable(projection: Projection | Triangular | None, residual: np.ndarray, problem: Problem) -> bool:
    """Whether the equations hold along the null directions, where no step can make them."""
    if projection is None:
        return True
    rest = residual[problem.moved]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # A column without curvature has no step: infinite, unless nothing is left of its equation.
        left = projection.null @ np.divide(rest, projection.norm, out=np.zeros_like(rest), where=rest != 0)
    return bool(np.abs(left).max(initial=0.0) <= _LARGEST_NULL_RESIDUAL)


def _root_of_laplacian(a: np.ndarray) -> np.ndarray:
    """R with R^T R = A of a Laplacian A: symmetric, nothing above zero off its diagonal, rows that sum to 0.

    What is left of a Laplacian after an elimination is one again, so that its diagonal follows from the other
    numbers and all sums are of one sign: R keeps its digits however small (Grassmann, Taksar and Heyman,
    Oper. Res. 33, 1985). Of `a` only what is above the diagonal is read; of R only that and the diagonal
    mean something. Rows are taken by
    `_PANEL`, so that most of the work is in products of matrices.
    """
    count, root = len(a), np.triu(a, 1)
    for start in range(0, count, _PANEL):
        stop = min(start + _PANEL, count)
        for k in range(start, stop):
            # The rest of A is minus its links; rows of R are negative off the diagonal, so products add up.
            row = root[k, k + 1 :]
            row -= root[start:k, k] @ root[start:k, k + 1 :]
            pivot = -row.sum()
            if pivot > 0:
                row /= np.sqrt(pivot)
                root[k, k] = np.sqrt(pivot)
        done = root[start:stop]
        for i in range(stop, count, _TRAILING):
            root[i : i + _TRAILING, i:] -= done[:, i : i + _TRAILING].T @ done[:, i:]
    return root


def _ones_for_zeros(norm: np.ndarray) -> np.ndarray:
    return np.where(norm > 0, norm, 1)
