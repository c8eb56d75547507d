"""Steps of R penalised problems by a quadratic model of each, whose matrix they may share."""

import numpy as np

_MOST_ROUNDS, _SMALL = 200, 1e-10
_RIDGE = 1e-12  # of the mean curvature, for matrices without full rank


def subgradients(theta: np.ndarray, gradient: np.ndarray, l1: np.ndarray) -> np.ndarray:
    """The shortest subgradients [R, P] of F; gradient is that of its smooth part, l1 [P]."""
    at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0)
    return np.where(theta == 0, at_zero, gradient + l1 * np.sign(theta))


def steps(theta: np.ndarray, gradient: np.ndarray, matrix: np.ndarray, l1: np.ndarray) -> np.ndarray:
    """To the least of gradient . d + d . matrix d / 2 + l1 . |theta + d|, [R, P].

    Args:
        theta, gradient: [R, P]. matrix: [R, P, P] or [P, P], positive definite. l1: [P].
    """
    if not l1.any():
        return -solved(matrix, gradient)
    return _by_coordinates(theta, gradient, matrix, l1)


def solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """matrix^-1 right, [R, P]."""
    size = matrix.shape[-1]
    ridge = _RIDGE * np.trace(matrix, axis1=-2, axis2=-1)[..., None, None] / size * np.eye(size)
    if matrix.ndim == 2:
        return np.linalg.solve(matrix + ridge, right.T).T
    return np.linalg.solve(matrix + ridge, right[:, :, None])[:, :, 0]


def _by_coordinates(
    theta: np.ndarray, gradient: np.ndarray, matrix: np.ndarray, l1: np.ndarray
) -> np.ndarray:
    """Cyclic coordinate descent, on all problems at a time."""
    matrix = np.broadcast_to(matrix, (len(theta), *matrix.shape[-2:]))
    diagonal = np.maximum(np.einsum("rii->ri", matrix), 1e-300)
    found, slope = theta.copy(), gradient.copy()
    for _ in range(_MOST_ROUNDS):
        largest = 0.0
        for j in range(theta.shape[1]):
            free = found[:, j] - slope[:, j] / diagonal[:, j]
            new = np.sign(free) * np.maximum(np.abs(free) - l1[j] / diagonal[:, j], 0)
            move = new - found[:, j]
            if move.any():
                slope += move[:, None] * matrix[:, j]
                found[:, j] = new
                largest = max(largest, float(np.abs(move).max()))
        if largest <= _SMALL:
            break
    return found - theta
