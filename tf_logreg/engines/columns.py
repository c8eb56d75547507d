"""Training columns on the host, in two steps: what becomes of blocks of rows, and of weights and sums."""

import dataclasses
import functools

import numpy as np

from tf_logreg.data import csr
from tf_logreg.data.moments import Affine


@dataclasses.dataclass(frozen=True)
class Split:
    """Training columns in two steps: blocks x - near, then (x - shift) scale.

    The second step is left to weights and sums where a program allows it.

    Attributes:
        dtype: of the blocks.
        near: [p] float64, what is subtracted from a block's columns; None for nothing.
        shift, scale: [p] float64.
    """

    dtype: np.dtype
    near: np.ndarray | None
    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, columns: Affine, dtype: str, *, sparse: bool = False) -> "Split":
        """Columns that are far are shifted in blocks; sparse ones are read in float64 instead."""
        far = columns.far is not None and bool(columns.far.any())
        if sparse and far:
            dtype = "float64"
        if sparse or not far:
            return cls(np.dtype(dtype), None, columns.shift, columns.scale)
        near = np.where(columns.far, columns.shift, 0.0)
        return cls(np.dtype(dtype), near, columns.shift - near, columns.scale)

    @functools.cached_property
    def is_identity(self) -> bool:
        """Whether rows are training columns as they lie."""
        return self.near is None and not self.shift.any() and bool((self.scale == 1).all())

    def columns(self, x: np.ndarray) -> np.ndarray:
        """A block of rows [B, p] in its own dtype -> x - near in the dtype of the fit."""
        if csr.issparse(x):
            return csr.with_values(x, x.data.astype(self.dtype, copy=False))
        if self.near is not None:
            # In the rows' own dtype, in which the shift is exact.
            x = x - self.near.astype(x.dtype)
        return x.astype(self.dtype, copy=False)

    def training_columns(self, x: np.ndarray) -> np.ndarray:
        """What `columns` gives [B, p] -> training columns and a column of ones, [B, q]."""
        whole = np.empty((x.shape[0], x.shape[1] + 1), self.dtype)
        np.subtract(csr.laid_out(x), self.shift.astype(self.dtype), out=whole[:, :-1])
        whole[:, :-1] *= self.scale.astype(self.dtype)
        whole[:, -1] = 1
        return whole

    def some_columns(self, x: np.ndarray, part: slice, factor: np.ndarray) -> np.ndarray:
        """The training columns `part` of rows x [n, p] as they lie, times factors; [n, width] float64."""
        shift = self.shift[part] if self.near is None else self.shift[part] + self.near[part]
        columns = x[:, part] - shift if shift.any() else x[:, part]
        return np.multiply(columns, self.scale[part] * factor)

    def weights(self, w: np.ndarray) -> np.ndarray:
        """Weights [K, q, m] of training columns -> of what `columns` gives."""
        if self.is_identity:
            return w.astype(self.dtype, copy=False)
        kernel = w[:, :-1] * self.scale[:, None]
        bias = w[:, -1] - np.einsum("p,kpm->km", self.shift, kernel)
        return np.concatenate([kernel, bias[:, None]], axis=1).astype(self.dtype)

    def gradient(self, sums: np.ndarray) -> np.ndarray:
        """Sums [K, q, m] of residuals times what `columns` gives -> times training columns."""
        if self.is_identity:
            return sums
        kernel = (sums[:, :-1] - self.shift[:, None] * sums[:, -1:]) * self.scale[:, None]
        return np.concatenate([kernel, sums[:, -1:]], axis=1)

    def diagonals(self, squares: np.ndarray, moments: np.ndarray) -> np.ndarray:
        """Sums [K, p] of weights times squares of what `columns` gives -> of training columns.

        Args:
            moments: [K, q, m] sums of weights times what `columns` gives, by output.
        """
        first = moments.sum(axis=2)
        about = squares - 2 * self.shift * first[:, :-1] + np.square(self.shift) * first[:, -1:]
        return np.maximum(about, 0.0) * np.square(self.scale)
