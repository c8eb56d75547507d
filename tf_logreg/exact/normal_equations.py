"""The weighted normal equations of the constrained columns, summed over rows.

A = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of the rows, is what `projection` takes apart. Where
that is little work it comes as R with R^T R = A by the QR decomposition of D, which keeps all digits. Else
each block of rows gives A itself, and where A is large it is summed in place, in a pass of its own. A
softmax's biases alone need no QR: their A is a Laplacian, of which what is off the diagonal is enough.
"""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.linalg

from tf_logreg.exact import logits
from tf_logreg.exact.host import Block, Problem

_MOST_PROJECTED = 10_000  # columns that the projection may fix: A takes 800 MB, and its factor as much
_MOST_IN_BLOCKS = 2000  # of whose A each block of rows may have its own
_MOST_OPERATIONS = 2e12
_MOST_BY_QR = 256**2  # outputs times the square of the columns
_DESIGN_ELEMENTS = 2**21  # floats of the design in memory at a time


def obstacle(problem: Problem, num_rows: int) -> str:
    """Why the constrained columns cannot be projected on for so many rows; '' where they can."""
    count, outputs = int(problem.constrained.sum()), problem.w.shape[1]
    alone = biases_alone(problem)
    if not alone and count > _MOST_IN_BLOCKS and count > num_rows * max(1, outputs - 1):
        return f"{count:,} coefficients without l2 are more than {num_rows:,} rows determine"
    if count > _MOST_PROJECTED:
        return f"{count:,} coefficients without l2 are too many to project on, more than {_MOST_PROJECTED:,}"
    if num_rows * (outputs if by_qr(problem) else 1) * count**2 > _MOST_OPERATIONS:
        return f"{count:,} coefficients without l2 and {num_rows:,} rows are too many to project on"
    return ""


def in_blocks(problem: Problem) -> bool:
    """Whether each block of rows has a `design` of its own; otherwise `normal_matrix` sums it."""
    return 0 < int(problem.constrained.sum()) <= _MOST_IN_BLOCKS


def by_qr(problem: Problem) -> bool:
    """Whether R comes from a QR decomposition."""
    few = problem.w.shape[1] * int(problem.constrained.sum()) ** 2 <= _MOST_BY_QR
    return few and not biases_alone(problem)


def biases_alone(problem: Problem) -> bool:
    """Whether the constrained coefficients are the biases of a softmax, and no other."""
    mask = problem.constrained
    return bool(problem.has_bias and mask.shape[1] > 1 and mask[-1].all() and not mask[:-1].any())


def design(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A block's part: R with R^T R = A, or A itself; None where there is none.

    A = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of the rows, constrained columns only. Of a
    softmax's biases alone it is A off the diagonal; what stands on it means nothing.

    Args:
        x: [B, p]. weight: [B]. p: [C, B]. problem: says which coefficients are constrained.
    """
    mask = problem.constrained
    if not in_blocks(problem):
        return None
    if biases_alone(problem):
        return -(p * weight) @ p.T
    features, columns = _columns(x, weight, mask)
    which = mask[features].ravel()
    found, form = None, _square_root if by_qr(problem) else _normal_matrix
    block = max(1, _DESIGN_ELEMENTS // (features.size * mask.shape[1] ** (2 if by_qr(problem) else 1)))
    for start in range(0, len(x), block):
        part = form(columns[start : start + block], p[:, start : start + block], which)
        found = part if found is None else merged(found, part, problem)
    return found


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


def merged(a: np.ndarray, b: np.ndarray, problem: Problem) -> np.ndarray:
    """Two parts, of other rows each, as one."""
    return _triangle(np.vstack([a, b])) if by_qr(problem) else a + b


def _triangle(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition, with no more rows than columns."""
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: found.shape[1]]


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
    mask, alone = problem.constrained, biases_alone(problem)
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
    waiting, size, view = [], 0, logits.View([problem])

    def together() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, weight, p = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        return x, weight, p.T

    for block in blocks:
        x, (y,), _, (weight,), _, (z,) = view.of(block)
        waiting.append((x.copy(), weight, logits.probabilities(z, y)[0].T))
        size += len(y)
        if size >= least:
            yield together()
            waiting, size = [], 0
    if waiting:
        yield together()


def _add_gram(total: np.ndarray, rows: np.ndarray, sign: float) -> None:
    """The upper triangle of total [T, T], in Fortran's order, += sign rows^T rows."""
    rows = np.ascontiguousarray(rows)
    scipy.linalg.blas.dsyrk(sign, rows.T, beta=1.0, c=total, overwrite_c=1)
