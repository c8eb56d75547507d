"""One pass over the rows: checks every number and computes the weighted moments.

Training sees columns that are shifted to mean zero and, when standardised, scaled to deviation one.
`fold_out` converts the weights back to raw units, so that later code need not know.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from tf_logreg.data import names, units
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError

_LARGEST = 1e18  # of a value: larger ones are more often codes for missing values than measurements
_FAR = 8  # deviations: a mean beyond them costs a product three bits
_SMALLEST = 1e-290  # of a column: its coefficients, in the reciprocal unit, must be finite


@dataclasses.dataclass(frozen=True)
class Scan:
    """Result of one pass over some rows.

    Attributes:
        weight_sum: sum of the row weights.
        mean, deviation: [p] float64, weighted; deviation 0 only for a constant column.
        class_weight_sum: [C] float64, sum of row weights of each class.
        largest: [p] float64, the largest magnitude in rows of weight > 0.
    """

    weight_sum: float
    mean: np.ndarray
    deviation: np.ndarray
    class_weight_sum: np.ndarray
    largest: np.ndarray

    def in_units(self, exponent: np.ndarray) -> "Scan":
        """The scan of the same rows after `units.in_units`."""
        mean, deviation, largest = (np.ldexp(a, -exponent) for a in (self.mean, self.deviation, self.largest))
        return dataclasses.replace(self, mean=mean, deviation=deviation, largest=largest)


@dataclasses.dataclass(frozen=True)
class Affine:
    """Training columns are (x - shift) * scale; both [p] float64, exact in the source's dtype.

    The source may give columns in units of 2^exponent, [p] int or 0 (`units.in_units`).

    far: [p] bool, columns whose mean is far above their deviation, or that are constant. A product with them
        keeps its digits only when the shift is subtracted first. None for columns that are as they should be.
    """

    shift: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray | int = 0
    far: np.ndarray | None = None

    def penalty_unit(self, *, standardize: bool) -> np.ndarray:
        """[p]: the coefficient that penalties act on, over the coefficient of these columns of deviation one.

        Penalties act on these columns' coefficients when standardised, else on those of the given columns.
        """
        if standardize:
            return np.ones_like(self.scale)
        return np.ldexp(self.scale, -np.asarray(self.exponent))


def scan(batches: Iterable[Batch], source: Source) -> Scan:
    """Reads batches of raw rows (numpy arrays) once.

    Moments are merged block by block (Chan, Golub and LeVeque, 'Updating formulae', 1979, eq. 2.1):
    no cancellation for columns with a mean far larger than their deviation.

    Raises:
        InputError: NaN or infinity in x, or a negative or non-finite weight, with its location.
    """
    p = len(source.feature_names)
    total, mean, square, first = 0.0, np.zeros(p), np.zeros(p), None
    largest, exponent = np.zeros(p), np.zeros(p, int)
    constant, class_weight_sum = True, np.zeros(len(source.class_names))
    for batch in batches:
        x, weight = batch.x.astype(np.float64), batch.weight.astype(np.float64)
        largest_here = _check(x, weight, batch.row, source)
        class_weight_sum += np.bincount(batch.y, weight, len(class_weight_sum))
        if not weight.all():
            x, weight = x[weight > 0], weight[weight > 0]
            largest_here = _largest(x)
        if not weight.size:
            continue
        first = x[0].copy() if first is None else first
        largest = np.maximum(largest, largest_here)
        block_total = weight.sum()
        # Sums are about a row of the block, so that a column far from zero keeps its digits.
        start = x[0].copy()
        before, exponent = exponent, units.exponents(largest)
        if exponent.any():
            # In units of the column, so that no square over- or underflows.
            mean, square = np.ldexp(mean, before - exponent), np.ldexp(square, 2 * (before - exponent))
            x = np.ldexp(x, -exponent)
        offset = x[0].copy()
        x -= offset
        block_mean = weight @ x / block_total
        constant &= ~x.any(axis=0) & (start == first)
        x -= block_mean
        block_square = weight @ np.square(x, out=x)
        step = offset + block_mean - mean
        share = block_total / (total + block_total)
        square = square + block_square + np.square(step) * total * share
        mean = mean + step * share
        total += block_total
    # Rounding gives a constant column a tiny deviation; dividing by it would amplify noise.
    deviation = np.where(constant, 0.0, np.sqrt(square / total) if total else np.zeros(p))
    return Scan(total, np.ldexp(mean, exponent), np.ldexp(deviation, exponent), class_weight_sum, largest)


def check_smallest(found: Scan, source: Source) -> None:
    """Refuses columns whose coefficients would not be finite.

    Raises:
        InputError: a column has only tiny numbers; the message names it.
    """
    small = np.flatnonzero((found.largest > 0) & (found.largest < _SMALLEST))
    if small.size:
        raise InputError(
            f"x: expected columns of zeros or of magnitudes above {_SMALLEST:.0e}. Received: at most "
            f"{found.largest[small[0]]} in column {source.feature_names[small[0]]!r}."
        )


def merged(scans: list[Scan]) -> Scan:
    """The scan of all rows from scans of parts of them, by the same updating formulae."""
    weight = np.array([part.weight_sum for part in scans])
    means = np.array([part.mean for part in scans])
    deviations = np.array([part.deviation for part in scans])
    share = weight / max(weight.sum(), np.finfo(float).tiny)
    some = means[weight > 0]
    constant = ~deviations.any(axis=0) & (some == some[:1]).all(axis=0)
    mean = np.where(constant, some[:1].sum(axis=0), share @ means)
    largest = np.max([part.largest for part in scans], axis=0)
    exponent = units.exponents(largest)
    square = share @ (
        np.square(np.ldexp(deviations, -exponent)) + np.square(np.ldexp(means - mean, -exponent))
    )
    return Scan(
        float(weight.sum()),
        mean,
        np.where(constant, 0.0, np.ldexp(np.sqrt(square), exponent)),
        np.sum([part.class_weight_sum for part in scans], axis=0),
        largest,
    )


def _largest(x: np.ndarray) -> np.ndarray:
    """[p], the largest magnitude of each column of x [B, p]; NaN stays in it."""
    return np.maximum(x.max(axis=0, initial=0.0), -x.min(axis=0, initial=0.0))


def _check(x: np.ndarray, weight: np.ndarray, row: np.ndarray, source: Source) -> np.ndarray:
    """`_largest` of x; raises InputError at the first number that cannot be used."""
    largest = _largest(x)
    if not (largest < _LARGEST).all():
        i, j = np.argwhere(~(np.abs(x) < _LARGEST))[0]
        expected = "finite numbers" if not np.isfinite(x[i, j]) else f"magnitudes below {_LARGEST:.0e}"
        raise InputError(
            f"x: expected {expected}. Received: {x[i, j]} in {source.place(row[i])}, "
            f"column {names.told_apart(source.feature_names)[j]!r}."
        )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise InputError(
            f"weight: expected finite numbers >= 0. "
            f"Received: {weight[bad[0]]} in {source.place(row[bad[0]])}."
        )
    return largest


def affine(
    found: Scan, *, standardize: bool, bias: bool, dtype: np.dtype, exponent: np.ndarray | int = 0
) -> Affine:
    """The map from raw to training columns.

    With a bias, columns are centred: the penalised optimum is the same and the arithmetic far more
    accurate. They are scaled only to standardise.

    Args:
        found: the scan of the training rows.
        standardize: scale to deviation one.
        bias: whether the model has a bias; without one a shift would change the model.
        dtype: the source's float32 or float64. Shift and scale are rounded to it, so that
            subtracting in it loses nothing and `fold_out` is its exact inverse.
        exponent: of the units in which the source gives its columns.
    """
    shift = found.mean if bias else np.zeros_like(found.mean)
    deviation = np.where(found.deviation > 0, found.deviation, 1.0)
    scale = 1 / deviation if standardize else np.ones_like(shift)
    shift, scale = (a.astype(dtype).astype(np.float64) for a in (shift, scale))
    return Affine(shift, scale, exponent, far=np.abs(shift) > _FAR * found.deviation)


def fold_out(kernel: np.ndarray, bias: np.ndarray, columns: Affine) -> tuple[np.ndarray, np.ndarray]:
    """Weights for raw columns from weights for training columns, in float64.

    Args:
        kernel: [p, m]. bias: [m]. columns: the map from raw to training columns.
    """
    kernel = kernel.astype(np.float64) * columns.scale[:, None]
    return kernel, bias.astype(np.float64) - columns.shift @ kernel


def rounding(kernel: np.ndarray, bias: np.ndarray, found: Scan, dtype: str) -> float:
    """Estimated root mean square error of the logits when a model is stored in a dtype.

    It comes from rounding the coefficients, products and sums, which cancel if a column's mean is far above
    its deviation.

    Args:
        kernel: [p, m]. bias: [m]. found: the scan of the rows. dtype: 'float32' or 'float64'.
    """
    size, eps = np.hypot(found.mean, found.deviation), np.finfo(dtype).eps
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.abs(kernel - kernel.astype(dtype)) + eps * np.abs(kernel)
        # Errors of different columns have random signs, so their squares add up.
        off = np.linalg.norm(size[:, None] * lost, axis=0)
        off += np.abs(bias - bias.astype(dtype)) + eps * np.abs(bias)
    return float(np.nan_to_num(off, nan=np.inf).max())
