"""The weighted least-squares projection that makes a dual point feasible, by QR.

The constrained columns of G must take given values. R of the QR decomposition of their weighted design
gives the step that brings them there (`docs/certificate.md`, 'Feasible dual points').
"""

import numpy as np
import scipy.linalg

from tf_logreg.model.host import Problem

_MOST_PROJECTED = 2000  # columns that the projection may fix
_MOST_OPERATIONS = 2e12  # of its QR
_DESIGN_ELEMENTS = 2**21  # floats of its design in memory at a time


def can_project(problem: Problem, num_rows: int) -> bool:
    """Whether the constrained columns are few enough, for so many rows, to be projected on."""
    count = int(problem.constrained.sum())
    outputs = problem.w.shape[1]
    return 0 < count <= _MOST_PROJECTED and num_rows * outputs * count**2 <= _MOST_OPERATIONS


def design(x: np.ndarray, weight: np.ndarray, p: np.ndarray, problem: Problem) -> np.ndarray | None:
    """A triangle R with R^T R = D^T D, D = sqrt(weight) (diag p - p p^T)^(1/2) [x, 1] of a block's rows.

    Constrained columns only. diag p - p p^T = B^T B with B = diag(sqrt p) (I - 1 p^T); the sigmoid's
    is sqrt(p (1 - p)).
    """
    mask = problem.constrained
    if not mask.any() or int(mask.sum()) > _MOST_PROJECTED:
        return None
    features, outputs = np.flatnonzero(mask.any(axis=1)), mask.shape[1]
    found = None
    block = max(1, _DESIGN_ELEMENTS // (features.size * outputs**2))
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        columns = np.ones((len(weight[part]), features.size))
        inside = features < x.shape[1]
        columns[:, inside] = x[part][:, features[inside]]
        columns *= np.sqrt(weight[part])[:, None]
        if outputs == 1:
            rows = columns * np.sqrt(p[0, part] * p[1, part])[:, None]
        else:
            chances = p[:, part].T
            half = np.sqrt(chances)[:, :, None] * (np.eye(outputs) - chances[:, None, :])
            rows = half[:, :, None, :] * columns[:, None, :, None]
            rows = rows.reshape(-1, features.size * outputs)[:, mask[features].ravel()]
        found = triangle(rows if found is None else np.vstack([found, rows]))
    return found


def triangle(rows: np.ndarray) -> np.ndarray:
    """R of the QR decomposition, with no more rows than columns."""
    found = scipy.linalg.qr(rows, mode="r", overwrite_a=True, check_finite=False)[0]
    return found[: found.shape[1]]


def residual_of(gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """How far the constrained columns of G are from what they must be, [q, m]."""
    return np.where(problem.constrained, gradient + problem.l1 * np.sign(problem.w), 0)


def correction(factor: np.ndarray | None, residual: np.ndarray, problem: Problem) -> np.ndarray:
    """Delta [q, m] with (R^T R) step = residual in the constrained coordinates, 0 elsewhere.

    By the singular values of R with unit columns; directions that rounding alone tells from zero
    (all biases of a softmax together, duplicate columns) are left out.
    """
    delta, mask = np.zeros_like(problem.w), problem.constrained
    if factor is None or not mask.any():
        return delta
    norm = np.linalg.norm(factor, axis=0)
    norm[norm == 0] = 1
    _, singular, vt = np.linalg.svd(factor / norm, full_matrices=False)
    keep = singular > singular.max(initial=0.0) * 1e-13 * max(factor.shape)
    inner = (vt @ (residual[mask] / norm))[keep] / np.square(singular[keep])
    delta[mask] = vt[keep].T @ inner / norm
    return delta
