"""One pass over the rows that will be used: it checks every number and takes the weighted moments.

Training sees columns that are shifted to mean zero and, when standardised, scaled to deviation one;
`fold_out` brings the weights back to raw units, so that nothing downstream knows about it.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from tf_logreg.data import names
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError

_LARGEST = 1e18  # of a value: its square is a float32


@dataclasses.dataclass(frozen=True)
class Scan:
    """What one pass over some rows found.

    Attributes:
        weight_sum: sum of the row weights.
        mean, deviation: [p] float64, weighted; deviation 0 only for a constant column.
        class_weight_sum: [C] float64, the weight that each class has.
    """

    weight_sum: float
    mean: np.ndarray
    deviation: np.ndarray
    class_weight_sum: np.ndarray


@dataclasses.dataclass(frozen=True)
class Affine:
    """Training columns are (x - shift) * scale; both [p] float64, exact in the source's dtype."""

    shift: np.ndarray
    scale: np.ndarray


def scan(batches: Iterable[Batch], source: Source) -> Scan:
    """Reads batches of raw rows (numpy arrays) once.

    Moments are merged block by block (Chan, Golub and LeVeque, 'Updating formulae', 1979, eq. 2.1):
    no cancellation for columns with a mean far larger than their deviation.

    Raises:
        InputError: NaN or infinity in x, or a weight that is negative or not finite, with its place.
    """
    total, mean, square, first = 0.0, 0.0, 0.0, None
    constant, class_weight_sum = True, np.zeros(len(source.class_names))
    for batch in batches:
        x, weight = batch.x.astype(np.float64), batch.weight.astype(np.float64)
        _check(x, weight, batch.row, source)
        class_weight_sum += np.bincount(batch.y, weight, len(class_weight_sum))
        if not weight.all():
            x, weight = x[weight > 0], weight[weight > 0]
        if not weight.size:
            continue
        first = x[0].copy() if first is None else first
        block_total = weight.sum()
        # About a row of the block: the sums of a column far from zero keep their digits.
        start = x[0].copy()
        x -= start
        block_mean = weight @ x / block_total
        constant &= ~x.any(axis=0) & (start == first)
        x -= block_mean
        block_square = weight @ np.square(x, out=x)
        step = start + block_mean - mean
        share = block_total / (total + block_total)
        square = square + block_square + np.square(step) * total * share
        mean = mean + step * share
        total += block_total
    p = len(source.columns)
    deviation = np.sqrt(square / total) if total else np.zeros(p)
    # Rounding leaves a constant column a tiny deviation; dividing by it would make a signal of noise.
    return Scan(total, mean + np.zeros(p), np.where(constant, 0.0, deviation), class_weight_sum)


def merged(scans: list[Scan]) -> Scan:
    """The scan of all rows from those of parts of them, by the same updating formulae."""
    weight = np.array([part.weight_sum for part in scans])
    means = np.array([part.mean for part in scans])
    deviations = np.array([part.deviation for part in scans])
    share = weight / max(weight.sum(), np.finfo(float).tiny)
    some = means[weight > 0]
    constant = ~deviations.any(axis=0) & (some == some[:1]).all(axis=0)
    mean = np.where(constant, some[:1].sum(axis=0), share @ means)
    square = share @ (np.square(deviations) + np.square(means - mean))
    return Scan(
        float(weight.sum()),
        mean,
        np.where(constant, 0.0, np.sqrt(square)),
        np.sum([part.class_weight_sum for part in scans], axis=0),
    )


def _check(x: np.ndarray, weight: np.ndarray, row: np.ndarray, source: Source) -> None:
    """Raises InputError at the first number that cannot be used."""
    # One sum says whether all is well: NaN and infinity stay in it, and so does what float32 cannot square.
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.abs(x).max(initial=0.0) < _LARGEST
    if not fine:
        i, j = np.argwhere(~(np.abs(x) < _LARGEST))[0]
        expected = "finite numbers" if not np.isfinite(x[i, j]) else f"magnitudes below {_LARGEST:.0e}"
        raise InputError(
            f"x: expected {expected}. Received: {x[i, j]} in {source.place(row[i])}, "
            f"column {names.told_apart(source.columns)[j]!r}."
        )
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if bad.size:
        raise InputError(
            f"weight: expected finite numbers >= 0. "
            f"Received: {weight[bad[0]]} in {source.place(row[bad[0]])}."
        )


def affine(found: Scan, *, standardize: bool, bias: bool, dtype: np.dtype) -> Affine:
    """How training columns come from raw ones.

    Columns are centred whenever a free bias makes that harmless: the penalised optimum is the same
    and the arithmetic far better. They are scaled only to standardise.

    Args:
        found: the scan of the training rows.
        standardize: scale to deviation one.
        bias: the model has one; without it a shift would change the model.
        dtype: the source's float32 or float64. Shift and scale are rounded to it, so that
            subtracting in it loses nothing and `fold_out` undoes exactly what was done.
    """
    shift = found.mean if bias else np.zeros_like(found.mean)
    deviation = np.where(found.deviation > 0, found.deviation, 1.0)
    scale = 1 / deviation if standardize else np.ones_like(shift)
    return Affine(shift.astype(dtype).astype(np.float64), scale.astype(dtype).astype(np.float64))


def fold_out(kernel: np.ndarray, bias: np.ndarray, columns: Affine) -> tuple[np.ndarray, np.ndarray]:
    """Weights for raw columns from weights for training columns, in float64.

    Args:
        kernel: [p, m]. bias: [m]. columns: how training columns came from raw ones.
    """
    kernel = kernel.astype(np.float64) * columns.scale[:, None]
    return kernel, bias.astype(np.float64) - columns.shift @ kernel
