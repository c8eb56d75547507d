"""The weighted least-squares projection that makes a dual point feasible.

The constrained columns of G must take given values. The normal matrix A of their weighted design gives the
step that brings them there (`docs/certificate.md`, 'Feasible dual points'): by R of the QR decomposition
of the design, which keeps all digits, or where that is too much work by A itself. A softmax's biases alone
need no QR: their A is a Laplacian, whose R comes without a subtraction.
"""

from typing import NamedTuple

import numpy as np
import scipy.linalg

from tf_logreg.model.host import Problem

_MOST_PROJECTED = 2000  # columns that the projection may fix
_MOST_OPERATIONS = 2e12
_MOST_BY_QR = 256**2  # outputs times the square of the columns
_DESIGN_ELEMENTS = 2**21  # floats of the design in memory at a time
# A direction that is taken for null must have no equation but rounding's, in columns of length one.
_LARGEST_NULL_RESIDUAL = 1e-10


def can_project(problem: Problem, num_rows: int) -> bool:
    """Whether the constrained columns are few enough, for so many rows, to be projected on."""
    count = int(problem.constrained.sum())
    rows = num_rows * (problem.w.shape[1] if _by_qr(problem) else 1)
    return 0 < count <= _MOST_PROJECTED and rows * count**2 <= _MOST_OPERATIONS


def design(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A block's part of the projection: R with R^T R = A, or A itself; None where there is none.

    A = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of the rows, constrained columns only. Of a
    softmax's biases alone it is A off the diagonal; what stands on it means nothing.

    Args:
        x: [B, p]. weight: [B]. p: [C, B]. problem: says which coefficients are constrained.
    """
    mask = problem.constrained
    if not 0 < int(mask.sum()) <= _MOST_PROJECTED:
        return None
    if _biases_alone(problem):
        return -(p * weight) @ p.T
    features = np.flatnonzero(mask.any(axis=1))
    columns = np.ones((len(weight), features.size))
    inside = features < x.shape[1]
    columns[:, inside] = x[:, features[inside]]
    columns *= np.sqrt(weight)[:, None]
    which = mask[features].ravel()
    found, form = None, _square_root if _by_qr(problem) else _normal_matrix
    block = max(1, _DESIGN_ELEMENTS // (features.size * mask.shape[1] ** (2 if _by_qr(problem) else 1)))
    for start in range(0, len(x), block):
        part = form(columns[start : start + block], p[:, start : start + block], which)
        found = part if found is None else merged(found, part, problem)
    return found


def merged(a: np.ndarray, b: np.ndarray, problem: Problem) -> np.ndarray:
    """Two parts of the projection as one."""
    return _triangle(np.vstack([a, b])) if _by_qr(problem) else a + b


def gathered(design: np.ndarray | None, problem: Problem, gather) -> np.ndarray:
    """All workers' parts as one; `gather` as in certificate.py, None from a worker without rows."""
    count = int(problem.constrained.sum())
    whole = np.zeros((count, count))
    if design is not None:
        whole[: len(design)] = design
    first, *others = gather(whole)
    for other in others:
        first = merged(first, other, problem)
    return first


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


def decompose(design: np.ndarray, weight_sum: float, problem: Problem) -> Projection:
    """The projection from all rows' `design` and the sum of their weights."""
    eps = np.finfo(np.float64).eps
    alone = _biases_alone(problem)
    if alone or _by_qr(problem):
        factor = (_root_of_laplacian(design) if alone else design) / np.sqrt(weight_sum)
        norm = _ones_for_zeros(np.linalg.norm(factor, axis=0))
        _, singular, v = np.linalg.svd(factor / norm, full_matrices=True)
        floor = 500 * eps * max(factor.shape)
    else:
        normal = design / weight_sum
        norm = _ones_for_zeros(np.sqrt(np.diag(normal)))
        values, vectors = scipy.linalg.eigh(normal / norm / norm[:, None], check_finite=False)
        singular, v = np.sqrt(np.maximum(values[::-1], 0)), vectors.T[::-1]
        floor = np.sqrt(eps * len(normal))
    rank = int((singular > singular.max(initial=0.0) * floor).sum())
    return Projection(norm, singular[:rank], v[:rank], v[rank:])


def residual_of(gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """How far the constrained columns of G are from what they must be, [q, m]."""
    return np.where(problem.constrained, gradient + problem.l1 * np.sign(problem.w), 0)


def correction(projection: Projection | None, residual: np.ndarray, problem: Problem) -> np.ndarray:
    """Delta [q, m] with A delta = residual in the constrained coordinates, 0 elsewhere.

    Null directions (all biases of a softmax together, duplicate columns) are left out.
    """
    delta, mask = np.zeros_like(problem.w), problem.constrained
    if projection is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks whether it is finite
            inner = projection.directions @ (residual[mask] / projection.norm)
            inner /= np.square(projection.singular)
            delta[mask] = projection.directions.T @ inner / projection.norm
    return delta


def solvable(projection: Projection | None, residual: np.ndarray, problem: Problem) -> bool:
    """Whether the equations hold along the null directions, where no step can make them."""
    if projection is None:
        return True
    left = projection.null @ (residual[problem.constrained] / projection.norm)
    return bool(np.abs(left).max(initial=0.0) <= _LARGEST_NULL_RESIDUAL)


def _by_qr(problem: Problem) -> bool:
    """Whether R comes from a QR decomposition."""
    few = problem.w.shape[1] * int(problem.constrained.sum()) ** 2 <= _MOST_BY_QR
    return few and not _biases_alone(problem)


def _biases_alone(problem: Problem) -> bool:
    """Whether the constrained coefficients are the biases of a softmax, and no other."""
    mask = problem.constrained
    return bool(problem.has_bias and mask.shape[1] > 1 and mask[-1].all() and not mask[:-1].any())


def _root_of_laplacian(a: np.ndarray) -> np.ndarray:
    """R with R^T R = A of a Laplacian A: symmetric, nothing above zero off its diagonal, rows that sum to 0.

    What is left of a Laplacian after an elimination is one again, so that its diagonal follows from the other
    numbers and all sums are of one sign: R keeps its digits however small (Grassmann, Taksar and Heyman,
    Oper. Res. 33, 1985). The diagonal of `a` is not read.
    """
    links, root = -a, np.zeros(a.shape)
    for k in range(len(a) - 1):
        row = links[k, k + 1 :].copy()
        pivot = row.sum()
        if pivot > 0:
            root[k, k], root[k, k + 1 :] = np.sqrt(pivot), -row / np.sqrt(pivot)
            links[k + 1 :, k + 1 :] += np.outer(row / pivot, row)
    return root


def _square_root(columns: np.ndarray, p: np.ndarray, which: np.ndarray) -> np.ndarray:
    """R of D's rows; diag p - p p^T = B^T B, B = diag(sqrt p) (I - 1 p^T); one output: sqrt(p (1 - p))."""
    if len(which) == columns.shape[1]:
        return _triangle(columns * np.sqrt(p[0] * p[1])[:, None])
    chances = p.T
    half = np.sqrt(chances)[:, :, None] * (np.eye(len(p)) - chances[:, None, :])
    rows = half[:, :, None, :] * columns[:, None, :, None]
    return _triangle(rows.reshape(-1, which.size)[:, which])


def _normal_matrix(columns: np.ndarray, p: np.ndarray, which: np.ndarray) -> np.ndarray:
    """A = sum_i x_i^T x_i (diag p - p p^T)."""
    if len(which) == columns.shape[1]:
        rows = columns * np.sqrt(p[0] * p[1])[:, None]
        return rows.T @ rows
    count, outputs = columns.shape[1], len(p)
    rows = (columns[:, :, None] * p.T[:, None, :]).reshape(len(columns), -1)
    whole = -(rows.T @ rows).reshape(count, outputs, count, outputs)
    at = np.arange(outputs)
    # p (1 - p) and not p - p^2, which cancels.
    whole[:, at, :, at] = np.einsum("if,ci,ig->cfg", columns, p * (1 - p), columns, optimize=True)
    return whole.reshape(count * outputs, -1)[np.ix_(which, which)]


def _triangle(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition, with no more rows than columns."""
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: found.shape[1]]


def _ones_for_zeros(norm: np.ndarray) -> np.ndarray:
    return np.where(norm > 0, norm, 1)
