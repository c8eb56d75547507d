"""A problem of some coefficients, the others zero, over a float64 copy of their columns on the host.

A penalty with l1 leaves few coefficients, so a method works on these and looks at all columns now and then
(`solvers/working_set.py`). What it does in between reads only the copy.
"""

import functools
from typing import Any

import numpy as np

from tf_logreg.objective import host_sums
from tf_logreg.solvers import core

_MOST_COEFFICIENTS = 2000  # of which the Hessian is factored
_MOST_SPARSE = 4000  # of which it is factored where their columns stay sparse
_COLUMNS_A_ROW = 2  # coefficients a row beyond which the Hessian of those that move is made alone
_MOST_ELEMENTS = 2**25  # of a copy: 256 MiB
_NOISE = 1e-15  # relative rounding error of a float64 sum over the rows


def bytes_of_copy(num_rows: int, size: int, *, sparse: bool) -> float:
    """Bytes of a copy, of its columns times roots of curvatures, and of Hessians, for `size` coefficients.

    A system of rows has five arrays of the copy's size at once, one of columns six of a Hessian's.
    """
    most = _MOST_SPARSE if sparse else _MOST_COEFFICIENTS
    return 8.0 * (5 * min(num_rows * size, _MOST_ELEMENTS) + 6 * min(size, most) ** 2)


def restricted(problems: Any, coordinates: np.ndarray, k: int) -> core.Functions | None:
    """Problem k of a `Penalized` as a function of some of its coefficients; None where they are too many.

    Args:
        problems: whose `columns` are a `copied_columns.Reader`; the part that is read counts as a pass.
        coordinates: [j] ascending, which of the P coefficients.
    """
    (p, m), count = problems.shape, len(coordinates)
    wide = m == 1 and count > problems.num_rows
    by_root = wide and count > _COLUMNS_A_ROW * problems.num_rows
    may_be_sparse = problems.engine.sparse and m == 1 and not wide and count <= _MOST_SPARSE
    dense_fits = (by_root or count <= _MOST_COEFFICIENTS) and problems.num_rows * count <= _MOST_ELEMENTS
    if not dense_fits and not may_be_sparse:
        return None
    feature, output = np.divmod(coordinates, m)
    features, place = np.unique(feature[feature < p], return_inverse=True)
    place = np.concatenate([place, np.full(count - len(place), len(features))])
    copied = problems.columns(features, may_be_sparse, dense_fits)
    if copied is None:
        return None
    is_sparse, whole = copied.mean is not None, copied.rows
    problems.passes[k] += len(features) / p
    rows = whole if is_sparse else whole._replace(x=whole.x[:, :-1])
    record = problems.record(np.array([k]))
    l1, l2 = (problems.per_coefficient(one[[k]])[:, coordinates] for one in (problems.l1, problems.l2))

    def unpack(u: np.ndarray) -> np.ndarray:
        w = np.zeros((1, len(features) + 1, m))
        w[:, place, output] = u
        return w

    def value_and_gradient(u: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        weight, loss, sums = host_sums.value_and_gradient(copied.given(unpack(u)), record, rows)
        mean = problems.of_data(copied.of_training(sums), weight)[:, place, output]
        return loss / weight + (l2 / 2 * np.square(u)).sum(axis=1), mean + l2 * u

    @functools.cache
    def columns() -> np.ndarray:
        """[j, n], one after another in memory."""
        one_each = count <= len(features) + 1 and (place == np.arange(count)).all()
        return whole.x.T[:count] if one_each else whole.x.T[place]

    def hessian(u: np.ndarray, _) -> np.ndarray:
        total, (weight,), (chances,) = host_sums.curvatures(copied.given(unpack(u)), record, rows)
        if is_sparse:
            found = copied.gram(weight / total * chances[0])[np.ix_(place, place)]
        else:
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
