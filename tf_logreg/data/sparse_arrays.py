"""Sparse rows in memory -> a `Source`: checks them and reads rows from them."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import psutil

from tf_logreg import names
from tf_logreg.data import arrays, csr
from tf_logreg.data.source import Batch, Source
from tf_logreg.errors import InputError

COLUMN_BYTES = 200  # of a column's name, moments and coefficients, at the least


def from_sparse(
    x,
    y: np.ndarray,
    *,
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...] = (),
    weight: np.ndarray | None = None,
    splits: Mapping[str, range] | None = None,
    place: Callable[[int], str] = "row {}".format,
    extras: Mapping[str, np.ndarray] | None = None,
) -> Source:
    """A source over sparse rows in memory, which are read as float32 or float64, as those of `from_arrays`.

    Args:
        x: [n, p], a matrix or array of `scipy.sparse` in any format, with indices of 32 or 64 bits. Values of
            the same place are added. CSR without such values is used where it lies.
        y, class_names, feature_names, weight, splits, place, extras: as of `arrays.from_arrays`.

    Raises:
        InputError: as of `arrays.from_arrays`.
    """
    x = _plain(x)
    class_names, feature_names = arrays.checked_names(x, y, weight, class_names, feature_names)
    x = _held(x, place, feature_names)
    weight, weight_exponent = arrays.single(weight, len(y))
    rows = _Rows(x, y.astype(np.int32, copy=False), weight)
    return Source(
        feature_names=feature_names,
        class_names=class_names,
        splits=splits or {"train": range(x.shape[0])},
        read=_not_read,
        labels=rows.labels,
        x_dtype=x.dtype,
        place=place,
        extras=extras or {},
        host=rows.host,
        weight_exponent=weight_exponent,
        nonzeros=x.nnz / x.shape[0],
    )


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Arrays from which rows are read by index: x [n, p] float32 or float64, y [n] int32, weight [n]."""

    x: csr.csr_array
    y: np.ndarray
    weight: np.ndarray

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The labels of some rows; a view if the rows are consecutive."""
        return self.y[arrays.stretch(rows)]

    def host(self, rows: np.ndarray) -> Batch:
        """Some rows; views if they are consecutive."""
        part = arrays.stretch(rows)
        offset = np.zeros((len(rows), 1), self.x.dtype)
        return Batch(csr.part(self.x, part), self.y[part], self.weight[part], offset, rows)


def _not_read(_) -> Batch:
    raise not_by_tensorflow()


def not_by_tensorflow() -> InputError:
    """What is said where TensorFlow is to read sparse rows."""
    return InputError(
        "data: sparse rows are fitted by NumPy, to the optimum: expected --engine=auto or host, "
        "--distribution_strategy=one_device or off, a CPU, and solver.name other than 'minibatch'. Received: "
        "sparse rows for TensorFlow."
    )


def _plain(x) -> csr.csr_array:
    """X as CSR of real numbers; InputError for others."""
    if x.dtype.kind not in "fiub":
        raise InputError(f"x: expected real numbers. Received: dtype {x.dtype}.")
    found = csr.canonical(x.astype(np.uint8) if x.dtype.kind == "b" else x)
    if found.shape[1] > 2**31 - 1:
        raise InputError(f"x: expected at most 2^31 - 1 columns. Received: {found.shape[1]}.")
    free = psutil.virtual_memory().available
    if found.shape[1] * COLUMN_BYTES > free:
        raise InputError(
            f"x: expected columns whose coefficients fit in memory, {free / 2**30:.1f} GiB. Received: "
            f"{found.shape[1]} columns."
        )
    return found


def _held(x: csr.csr_array, place: Callable[[int], str], feature_names: tuple[str, ...]) -> csr.csr_array:
    """Values in float32 or float64; InputError at the first that float64 does not hold."""
    dtype = arrays.float_type(x.dtype)
    if x.dtype == dtype:
        return x
    with np.errstate(over="ignore", under="ignore"):
        values = x.data.astype(dtype)
    # Of whole numbers only those that float64 may round: to compare them takes long.
    risky = np.flatnonzero(np.abs(values) >= 2.0**53) if x.dtype.kind in "iu" else np.arange(len(values))
    if (lost := arrays.not_held(x.data[risky], values[risky])).any():
        at = int(risky[lost.argmax()])
        row, column = csr.coordinates(x, at)
        raise InputError(
            f"x: expected {arrays.HELD[x.dtype.kind]}. Received: {x.data[at]!s} in {place(row)}, column "
            f"{names.told_apart(feature_names)[column]!r}."
        )
    return csr.with_values(x, values)
