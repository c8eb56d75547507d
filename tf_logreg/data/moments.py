"""Weighted moments of columns, and the training columns that follow from them.

Training sees columns that are shifted to mean zero and, when standardised, scaled to deviation one.
`fold_out` converts the weights back to raw units, so that later code need not know.
"""

import dataclasses

import numpy as np

from tf_logreg.data import units
from tf_logreg.data.source import Source
from tf_logreg.errors import InputError

_FAR = 8  # deviations: a mean beyond them costs a product three bits
_SMALLEST = 1e-290  # of a column: its coefficients, in the reciprocal unit, must be finite


@dataclasses.dataclass(frozen=True)
class Scan:
    """Result of one pass over some rows.

    Attributes:
        weight_sum: sum of the row weights.
        mean, deviation: [p] float64, weighted; deviation 0 only for a constant column.
        class_weight_sum: [C] float64, sum of row weights of each class.
        largest: [p] float64, the largest magnitude in rows of weight > 0 where it is below 2^-60; elsewhere a
            number from 2^-60 to it.
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

    def penalty_unit(self, *, standardize: bool | np.ndarray) -> np.ndarray:
        """[p]: the coefficient that penalties act on, over the coefficient of these columns of deviation one.

        Penalties act on these columns' coefficients when standardised, else on those of the given columns;
        with bool [p] by column.
        """
        return np.where(standardize, 1.0, np.ldexp(self.scale, -np.asarray(self.exponent)))


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


def affine(
    found: Scan,
    *,
    standardize: bool | np.ndarray,
    bias: bool,
    dtype: np.dtype,
    exponent: np.ndarray | int = 0,
) -> Affine:
    """The map from raw to training columns.

    With a bias, columns are centred: the penalised optimum is the same and the arithmetic far more
    accurate. They are scaled only to standardise.

    Args:
        found: the scan of the training rows.
        standardize: scale to deviation one; bool [p] for some columns.
        bias: whether the model has a bias; without one a shift would change the model.
        dtype: the source's float32 or float64. Shift and scale are rounded to it, so that
            subtracting in it loses nothing and `fold_out` is its exact inverse.
        exponent: of the units in which the source gives its columns.
    """
    shift = found.mean if bias else np.zeros_like(found.mean)
    deviation = np.where(found.deviation > 0, found.deviation, 1.0)
    scale = np.where(standardize, 1 / deviation, 1.0)
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
