"""A copy of some columns of all rows, which many steps of a solver read.

Columns of dense rows, and sparse ones that are not empty enough, are laid out. Others stay sparse: they are
centred on paper only, since x - mean has no zeros.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tf_logreg.data import csr, host_rows
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.objective import records

_SPARSE = 0.1  # share of numbers that are not zero, below which products of sparse columns are faster
_FARTHEST = 100.0  # deviations of a mean: beyond them products of columns that are not centred lose digits


class Copied(NamedTuple):
    """Some columns of all rows.

    Attributes:
        rows: x [n, f + 1] float64 in training columns, one after another in memory, the last of ones; or CSR
            [n, f], scaled and not centred.
        mean: [f] of the columns of CSR, which centring would subtract; None where they are centred.
    """

    rows: records.Rows
    mean: np.ndarray | None = None

    def given(self, w: np.ndarray) -> np.ndarray:
        """Weights [1, f + 1, m] of the columns as they are here, from those of training columns."""
        if self.mean is not None:
            w[:, -1] -= self.mean @ w[0, :-1]
        return w

    def of_training(self, sums: np.ndarray) -> np.ndarray:
        """Gradients [1, f + 1, m] by training columns, from those by the columns here."""
        if self.mean is not None:
            sums[:, :-1] -= self.mean[:, None] * sums[:, -1:]
        return sums

    def gram(self, weight: np.ndarray) -> np.ndarray:
        """X^T diag(weight) X of the training columns and ones, [f + 1, f + 1]; of sparse columns."""
        x, size = self.rows.x, len(self.mean)
        found = np.empty((size + 1, size + 1))
        found[:-1, :-1] = (
            x.T.tocsr() @ csr.with_values(x, x.data * np.repeat(weight, np.diff(x.indptr)))
        ).toarray()
        first, total = x.T @ weight, weight.sum()
        found[:-1, :-1] -= np.outer(first, self.mean)
        found[:-1, :-1] -= np.outer(self.mean, first - total * self.mean)
        found[:-1, -1] = found[-1, :-1] = first - total * self.mean
        found[-1, -1] = total
        return found

    def product(self, weight: np.ndarray, p: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The Hessian of the training columns and ones times v [1, f + 1, m]; of CSR alone.

        Args:
            weight: [n]. p: [m, n], p (1 - p) of one output, the probabilities of several.
        """
        x, v = self.rows.x, self.given(v)[0]
        # SciPy reads its rows faster for one column after another than for all at once.
        t = np.stack([x @ np.ascontiguousarray(one) for one in v[:-1].T]) + v[-1][:, None]
        moved = p * (t if len(p) == 1 else t - (p * t).sum(axis=0)) * weight
        found = np.stack([np.append(x.T @ one, one.sum()) for one in moved], axis=1)
        return self.of_training(found[None])

    def diagonal(self, weight: np.ndarray) -> np.ndarray:
        """The diagonal of X^T diag(weight) X of the training columns and ones, [f + 1]; of CSR alone."""
        x, total = self.rows.x, weight.sum()
        squares = csr.with_values(x, np.square(x.data)).T @ weight
        return np.append(squares - self.mean * (2 * (x.T @ weight) - total * self.mean), total)


# Indices of features [f], whether they may stay sparse, whether they may be laid out -> their columns; None
# where neither may be.
Reader = Callable[[np.ndarray, bool, bool], Copied | None]


def reader(source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None) -> Reader | None:
    """A function that copies some columns of all rows; None where the rows are not in memory.

    Args:
        source: where rows are read. rows: int64 [n], the ids of the training rows.
        columns: the map from raw to training columns.
        folds: int32 [n] the fold of each row, or None.
    """
    if source.host is None:
        return None

    if source.sparse:
        return _sparse_reader(source, rows, columns, folds)

    def read(features: np.ndarray, _: bool, may_be_dense: bool) -> Copied | None:
        if not may_be_dense:
            return None
        x = np.empty((len(features) + 1, len(rows)))
        y, weight = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
        offset = np.empty((len(rows), source.offset_columns))
        start = 0
        for batch in host_rows.host_batches(source, rows):
            part = slice(start, start + len(batch.y))
            taken = batch.x.take(features, axis=1).astype(float, copy=False)
            taken -= columns.shift[features]
            taken *= columns.scale[features]
            x[:-1, part] = taken.T
            y[part], weight[part], offset[part] = batch.y, batch.weight, batch.offset
            start = part.stop
        x[-1] = 1
        return Copied(records.Rows(x.T, y, weight, offset if offset.any() else None, folds))

    return read


def _sparse_reader(source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None) -> Reader:
    """The same of sparse rows, whose columns are put one after another when some are asked for first."""

    @functools.cache
    def by_column() -> tuple:
        batch = source.host(rows)
        return batch, batch.x.tocsc()

    def read(features: np.ndarray, may_be_sparse: bool, may_be_dense: bool) -> Copied | None:
        batch, given = by_column()
        some, offset = given[:, features], batch.offset.astype(float)
        others = batch.y, batch.weight, offset if offset.any() else None, folds
        mean = columns.shift[features] * columns.scale[features]
        few = some.nnz < _SPARSE * len(rows) * len(features) and np.abs(mean).max(initial=0.0) < _FARTHEST
        if may_be_sparse and few:
            x = csr.canonical(some.tocsr().astype(float))
            scaled = csr.with_values(x, x.data * columns.scale[features][x.indices])
            return Copied(records.Rows(scaled, *others), mean)
        if not may_be_dense:
            return None
        x = np.empty((len(features) + 1, len(rows)))
        x[:-1] = some.T.toarray()
        x[:-1] -= columns.shift[features, None]
        x[:-1] *= columns.scale[features, None]
        x[-1] = 1
        return Copied(records.Rows(x.T, *others))

    return read
