"""The preconditioner of conjugate gradients: the Hessian's diagonal blocks, one per output, pooled.

Block c is sum_i d_ic x_i x_i^T + L2 with the curvatures d_ic = a_i p_ic (1 - p_ic). Each block has its own
total curvature a_c and its own mean mu_c of the rows, weighted by d_c. The scatter S about the means is
pooled over outputs, as in linear discriminant analysis: M_c = a_c (S + mu_c mu_c^T) + L2. (Without a bias
the scatter is about zero, and mu_c is zero.) The curvature of a class comes from rows near it, far from the
mean of all rows, so mu_c matters. 50,000 rows of 768 features in 100 classes, at a weak penalty, took 53
products with one matrix for all classes, 37 with a_c too, 27 with mu_c too, and 26 with unpooled blocks,
which take a hundred times longer to build.

S is a matrix [p, p] from a pass over the rows. If that matrix is too large, S is the scatter of a sample of
rows, in factored form (`fit/full_batch/sample.py`).
"""

import functools
from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack

from tf_logreg.fit.full_batch import sample
from tf_logreg.solvers import linear_system

_LEAST = 1e-6  # least curvature of an output, over the mean: an output that no row is near has none
_STEP = 1.5  # outputs whose curvatures differ by a smaller ratio share a factor of S + L2 / a
_SMALL = 2**17  # numbers of the inverses of all outputs, which a core's cache holds
MOST_FACTORS = 8  # [p, p] each; the ratio is larger where curvatures spread too far for this number


class Pooled:
    """M of one problem, and its factors."""

    def __init__(
        self,
        weight: float,
        moments: np.ndarray,
        gram: np.ndarray | sample.Scatter,
        l2: np.ndarray,
        *,
        bias: bool,
        smooth: bool,
    ):
        """From the sums of `row_sums.pooled_gram`.

        Args:
            weight: sum of the rows' weights.
            moments: [p + 1, m] float64, sum_i d_ic [x_i, 1].
            gram: [p + 1, p + 1], sum_i sum_c d_ic [x_i, 1] [x_i, 1]^T; of that the diagonal alone, [p], as
                of sparse rows; or S itself, factored.
            l2: [p].
            bias: whether the model has a bias.
            smooth: whether the problem has no l1.
        """
        curvature = moments[-1] / weight
        self._curvature = np.maximum(curvature, max(_LEAST * curvature.mean(), 1e-300))
        # Without a bias columns are not centred, and a large mean would swamp the scatter in float32.
        self._mean = (moments[:-1] if bias else np.zeros_like(moments[:-1])) / weight / self._curvature
        self._scatter = gram
        if isinstance(gram, np.ndarray) and gram.ndim == 1:
            between = np.square(self._mean) @ self._curvature
            self._scatter = _Diagonal(np.maximum(gram / weight - between, 0) / self._curvature.sum())
        elif isinstance(gram, np.ndarray):
            between = (self._mean * self._curvature) @ self._mean.T
            self._scatter = _Matrix((gram[:-1, :-1] / weight - between) / self._curvature.sum())
        self._l2, self._bias, self._factors = l2, bias, {}
        self._softmax = smooth and len(curvature) > 1
        # Steps from the mean curvature. Without l2 one factor serves all outputs.
        away = np.log(self._curvature / self._curvature.mean())
        self._step = max(np.log(_STEP), np.ptp(away) / (MOST_FACTORS - 1))
        self._group = np.floor(away / self._step + 0.5).astype(int) if l2.any() else np.zeros(len(away), int)

    def solve(self, r: np.ndarray, free: np.ndarray) -> np.ndarray:
        """M^-1 r in the free coordinates.

        Args:
            r: [j, q, m], q = p + 1 with a bias. free: [j, q, m] bool.

        Returns:
            [j, q, m], 0 where not free.
        """
        if not self._softmax:
            return self._blocks(r, free)
        # The part of r that is the same in all classes has only l2 as curvature. Blocks that differ would
        # mix it into the rest, and hardly any direction converges as slowly.
        whole = free.all(axis=2, keepdims=True)
        same = np.where(whole, r.mean(axis=2, keepdims=True), 0)
        z = self._blocks(r - same, free)
        z -= np.where(whole, z.mean(axis=2, keepdims=True), 0)
        l2 = np.pad(self._l2, (0, r.shape[1] - len(self._l2)))[:, None]
        return z + np.divide(same, l2, out=np.zeros_like(same), where=l2 > 0)

    @functools.cached_property
    def _inverses(self) -> np.ndarray:
        """The inverse of each M_c, [m, q, q]; small ones take a tenth of the time of their factors."""
        q, m = len(self._l2) + self._bias, len(self._curvature)
        every = np.broadcast_to(np.eye(q)[:, :, None], (q, q, m))
        return self._by_factors(every, np.ones(every.shape, bool)).transpose(2, 1, 0).copy()

    def _blocks(self, r: np.ndarray, free: np.ndarray) -> np.ndarray:
        q, m = r.shape[1:]
        if m * q**2 <= _SMALL and free.all():
            return np.matmul(self._inverses, r.transpose(2, 1, 0)).transpose(2, 1, 0)
        return self._by_factors(r, free)

    def _by_factors(self, r: np.ndarray, free: np.ndarray) -> np.ndarray:
        z, p = np.empty_like(r), len(self._l2)
        masked = ~free[:, :p].all(axis=(0, 1))
        # With l1 the free features change with each step, so factors for earlier ones are dropped.
        asked = {free[i, :p, c].tobytes() for i in range(len(r)) for c in np.flatnonzero(masked)}
        asked.add(np.ones(p, bool).tobytes())
        self._factors = {key: one for key, one in self._factors.items() if key[1] in asked}
        for group in np.unique(self._group):
            outputs = np.flatnonzero((self._group == group) & ~masked)
            if outputs.size:
                # [q, j outputs]: one solution with many right-hand sides.
                columns = r[:, :, outputs].transpose(1, 0, 2).reshape(r.shape[1], -1)
                found = self._solve(columns, np.tile(outputs, len(r)), np.ones(p, bool))
                z[:, :, outputs] = found.reshape(r.shape[1], len(r), -1).transpose(1, 0, 2)
        for c in np.flatnonzero(masked):
            for i in range(len(r)):
                z[i, :, c] = self._solve(r[i, :, [c]].T, np.array([c]), free[i, :p, c])[:, 0]
        return np.where(free, z, 0)

    def _solve(self, r: np.ndarray, outputs: np.ndarray, free: np.ndarray) -> np.ndarray:
        """[q, J] for right-hand sides of outputs [J] of one group, with the features `free` [p]."""
        p, z = len(self._l2), np.zeros_like(r)
        if not free.any():  # as when l1 holds all features of an output at zero
            z[p:] = r[p:] / self._curvature[outputs]
            return z
        some = slice(None) if free.all() else free  # a slice takes a tenth of the time, of a million
        a, mean = self._curvature[outputs], self._mean[some][:, outputs]
        factor = self._factor(self._group[outputs[0]], free)

        def inverse(b: np.ndarray) -> np.ndarray:  # of a (S + L2 / a)
            return factor(b) / a

        # The row of the bias, a (mean . z + bias) = r_bias, eliminates the mean from the other rows.
        inner = z[:p]
        inner[some] = inverse(r[:p][some] - (mean * r[p] if self._bias else 0))
        if self._bias:
            z[p] = r[p] / a - np.einsum("pj,pj->j", mean, inner[some])
        return z

    def _factor(self, group: int, free: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        key = int(group), free.tobytes()
        if key not in self._factors:
            shared = self._curvature.mean() * np.exp(self._step * group)
            self._factors[key] = self._scatter.factor(self._l2 / shared, free)
        return self._factors[key]


class _Matrix:
    """S as a matrix."""

    def __init__(self, within: np.ndarray):
        self._within = within

    def factor(self, ridge: np.ndarray, free: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Like `sample.Scatter.factor`."""
        found, _ = linear_system.cholesky(self._within[np.ix_(free, free)] + np.diag(ridge[free]))
        return lambda b: lapack.dpotrs(found, b, lower=1)[0]


class _Diagonal:
    """S of which only the diagonal is known, [p]."""

    def __init__(self, within: np.ndarray):
        self._within = within

    def factor(self, ridge: np.ndarray, free: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Like `sample.Scatter.factor`."""
        own = (self._within + ridge)[free, None]
        own = np.maximum(own, 1e-300)
        return lambda b: b / own


def of_sample(
    rows: sample.Rows, w: np.ndarray, weight: np.ndarray, l2: np.ndarray, *, bias: bool, smooth: bool
):
    """`Pooled` at w [p + 1, m] from rows on the host; `weight` [s] has their weights in the problem."""
    d = weight[:, None] * rows.curvatures(w, bias)
    moments = np.vstack([rows.x.T @ d, d.sum(axis=0)])
    scatter = sample.Scatter(rows, d, centred=bias)
    return Pooled(max(weight.sum(), 1e-300), moments, scatter, l2, bias=bias, smooth=smooth)
