"""A problem of some coefficients, the others zero, over a float64 copy of their columns on the host.

A penalty with l1 leaves few coefficients, so a method works on these and looks at all columns now and then
(`solvers/working_set.py`). What it does in between reads only the copy.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_logreg.data import host_rows
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.objective import host_sums, records
from tf_logreg.solvers import core

_MOST_COEFFICIENTS = 2000  # of which the Hessian is factored
_COLUMNS_A_ROW = 2  # coefficients a row beyond which the Hessian of those that move is made alone
_MOST_ELEMENTS = 2**25  # of a copy: 256 MiB
_NOISE = 1e-15  # relative rounding error of a float64 sum over the rows

# Indices of features [f] -> rows with x [n, f + 1] float64 in training columns, one after another in memory,
# the last of ones.
Reader = Callable[[np.ndarray], records.Rows]


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

    def read(features: np.ndarray) -> records.Rows:
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
        return records.Rows(x.T, y, weight, offset if offset.any() else None, folds)

    return read


def _sparse_reader(source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None) -> Reader:
    """The same of sparse rows, whose columns are laid out one after another when some are asked for first."""

    @functools.cache
    def by_column() -> tuple:
        batch = source.host(rows)
        return batch, batch.x.tocsc()

    def read(features: np.ndarray) -> records.Rows:
        batch, given = by_column()
        x = np.empty((len(features) + 1, len(rows)))
        x[:-1] = given[:, features].T.toarray()
        x[:-1] -= columns.shift[features, None]
        x[:-1] *= columns.scale[features, None]
        x[-1] = 1
        offset = batch.offset.astype(float)
        return records.Rows(x.T, batch.y, batch.weight, offset if offset.any() else None, folds)

    return read


def bytes_of_copy(num_rows: int, size: int) -> float:
    """Bytes of a copy, of its columns times roots of curvatures, and of Hessians, for `size` coefficients.

    A system of rows has five arrays of the copy's size at once, one of columns six of a Hessian's.
    """
    return 8.0 * (5 * min(num_rows * size, _MOST_ELEMENTS) + 6 * min(size, _MOST_COEFFICIENTS) ** 2)


def restricted(problems: Any, coordinates: np.ndarray, k: int) -> core.Functions | None:
    """Problem k of a `Penalized` as a function of some of its coefficients; None where they are too many.

    Args:
        problems: whose `columns` are a `Reader`; the part of the columns that is read counts as a pass.
        coordinates: [j] ascending, which of the P coefficients.
    """
    (p, m), count = problems.shape, len(coordinates)
    wide = m == 1 and count > problems.num_rows
    by_root = wide and count > _COLUMNS_A_ROW * problems.num_rows
    few = by_root or count <= _MOST_COEFFICIENTS
    if not few or problems.num_rows * count > _MOST_ELEMENTS:
        return None
    feature, output = np.divmod(coordinates, m)
    features, place = np.unique(feature[feature < p], return_inverse=True)
    place = np.concatenate([place, np.full(count - len(place), len(features))])
    whole = problems.columns(features)
    problems.passes[k] += len(features) / p
    rows, record = whole._replace(x=whole.x[:, :-1]), problems.record(np.array([k]))
    l1, l2 = (problems.per_coefficient(one[[k]])[:, coordinates] for one in (problems.l1, problems.l2))

    def unpack(u: np.ndarray) -> np.ndarray:
        w = np.zeros((1, len(features) + 1, m))
        w[:, place, output] = u
        return w

    def value_and_gradient(u: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        weight, loss, sums = host_sums.value_and_gradient(unpack(u), record, rows)
        mean = problems.of_data(sums, weight)[:, place, output]
        return loss / weight + (l2 / 2 * np.square(u)).sum(axis=1), mean + l2 * u

    @functools.cache
    def columns() -> np.ndarray:
        """[j, n], one after another in memory."""
        one_each = count <= len(features) + 1 and (place == np.arange(count)).all()
        return whole.x.T[:count] if one_each else whole.x.T[place]

    def hessian(u: np.ndarray, _) -> np.ndarray:
        total, (weight,), (chances,) = host_sums.curvatures(unpack(u), record, rows)
        found = _hessian(columns(), weight / total, chances, output)
        found[np.diag_indices(count)] += l2[0]
        return found[None]

    def hessian_root(u: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        total, (weight,), ((curvature,),) = host_sums.curvatures(unpack(u), record, rows)
        return (columns() * np.sqrt(weight * curvature / total))[None], l2

    return core.Functions(
        value_and_gradient=value_and_gradient,
        hessian_product=None,
        hessian=None if by_root else hessian,
        hessian_root=hessian_root if wide else None,
        rank=problems.num_rows * max(1, m - 1),
        preconditioner=None,
        gradient_gap=lambda gradient, _: np.full(len(gradient), np.inf),
        l1=l1,
        target=np.zeros(1),
        noise=_NOISE,
        many_products=np.ones(1),
        alike=np.zeros(1, int),
    )


def _hessian(columns: np.ndarray, weight: np.ndarray, p: np.ndarray, output: np.ndarray) -> np.ndarray:
    """The Hessian of j coefficients, each of a column and an output: [j, j].

    Args:
        columns: [j, n]. weight: [n].
        p: [m, n] probabilities of the outputs; with one output p (1 - p). output: [j].
    """
    if len(p) == 1:
        scaled = columns * np.sqrt(weight * p[0])
        return np.dot(scaled, scaled.T)
    scaled = np.sqrt(weight) * p[output] * columns
    found = -np.dot(scaled, scaled.T)
    for one in np.unique(output):
        at = np.flatnonzero(output == one)
        # p (1 - p) and not p - p^2, which cancels.
        within = columns[at] * np.sqrt(weight * p[one] * (1 - p[one]))
        found[np.ix_(at, at)] = np.dot(within, within.T)
    return found
