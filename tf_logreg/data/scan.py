"""The one look at rows before a fit: every number is checked, and the weighted moments are computed.

Rows are read block by block, each block on one core while it stays in the core's cache: rows in memory are
read from it once, and no more than a few blocks are copied.
"""

import functools

import numpy as np

from tf_logreg import names
from tf_logreg.data import csr, host_rows, moments, units
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError

_LARGEST = 1e18  # of a value: larger ones are more often codes for missing values than measurements
_FAR = 8  # deviations: a column whose mean is further from zero is summed about its mean
_ROUNDING = 1e-24  # of a variance about the mean, over the squared mean: a constant column has less
# Numbers in a block, and how many are squared at a time. Larger ones leave a core's cache; of smaller ones
# threads wait for Python's lock between NumPy's calls.
_BLOCK, _PIECE = 2**20, 2**18
_MOST_FAR = 64  # columns of sparse rows that are laid out at a time
_MOST_KEPT = 2**20  # numbers of each kind in scans that wait to be merged


def scan(source: Source, rows: np.ndarray, elements: int = _BLOCK) -> moments.Scan:
    """Reads rows once, block by block, each block on one core.

    A block is scanned by itself, and the scans are merged in the order of the blocks: the result does not
    depend on the number of cores.

    Args:
        source: in raw units. rows: int64 [n] row ids. elements: as of `host_rows.in_parallel`.

    Raises:
        InputError: NaN or infinity in x, or a negative or non-finite weight, with its location.
    """
    p = len(source.feature_names)
    scans = []
    of_block = functools.partial(_of_sparse_block if source.sparse else _of_block, source=source)
    for found in host_rows.in_parallel(of_block, source, rows, elements):
        scans.append(found)
        if len(scans) > max(1, _MOST_KEPT // p):
            scans = [moments.merged(scans)]
    if len(scans) > 1:
        return moments.merged(scans)
    return scans[0] if scans else _none(source)


def _none(source: Source) -> moments.Scan:
    """The scan of no rows."""
    zeros = np.zeros(len(source.feature_names))
    return moments.Scan(0.0, zeros, zeros, np.zeros(len(source.class_names)), zeros)


def _of_block(batch: Batch, source: Source) -> moments.Scan:
    """The scan of a block of rows, which stays in a core's cache; raises what `scan` raises.

    The sums are about zero, which needs no copy of x. Columns far from zero, whose digits would cancel, are
    summed again about their mean.
    """
    x, weight = batch.x, batch.weight
    ones = (weight == 1).all()
    class_weight_sum = np.bincount(batch.y, None if ones else weight, len(source.class_names)).astype(float)
    if not ones:
        _check_weight(weight, batch.row, source)
        if not weight.all():
            _check(x, _sums(np.ones((1, len(x))), x)[1][0], batch.row, source)
            x, weight = x[weight > 0], weight[weight > 0]
            if not len(x):
                return _none(source)
    # Sums of squares without weights, the last row, tell how large the numbers are.
    weights = np.ones((1, len(x))) if ones else np.stack([weight, np.ones_like(weight)]).astype(np.float64)
    first, square = _sums(weights, x)
    _check(x, square[-1], batch.row, source)
    largest = _largest(x, square[-1])
    exponent = units.exponents(largest)
    if exponent.any():
        # In units of the column, so that no square underflows.
        x = np.ldexp(x.astype(np.float64), -exponent)
        first, square = _sums(weights, x)
    total = weights[0].sum()
    mean, variance = _mean_and_variance(total, first[0], square[0])
    far = _far(mean, variance, largest)
    if far.size:
        # Taking most columns out would take longer than to work on all.
        part = far if 4 * far.size < x.shape[1] else slice(None)
        origin = mean[part].copy()
        step, variance[part] = _mean_and_variance(
            total, *(a[0] for a in _sums(weights[:1], x[:, part], origin))
        )
        mean[part] += step
    # Rounding gives a constant column a tiny deviation; dividing by it would amplify noise.
    alike = np.flatnonzero((variance <= _ROUNDING * np.square(mean)) & (largest > 0))
    alike = alike[(x[:, alike] == x[:1, alike]).all(axis=0)]
    mean[alike], variance[alike] = x[0, alike], 0.0
    deviation = np.ldexp(np.sqrt(variance), exponent)
    return moments.Scan(total, np.ldexp(mean, exponent), deviation, class_weight_sum, largest)


def _of_sparse_block(batch: Batch, source: Source) -> moments.Scan:
    """The scan of a block of sparse rows; raises what `scan` raises."""
    x, weight = batch.x, batch.weight
    _check_weight(weight, batch.row, source)
    bad = np.flatnonzero(~(np.abs(x.data) < _LARGEST))
    if bad.size:
        i, j = csr.coordinates(x, bad[0])
        _refuse(x.data[bad[0]], batch.row[i], j, source)
    total, class_weight_sum = weight.sum(dtype=float), np.bincount(batch.y, weight, len(source.class_names))
    if not weight.all():
        x, weight = x[weight > 0], weight[weight > 0]
        if not len(weight):
            return _none(source)
    column, values, ones = x.indices, x.data.astype(np.float64), np.ones(len(weight))
    weights = np.stack([weight.astype(np.float64), ones] if (weight != 1).any() else [ones])
    first, square = (_sums_of_sparse(weights, csr.with_values(x, v)) for v in (values, np.square(values)))
    # Of B numbers the largest is at least their root mean square.
    largest = np.sqrt(square[-1] / len(weight))
    low = ~(largest > 2 * units.SMALLEST_ORDINARY)
    at = np.flatnonzero(low[column])
    largest[low] = 0
    np.maximum.at(largest, column[at], np.abs(values[at]))
    exponent = units.exponents(largest)
    if exponent.any():
        values = np.ldexp(values, -exponent[column])
        first, square = (_sums_of_sparse(weights, csr.with_values(x, v)) for v in (values, np.square(values)))
    mean, variance = _mean_and_variance(total, first[0], square[0])
    # Columns that are far from zero have hardly any zeros: as arrays they take no more memory than here.
    far = _far(mean, variance, largest)
    for part in (far[start : start + _MOST_FAR] for start in range(0, far.size, _MOST_FAR)):
        dense = np.ldexp(x[:, part].toarray().astype(np.float64), -exponent[part])
        sums = (each[0] for each in _sums(weight[None].astype(np.float64), dense, mean[part].copy()))
        step, variance[part] = _mean_and_variance(total, *sums)
        mean[part] += step
        alike = (variance[part] <= _ROUNDING * np.square(mean[part])) & (dense == dense[:1]).all(axis=0)
        mean[part[alike]], variance[part[alike]] = dense[0, alike], 0.0
    deviation = np.ldexp(np.sqrt(variance), exponent)
    return moments.Scan(total, np.ldexp(mean, exponent), deviation, class_weight_sum, largest)


def _sums_of_sparse(weights: np.ndarray, x: csr.csr_array) -> np.ndarray:
    """Weights [r, B] @ x [B, p], [r, p]."""
    transposed = x.T
    return np.stack([transposed @ one for one in weights])


def _far(mean: np.ndarray, variance: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Columns whose sums about zero lose digits."""
    return np.flatnonzero((np.square(mean) >= _FAR**2 * variance) & (largest > 0))


def _sums(
    weights: np.ndarray, x: np.ndarray, origin: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The sums weights @ x and weights @ x^2 about an origin [p], zero when None: [r, p] float64 each.

    Args:
        weights: [r, B] float64. x: [B, p].
    """
    first, square = np.zeros((2, len(weights), x.shape[1]))
    step = max(1, _PIECE // x.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # NaN and infinity are reported by the caller
        for start in range(0, len(x), step):
            part, of_rows = x[start : start + step], weights[:, start : start + step]
            part = part.astype(np.float64, copy=origin is not None)
            if origin is not None:
                part -= origin
            first += np.dot(of_rows, part)
            square += np.dot(of_rows, np.square(part))
    return first, square


def _mean_and_variance(total: float, first: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[p] each, from the sums of the weights, of the values and of their squares."""
    mean = first / total
    return mean, np.maximum(square / total - np.square(mean), 0)


def _largest(x: np.ndarray, square: np.ndarray) -> np.ndarray:
    """`Scan.largest` of the columns of x [B, p] from their sums of squares [p]."""
    # Of B numbers the largest is at least their root mean square.
    largest = np.sqrt(square / max(len(x), 1))
    low = np.flatnonzero(~(largest > 2 * units.SMALLEST_ORDINARY))
    if x.dtype == np.float32:  # whose squares do not underflow: a sum of zero is that of zeros
        low = low[square[low] > 0]
    if low.size:
        part = x[:, low]
        largest[low] = np.maximum(part.max(axis=0, initial=0.0), -part.min(axis=0, initial=0.0))
    return largest


def _check(x: np.ndarray, square: np.ndarray, row: np.ndarray, source: Source) -> None:
    """InputError at the first number of x [B, p] that cannot be used; square [p] has the sums of squares."""
    if (square < _LARGEST**2).all():  # so is each number
        return
    bad = np.argwhere(~(np.abs(x) < _LARGEST))
    if bad.size:
        i, j = bad[0]
        _refuse(x[i, j], row[i], j, source)


def _refuse(value: float, row: int, column: int, source: Source) -> None:
    """InputError for a value that cannot be used."""
    expected = "finite numbers" if not np.isfinite(value) else f"magnitudes below {_LARGEST:.0e}"
    raise InputError(
        f"x: expected {expected}. Received: {np.float64(value)} in {source.place(row)}, "
        f"column {names.told_apart(source.feature_names)[column]!r}."
    )


def _check_weight(weight: np.ndarray, row: np.ndarray, source: Source) -> None:
    """InputError at the first weight that cannot be used."""
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise InputError(
            f"weight: expected finite numbers >= 0. "
            f"Received: {np.float64(weight[bad[0]])} in {source.place(row[bad[0]])}."
        )
