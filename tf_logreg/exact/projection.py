"""The weighted least-squares projection that makes a dual point feasible.

The constrained columns of G must take given values. The normal matrix A of their weighted design gives the
step that brings them there (`docs/certificate.md`, 'Feasible dual points'): by R of the QR decomposition
of the design, which keeps all digits, or where that is too much work by A itself. A softmax's biases alone
need no QR: their A is a Laplacian, whose R comes without a subtraction. Where A is large it is summed in
place, in a pass of its own.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from tf_logreg.exact import host
from tf_logreg.exact.host import Block, Problem

_MOST_PROJECTED = 10_000  # columns that the projection may fix: A takes 800 MB, and its factor as much
_MOST_IN_BLOCKS = 2000  # of whose A each block of rows may have its own
_MOST_OPERATIONS = 2e12
_MOST_BY_QR = 256**2  # outputs times the square of the columns
_DESIGN_ELEMENTS = 2**21  # floats of the design in memory at a time
# A direction that is taken for null must have no equation but rounding's, in columns of length one.
_LARGEST_NULL_RESIDUAL = 1e-10
_PANEL, _TRAILING = 64, 512  # rows of a Laplacian that are eliminated, and changed by them, at a time


def obstacle(problem: Problem, num_rows: int) -> str:
    """Why the constrained columns cannot be projected on for so many rows; '' where they can."""
    count, outputs = int(problem.constrained.sum()), problem.w.shape[1]
    alone = _biases_alone(problem)
    if not alone and count > _MOST_IN_BLOCKS and count > num_rows * max(1, outputs - 1):
        return f"{count:,} coefficients without l2 are more than {num_rows:,} rows determine"
    if count > _MOST_PROJECTED:
        return f"{count:,} coefficients without l2 are too many to project on, more than {_MOST_PROJECTED:,}"
    if num_rows * (outputs if _by_qr(problem) else 1) * count**2 > _MOST_OPERATIONS:
        return f"{count:,} coefficients without l2 and {num_rows:,} rows are too many to project on"
    return ""


def in_blocks(problem: Problem) -> bool:
    """Whether each block of rows has a `design` of its own; otherwise `normal_matrix` sums it."""
    return 0 < int(problem.constrained.sum()) <= _MOST_IN_BLOCKS


def design(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A block's part of the projection: R with R^T R = A, or A itself; None where there is none.

    A = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of the rows, constrained columns only. Of a
    softmax's biases alone it is A off the diagonal; what stands on it means nothing.

    Args:
        x: [B, p]. weight: [B]. p: [C, B]. problem: says which coefficients are constrained.
    """
    mask = problem.constrained
    if not in_blocks(problem):
        return None
    if _biases_alone(problem):
        return -(p * weight) @ p.T
    features, columns = _columns(x, weight, mask)
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


def normal_matrix(
    blocks: Callable[[], Iterable[Block]], problem: Problem, gather: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """A of all rows, summed in place in a pass of its own; its upper triangle means something.

    Args:
        blocks, gather: as in certificate.py.
        problem: with more constrained columns than `in_blocks` takes.
    """
    mask, alone = problem.constrained, _biases_alone(problem)
    outputs, count = mask.shape[1], int(mask.sum())
    # [T], the output of each constrained column, in the order of mask.ravel().
    output = np.nonzero(mask)[1]
    own = [np.flatnonzero(output == c) for c in range(outputs)]
    whole = np.zeros((count, count), order="F")
    within = [np.zeros((at.size, at.size), order="F") for at in own] if outputs > 1 and not alone else []
    for x, weight, p in _many_rows(blocks(), problem, max(1, _DESIGN_ELEMENTS // count)):
        if alone:
            _add_gram(whole, p.T * np.sqrt(weight)[:, None], -1.0)
            continue
        features, columns = _columns(x, weight, mask)
        if outputs == 1:
            _add_gram(whole, columns * np.sqrt(p[0] * p[1])[:, None], 1.0)
            continue
        rows = (columns[:, :, None] * p.T[:, None, :]).reshape(len(columns), -1)
        _add_gram(whole, rows[:, mask[features].ravel()], -1.0)
        for c, part in enumerate(within):
            if not part.size:  # without a bias l1 may hold all of an output at zero
                continue
            # p (1 - p) and not p - p^2, which cancels.
            _add_gram(part, columns[:, mask[features, c]] * np.sqrt(p[c] * (1 - p[c]))[:, None], 1.0)
    for at, part in zip(own, within, strict=False):
        whole[np.ix_(at, at)] = part
    first, *others = gather(whole)
    for other in others:
        first = first + other
    return first


def _many_rows(blocks: Iterable[Block], problem: Problem, least: int):
    """(x, weight, p) of blocks put together until they have so many rows, the last but for."""
    waiting, size = [], 0
    for block in blocks:
        _, x, (y,), (weight,), _, (z,) = host.seen_by([problem], block)
        waiting.append((x, weight, host.probabilities(z, y)[0].T))
        size += len(y)
        if size >= least:
            x, weight, p = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
            yield x, weight, p.T
            waiting, size = [], 0
    if waiting:
        x, weight, p = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        yield x, weight, p.T


def _add_gram(total: np.ndarray, rows: np.ndarray, sign: float) -> None:
    """The upper triangle of total [T, T], in Fortran's order, += sign rows^T rows."""
    rows = np.ascontiguousarray(rows)
    scipy.linalg.blas.dsyrk(sign, rows.T, beta=1.0, c=total, overwrite_c=1)


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
        order: [r], columns that determine the others. factor: [r, r] R of these, upper triangular.
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
        half = scipy.linalg.solve_triangular(self.factor, b[self.order], trans="T", check_finite=False)
        found[self.order] = scipy.linalg.solve_triangular(self.factor, half, check_finite=False)
        return found


def decompose(design: np.ndarray, weight_sum: float, problem: Problem) -> Projection | Triangular:
    """The projection from all rows' `design` or `normal_matrix`, which is overwritten, and their weights."""
    eps = np.finfo(np.float64).eps
    if _biases_alone(problem):
        return _eliminated(design, weight_sum, 500 * eps * len(design))
    if _by_qr(problem):
        factor = design / np.sqrt(weight_sum)
        norm = _ones_for_zeros(np.linalg.norm(factor, axis=0))
        _, singular, v = np.linalg.svd(factor / norm, full_matrices=True)
        floor = 500 * eps * max(factor.shape)
    else:
        design /= weight_sum
        norm = _ones_for_zeros(np.sqrt(np.diag(design)))
        design /= norm
        design /= norm[:, None]
        if not in_blocks(problem):
            return _pivoted(design, norm, eps * len(design))
        values, vectors = scipy.linalg.eigh(design, check_finite=False)
        singular, v = np.sqrt(np.maximum(values[::-1], 0)), vectors.T[::-1]
        floor = np.sqrt(eps * len(design))
    rank = int((singular > singular.max(initial=0.0) * floor).sum())
    return Projection(norm, singular[:rank], v[:rank], v[rank:])


def _eliminated(laplacian: np.ndarray, weight_sum: float, floor: float) -> Triangular:
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
    return Triangular(norm, order, factor, null)


def residual_of(gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """How far the constrained columns of G are from what they must be, [q, m]."""
    smooth = gradient + problem.l2 * problem.w  # with a weak l2 only
    return np.where(problem.constrained, smooth + problem.l1 * np.sign(problem.w), 0)


def correction(
    projection: Projection | Triangular | None, residual: np.ndarray, problem: Problem
) -> np.ndarray:
    """Delta [q, m] with A delta = residual in the constrained coordinates, 0 elsewhere.

    Null directions (all biases of a softmax together, duplicate columns) are left out.
    """
    delta, mask = np.zeros_like(problem.w), problem.constrained
    if projection is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks whether it is finite
            delta[mask] = projection.solve(residual[mask] / projection.norm) / projection.norm
    return delta


def solvable(projection: Projection | Triangular | None, residual: np.ndarray, problem: Problem) -> bool:
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


def _columns(x: np.ndarray, weight: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which features [f] have constrained coefficients, and their columns [B, f] times sqrt(weight)."""
    features = np.flatnonzero(mask.any(axis=1))
    columns = np.ones((len(weight), features.size))
    inside = features < x.shape[1]
    columns[:, inside] = x[:, features[inside]]
    columns *= np.sqrt(weight)[:, None]
    return features, columns


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
