"""A problem of some coefficients, the others zero, over a float64 copy of their columns on the host.

A penalty with l1 leaves few coefficients, so a method works on these and looks at all columns now and then
(`solvers/working_set.py`). What it does in between reads only the copy.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_logreg.fit.full_batch import copied_columns
from tf_logreg.objective import host_sums
from tf_logreg.solvers import core

_MOST_COEFFICIENTS = 2000  # of which the Hessian is factored
_MOST_SPARSE = 4000  # of which it may be where their columns stay sparse
_FEW_SPARSE = 1000  # whose factor takes some milliseconds, and needs no columns to be uncorrelated
_COLUMNS_A_ROW = 2  # coefficients a row beyond which the Hessian of those that move is made alone
_MOST_ELEMENTS = 2**25  # of a copy: 256 MiB
_NOISE = 1e-15  # relative rounding error of a float64 sum over the rows


def bytes_of_copy(num_rows: int, size: int, *, sparse: bool) -> float:
    """Bytes of a copy, of its columns times roots of curvatures, and of Hessians, for `size` coefficients.

    A system of rows has five arrays of the copy's size at once, one of columns six of a Hessian's.
    """
    most = _MOST_SPARSE if sparse else _MOST_COEFFICIENTS
    return 8.0 * (5 * min(num_rows * size, _MOST_ELEMENTS) + 6 * min(size, most) ** 2)


def by_products(problems: Any) -> bool:
    """Whether columns may stay sparse, and their Hessian may be multiplied by."""
    return problems.engine.sparse


def restricted(problems: Any, coordinates: np.ndarray, k: int) -> core.Functions | None:
    """Problem k of a `Penalized` as a function of some of its coefficients; None where they are too many.

    Args:
        problems: whose `columns` are a `copied_columns.Reader`; the part that is read counts as a pass.
        coordinates: [j] ascending, which of the P coefficients.
    """
    (p, m), count = problems.shape, len(coordinates)
    wide = m == 1 and count > problems.num_rows
    by_root = wide and count > _COLUMNS_A_ROW * problems.num_rows
    dense_fits = (by_root or count <= _MOST_COEFFICIENTS) and problems.num_rows * count <= _MOST_ELEMENTS
    rank = problems.num_rows * max(1, m - 1)  # of the Hessian, at most
    # Columns that the rows do not determine take a factor, or an interior point. So do few of a softmax.
    factored = dense_fits and (count > rank or (m > 1 and count <= _FEW_SPARSE))
    few_logits = m == 1 or problems.num_rows * m <= _MOST_ELEMENTS  # those of all rows are made at once
    may_be_sparse = by_products(problems) and few_logits and not factored
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

    def curvatures(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows' shares of the weight [n], and `host_sums.curvatures` [m, n]."""
        total, (weight,), (found,) = host_sums.curvatures(copied.given(unpack(u)), record, rows)
        return weight / total, found

    def by_factor(x: np.ndarray) -> dict[str, Callable | None]:
        one_each = count <= len(features) + 1 and (place == np.arange(count)).all()
        columns = x.T[:count] if one_each else x.T[place]  # [j, n], one after another in memory
        return _by_factor(columns, curvatures, output, l2, wide=wide, by_root=by_root)

    if is_sparse:
        curved = _by_products(copied, curvatures, unpack, (place, output), l2, one_output=m == 1)
        if m > 1 and dense_fits:
            # For where products bring little; only then are the columns laid out.
            laid_out = functools.cache(lambda: by_factor(problems.columns(features, False, True).rows.x))
            curved["hessian"] = lambda u, which: laid_out()["hessian"](u, which)
    else:
        curved = {**by_factor(whole.x), "rank": rank}
    return core.Functions(
        value_and_gradient=value_and_gradient,
        gradient_gap=lambda gradient, _: np.full(len(gradient), np.inf),
        l1=l1,
        target=np.zeros(1),
        noise=_NOISE,
        many_products=np.ones(1),
        alike=np.zeros(1, int),
        **curved,
    )


def _by_factor(
    columns: np.ndarray,
    curvatures: Callable,
    output: np.ndarray,
    l2: np.ndarray,
    *,
    wide: bool,
    by_root: bool,
) -> dict[str, Callable | None]:
    """Fields of `core.Functions`: the Hessian of laid out columns [j, n], of which there may be its root."""

    def hessian(u: np.ndarray, _) -> np.ndarray:
        found = _hessian(columns, *curvatures(u), output)
        found[np.diag_indices(len(found))] += l2[0]
        return found[None]

    def hessian_root(u: np.ndarray, _) -> tuple[np.ndarray, np.ndarray]:
        weight, (curvature,) = curvatures(u)
        return (columns * np.sqrt(weight * curvature))[None], l2

    return {
        "hessian": None if by_root else hessian,
        "hessian_root": hessian_root if wide else None,
        "hessian_product": None,
        "preconditioner": None,
    }


def _by_products(
    copied: copied_columns.Copied,
    curvatures: Callable,
    unpack: Callable[[np.ndarray], np.ndarray],
    at: tuple[np.ndarray, np.ndarray],
    l2: np.ndarray,
    *,
    one_output: bool,
) -> dict[str, Callable | None]:
    """The same of sparse columns: products with their Hessian, its diagonal, and where it fits itself.

    `at` are the columns' places and the outputs. The Hessian of several outputs has a block for each pair of
    them, which sparse columns take too long for.
    """
    place, _ = at

    @functools.lru_cache(1)
    def curved_at(u: bytes) -> tuple[np.ndarray, np.ndarray]:
        return curvatures(np.frombuffer(u))

    def hessian_product(u: np.ndarray, v: np.ndarray, _) -> np.ndarray:
        return copied.product(*curved_at(u.tobytes()), unpack(v))[:, *at] + l2 * v

    def preconditioner(u: np.ndarray, _) -> Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
        weight, p = curved_at(u.tobytes())
        each = weight * (p if len(p) == 1 else p * (1 - p))
        diagonal = np.stack([copied.diagonal(one) for one in each], axis=1)[at] + l2[0]
        floor = np.finfo(float).eps * diagonal.max(initial=0.0) or 1.0
        return lambda r, which, free: np.where(free, r / np.maximum(diagonal, floor), 0)

    def hessian(u: np.ndarray, _) -> np.ndarray:
        weight, (curvature,) = curved_at(u.tobytes())
        found = copied.gram(weight * curvature)[np.ix_(place, place)]
        found[np.diag_indices(len(found))] += l2[0]
        return found[None]

    return {
        "hessian": hessian if one_output and len(place) <= _MOST_SPARSE else None,
        "hessian_product": hessian_product,
        "preconditioner": preconditioner,
        "products_first": not one_output or len(place) > _FEW_SPARSE,
    }


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
