"""A sample of rows that preconditions conjugate gradients where a Gram matrix [p, p] is too large.

The scatter S of s rows is Z^T Z with Z [s, p], so (S + L)^-1 with a diagonal L needs only a matrix
[s, s] (Woodbury; Golub and Van Loan, Matrix Computations, 2013, sec. 2.1.4). With all rows the result is
that of the Gram matrix. A sample leaves most directions without curvature, so S is shrunk towards a
multiple of the identity, by as much as its rows differ (Ledoit and Wolf, J. Multivar. Anal. 88, 2004).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.special

from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.engines.rows import read_rows
from tf_logreg.exact import decomposition

_LARGEST_GRAM = 4096  # most features for which a Gram matrix is built, with at least as many rows
_MOST_ROWS = 2048
_MOST_ELEMENTS = 2**26  # of the sample in float64: 512 MiB
_CHUNK = 2**22  # elements that are scaled at a time
_LEAST_RIDGE = 1e-8  # share of the mean curvature, where a coefficient has no penalty


def size(num_rows: int, num_features: int) -> int:
    """Number of rows in the sample; 0 where the Gram matrix of the features serves better."""
    if num_features <= (_LARGEST_GRAM if num_rows >= num_features else 600):
        return 0
    return max(1, min(num_rows, _MOST_ROWS, _MOST_ELEMENTS // num_features))


class Rows(NamedTuple):
    """s rows in training columns: x [s, p] and offset [s, m or 1] float64; y, weight, fold [s].

    gram: [s, s] float64, x x^T. whole: whether the sample has all rows.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray
    fold: np.ndarray
    gram: np.ndarray
    whole: bool

    def curvatures(self, w: np.ndarray, bias: bool) -> np.ndarray:
        """Curvatures p (1 - p) of each output, [s, m], at w [p + 1, m]."""
        z = self.x @ w[:-1] + self.offset + bias * w[-1]
        p = scipy.special.expit(z) if z.shape[1] == 1 else scipy.special.softmax(z, axis=1)
        return p * (1 - p)


class Scatter:
    """S [p, p], the scatter of the rows about the outputs' means over the sum of curvatures, factored.

    With curvatures d [s, m], D_i = sum_c d_ic and a_c = sum_i d_ic:
    S = X^T (diag D - d diag(1 / a) d^T) X / sum a.
    """

    def __init__(self, rows: Rows, d: np.ndarray, *, centred: bool):
        """`centred`: whether the scatter is about the means, or else about zero."""
        self._rows, total = rows, max(d.sum(), 1e-300)
        self._root = np.sqrt(d.sum(axis=1) / total)[:, None]
        # The root of 1 - H H^T is 1 - U (1 - sqrt(1 - g)) U^T, with the m singular vectors U of H.
        norm = np.sqrt(np.maximum(d.sum(axis=0) * total, 1e-300))
        h = d / np.where(self._root > 0, self._root, 1) / norm * centred
        self._u, g, _ = decomposition.svd(h, full=False)
        self._less = 1 - np.sqrt(np.maximum(1 - np.square(g), 0))
        own = self._pair(rows.gram)
        p = rows.x.shape[1]
        diagonal, square = np.diag(own), np.square(own).sum()
        self.mean = diagonal.sum() / p
        between = square - p * self.mean**2
        noise = (np.square(diagonal).sum() - square / len(own)) * (not rows.whole)
        self._kept = 1 - min(1.0, max(noise / between, 0.0)) if between > 0 else 1.0

    def factor(self, ridge: np.ndarray, free: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """A function b -> (S + diag ridge)^-1 b on the f free features ([p] bool); b is [f, J]."""
        ridge = np.maximum(ridge + (1 - self._kept) * self.mean, _LEAST_RIDGE * max(self.mean, 1e-300))[free]
        x = self._rows.x if free.all() else self._rows.x[:, free]
        if free.all() and (ridge == ridge[0]).all():
            inner = self._rows.gram / ridge[0]
        else:
            inner, step = np.zeros((len(x), len(x))), max(1, _CHUNK // len(x))
            for start in range(0, x.shape[1], step):
                part = slice(start, start + step)
                inner += (x[:, part] / ridge[part]) @ x[:, part].T
        inner = self._kept * self._pair(inner)
        inner[np.diag_indices(len(inner))] += 1
        factor = scipy.linalg.cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)

        def solve(b: np.ndarray) -> np.ndarray:
            scaled = b / ridge[:, None]
            part = scipy.linalg.cho_solve(factor, self._times(x @ scaled), check_finite=False)
            return scaled - self._kept * (x.T @ self._times(part, adjoint=True)) / ridge[:, None]

        return solve

    def _times(self, v: np.ndarray, *, adjoint: bool = False) -> np.ndarray:
        """R v of [s, J], or R^T v; S = X^T R^T R X."""
        v = v if adjoint else self._root * v
        v = v - self._u @ (self._less[:, None] * (self._u.T @ v))
        return self._root * v if adjoint else v

    def _pair(self, gram: np.ndarray) -> np.ndarray:
        """R gram R^T."""
        half = self._times(gram)
        return self._times(half.T).T


def sampled_rows(
    source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None
) -> Callable[[], Rows]:
    """A function that returns the sample, evenly spaced and equal on all workers, read at the first call.

    Args:
        source: where rows are read. rows: int64 [n], the ids of the training rows.
        columns: the map from raw to training columns.
        folds: [n] the fold of each row, or None.
    """

    @functools.cache
    def read() -> Rows:
        count = size(len(rows), len(source.feature_names))
        at = np.arange(count) * len(rows) // count
        x, y, weight, offset = read_rows(source, rows[at], columns, "float64")
        fold = np.zeros(count, int) if folds is None else folds[at]
        return Rows(x, y, weight.astype(float), offset.astype(float), fold, x @ x.T, count == len(rows))

    return read
