"""Lower bounds of a Hessian, as norms: how long a coefficient, a gradient or a row is, measured by curvature.

A matrix H' with d . H' d <= d . H d for all d that may lead from w to the optimum, and a norm by its inverse:
||v|| = sqrt(v . H'^-1 v). Then |v . d| <= ||v|| sqrt(d . H d). Some of the rows, or their mean beside l2, are
enough to be below H, as each row adds curvature. docs/certificate.md.
"""

import dataclasses

import numpy as np
import scipy.linalg
import scipy.sparse

_LARGEST_ERROR = 1e-2  # of the inverse, relative, by rounding


@dataclasses.dataclass(frozen=True)
class Dense:
    """The norms of a matrix.

    Attributes:
        inverse: [m, q, m, q], of H' in columns times `unit`.
        unit: [q], what columns are multiplied by.
        slack: factor of all norms, for the rounding of the inverse.
        largest: an upper bound on the greatest eigenvalue of the inverse.
    """

    inverse: np.ndarray
    unit: np.ndarray
    slack: float
    largest: float

    def norm(self, v: np.ndarray) -> float:
        """||v|| of v [q, m]."""
        return self.slack * float(np.sqrt(max(np.vdot(v, self.solve(v)), 0.0)))

    def solve(self, v: np.ndarray) -> np.ndarray:
        """H'^-1 v of v [q, m]."""
        return np.einsum("cidj,jd->ic", self.inverse, self.unit[:, None] * v) * self.unit[:, None]

    @property
    def coefficients(self) -> np.ndarray:
        """[q, m] norms of the single coefficients."""
        found = np.einsum("cici->ic", self.inverse)
        return self.slack * self.unit[:, None] * np.sqrt(np.maximum(found, 0))

    def rows(self, x: np.ndarray | scipy.sparse.csr_array, *, bias: bool) -> np.ndarray:
        """Norms of the logits of rows x [B, p], [B, m]."""
        x = self._columns(x, bias)
        by_output = [((x @ self.inverse[c, :, c]) * x).sum(axis=1) for c in range(len(self.inverse))]
        return self.slack * np.sqrt(np.maximum(np.stack(by_output, axis=1), 0))

    def at_most(self, x: np.ndarray | scipy.sparse.csr_array, *, bias: bool) -> np.ndarray:
        """Upper bounds [B] of the norms of rows x [B, p] in all outputs, for little work."""
        square, p = np.square(self.unit), x.shape[1]
        inside = (x.multiply(x) if scipy.sparse.issparse(x) else np.square(x)) @ square[:p]
        return self.slack * np.sqrt(self.largest * (inside + square[p:].sum()))

    def of_length(self, length: float) -> float:
        """An upper bound on the norms of rows of such a length in units, the bias included."""
        return self.slack * float(np.sqrt(self.largest)) * length

    def _columns(self, x: np.ndarray | scipy.sparse.csr_array, bias: bool) -> np.ndarray:
        x = x.toarray() if scipy.sparse.issparse(x) else x
        whole = np.hstack([x, np.ones((len(x), 1))]) if bias else x
        return whole * self.unit


@dataclasses.dataclass(frozen=True)
class Wide:
    """The norms of diag(l2) and of the rows' mean curvature, for any number of coefficients.

    In the coordinates d_w and y = d_b + Q d_w it is block-diagonal: l2 and S, the mean of diag p - p p^T.

    Attributes:
        l2: [p, m], all above zero.
        unit: [p], what columns are multiplied by.
        means: [m, p, m], Q: what a bias moves by as coefficients move; None without a bias.
        inverse: [m, m], of S on what is not the same in all outputs.
    """

    l2: np.ndarray
    unit: np.ndarray
    means: np.ndarray | None = None
    inverse: np.ndarray | None = None

    def norm(self, v: np.ndarray) -> float:
        """||v|| of v [q, m]."""
        p = len(self.l2)
        if self.means is None:
            return float(np.sqrt((np.square(v) / self.l2).sum()))
        rest = v[:p] - np.einsum("cjd,c->jd", self.means, v[p])
        return float(np.sqrt((np.square(rest) / self.l2).sum() + v[p] @ self.inverse @ v[p]))

    @property
    def coefficients(self) -> np.ndarray:
        """[q, m] norms of the single coefficients."""
        found = 1 / np.sqrt(self.l2)
        if self.means is None:
            return found
        return np.vstack([found, self.rows(np.zeros((1, len(self.l2))), bias=True)])

    def rows(self, x: np.ndarray | scipy.sparse.csr_array, *, bias: bool) -> np.ndarray:
        """Norms of the logits of rows x [B, p], [B, m]."""
        square = x.multiply(x).tocsr() if scipy.sparse.issparse(x) else np.square(x)
        found = square @ (1 / self.l2)
        if bias:
            own = np.einsum("cjc->jc", self.means) / self.l2
            found = (
                found
                - 2 * (x @ own)
                + (np.square(self.means) / self.l2).sum(axis=(1, 2))
                + np.diag(self.inverse)
            )
            found = np.maximum(found, np.diag(self.inverse))
        return np.sqrt(np.maximum(found, 0))

    def at_most(self, x: np.ndarray | scipy.sparse.csr_array, *, bias: bool) -> np.ndarray:
        """Upper bounds [B] of the norms of rows x [B, p], in all outputs."""
        return self.rows(x, bias=bias).max(axis=1)

    def of_length(self, length: float) -> float:
        """An upper bound on the norms of rows of such a length in units, the bias included."""
        own = float((1 / (self.unit[:, None] * np.sqrt(self.l2))).max())
        if self.means is None:
            return own * length
        beside = np.sqrt((np.square(self.means) / self.l2).sum(axis=(1, 2))).max()
        return float(np.hypot(own * length + beside, np.sqrt(np.diag(self.inverse).max())))


def dense(matrix: np.ndarray, scale: np.ndarray, outputs: int) -> Dense | None:
    """The norms of a matrix; None where rounding hides what it says.

    Args:
        matrix: [q m, q m], place i * m + c for column i of output c, positive definite.
        scale: [q], one over the spread of each column.
        outputs: m.
    """
    size, q = len(matrix), len(scale)
    whole = matrix.reshape(q, outputs, q, outputs) * scale[:, None, None, None] * scale[:, None]
    whole = whole.reshape(size, size)
    diagonal = np.diag(whole)
    if not (np.isfinite(whole).all() and (diagonal > 0).all()):
        return None
    unit = 1 / np.sqrt(diagonal)
    factor, failed = scipy.linalg.lapack.dpotrf(whole * np.outer(unit, unit), lower=1)
    if failed:
        return None
    inverse, _ = scipy.linalg.lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    error = (
        size * np.finfo(float).eps * np.linalg.norm(inverse) * np.linalg.norm(whole * np.outer(unit, unit))
    )
    if not error <= _LARGEST_ERROR:
        return None
    inverse *= np.outer(unit, unit)
    largest = float(np.linalg.norm(inverse))
    by_output = inverse.reshape(q, outputs, q, outputs).transpose(1, 0, 3, 2)
    return Dense(np.ascontiguousarray(by_output), scale, 1 + 2 * float(error), largest)


def wide(
    l2: np.ndarray, scale: np.ndarray, curvature: np.ndarray | None, products: np.ndarray | None
) -> Wide | None:
    """The norms of l2 and the rows' mean; None where no row has curvature.

    Args:
        l2: [p, m] > 0.
        scale: [p], one over the spread of each column.
        curvature: [m, m], S: the weighted mean of diag p - p p^T; None without a bias.
        products: [m, p, m], the same mean of its products with the rows.
    """
    if curvature is None:
        return Wide(l2, scale)
    values, vectors = np.linalg.eigh(curvature)
    gauge = len(values) > 1  # the same in all outputs changes nothing
    values, vectors = values[gauge:], vectors[:, gauge:]
    if not values.min() > len(values) * np.finfo(float).eps * values.max():
        return None
    inverse = (vectors / values) @ vectors.T
    return Wide(l2, scale, np.tensordot(inverse, products, axes=1), inverse)
