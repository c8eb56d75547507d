"""Singular values of a matrix, also where LAPACK's faster method does not find them."""

import numpy as np
import scipy.linalg


def svd(matrix: np.ndarray, *, full: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, the singular values from the largest down and V^T of a finite matrix [r, c] float64.

    Divide and conquer (gesdd) is the faster, but fails on some matrices whose last columns are only rounding;
    iteration (gesvd) takes those (LAPACK Users' Guide, 1999, sec. 2.3.4).

    Args:
        full: whether U is [r, r] and V^T [c, c], or both have min(r, c) vectors alone.
    """
    try:
        return np.linalg.svd(matrix, full_matrices=full)
    except np.linalg.LinAlgError:
        return scipy.linalg.svd(matrix, full_matrices=full, lapack_driver="gesvd")
