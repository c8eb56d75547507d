"""Arrays in memory -> a `Source`: checks the arrays and reads rows from them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tf_logreg import names
from tf_logreg.data.source import Batch, Source, default_names, no_offset
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

# What is expected of x, by the kind of its dtype.
HELD = {"f": "numbers that float64 holds"} | dict.fromkeys(
    "iu", "whole numbers that float64 holds, as it does all up to 2^53"
)


def from_arrays(
    x: np.ndarray,
    y: np.ndarray,
    *,
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...] = (),
    weight: np.ndarray | None = None,
    splits: Mapping[str, range] | None = None,
    unit: float = 1.0,
    place: Callable[[int], str] = "row {}".format,
    extras: Mapping[str, np.ndarray] | None = None,
) -> Source:
    """A source over arrays in memory, which keep their dtype.

    Args:
        x: [n, p], any real dtype, byte order and layout; float64 and wide integers are read as float64,
            long doubles are rounded to it, the rest is read as float32.
        y: [n] integers, 0..C-1.
        class_names: C names; a name may be empty or occur twice.
        feature_names: p names, likewise; 'x0', 'x1', ... when () is given.
        weight: [n] or None for ones.
        splits: named ranges of rows; all rows are 'train' when None.
        unit: factor of x (1/255 for images kept as uint8).
        place: row id -> description of its location, for messages.
        extras: further values by name, [n] each.

    Raises:
        InputError: there are no rows or no columns, lengths disagree, dtypes are not numbers, or a long
            double is beyond float64.
    """
    x = _plain(x)
    class_names, feature_names = checked_names(x, y, weight, class_names, feature_names)
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        x = _rounded(x, place, feature_names)
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        _check_whole(x, place, feature_names)
    weight, weight_exponent = single(weight, len(y))
    rows = _Rows(x, y.astype(np.int32, copy=False), weight, float_type(x.dtype), unit)
    return Source(
        feature_names=feature_names,
        class_names=class_names,
        splits=splits or {"train": range(len(x))},
        read=rows.read,
        labels=rows.labels,
        x_dtype=rows.dtype,
        place=place,
        extras=extras or {},
        host=rows.host,
        weight_exponent=weight_exponent,
    )


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Arrays from which rows are read by index.

    Attributes:
        x: [n, p], in its original dtype. y: [n] int32. weight: [n] float32.
        dtype: float32 or float64, the dtype in which x is read.
        unit: factor of x.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    dtype: np.dtype
    unit: float

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The labels of some rows, on the host; a view if the rows are consecutive."""
        return self.y[stretch(rows)]

    def host(self, rows: np.ndarray) -> Batch:
        """Some rows in NumPy; views of the arrays if the rows are consecutive."""
        part = stretch(rows)
        block = self.x[part].astype(self.dtype, copy=False)
        return Batch(
            x=block if self.unit == 1.0 else block * self.dtype.type(self.unit),
            y=self.y[part],
            weight=self.weight[part],
            offset=np.zeros((len(rows), 1), self.dtype),
            row=rows,
        )

    def read(self, rows: tf.Tensor) -> Batch:
        """Some rows in TensorFlow."""
        import tensorflow as tf

        x, y, weight = self._tensors
        block = tf.cast(tf.gather(x, rows), self.dtype)
        return Batch(
            x=block if self.unit == 1.0 else block * tf.cast(self.unit, self.dtype),
            y=tf.gather(y, rows),
            weight=tf.gather(weight, rows),
            offset=no_offset(rows, self.dtype),
            row=rows,
        )

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor, ...]:
        """The arrays as tensors, made at TensorFlow's first read, so that NumPy alone needs no copy."""
        import tensorflow as tf

        with tf.init_scope(), tf.device("CPU:0"):
            return (
                memory.tensor(self.x),
                tf.convert_to_tensor(self.y, tf.int32),
                tf.convert_to_tensor(self.weight),
            )


def stretch(rows: np.ndarray) -> slice | np.ndarray:
    """Consecutive row ids as a slice, which copies nothing; others as they are."""
    if len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (rows[1:] > rows[:-1]).all():
        return slice(rows[0], rows[-1] + 1)
    return rows


def checked_names(
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None,
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The C names of classes and the p of features, default ones for (), of arrays as of `from_arrays`.

    Raises:
        InputError: lengths of the arrays disagree, or y or weight has the wrong kind of dtype.
    """
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"x: expected rows and columns [n, p], n and p >= 1. Received: shape {x.shape}.")
    for name, array in (("y", y), ("weight", weight)):
        if array is not None and array.shape != x.shape[:1]:
            raise InputError(
                f"{name}: expected {len(x)} values, one a row of x. Received: shape {array.shape}."
            )
    if y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= len(class_names):
        raise InputError(f"y: expected integers in 0..{len(class_names) - 1}. Received: {y.dtype} outside.")
    if weight is not None and weight.dtype.kind not in "fiub":
        raise InputError(f"weight: expected real numbers. Received: dtype {weight.dtype}.")
    if feature_names and len(feature_names) != x.shape[1]:
        raise InputError(
            f"feature names: expected {x.shape[1]}, one a column of x. Received: {len(feature_names)}."
        )
    feature_names = names.checked(feature_names, "feature_names") or default_names(x.shape[1])
    return names.checked(class_names, "class_names"), feature_names


def float_type(kept: np.dtype) -> np.dtype:
    """The dtype in which numbers of dtype `kept` are read: float32 or float64."""
    # float32 holds every integer up to 2^24, so narrow integers lose nothing in it. Kind and size are
    # compared, not the dtype: float64 of the other byte order does not equal float64.
    wide = kept.itemsize > (4 if kept.kind == "f" else 2)
    return np.dtype(np.float64 if wide else np.float32)


def _plain(x: np.ndarray) -> np.ndarray:
    """X as an array of numbers, without a copy; booleans as bytes 0 and 1. InputError for other kinds."""
    if np.ma.is_masked(x):
        raise InputError("x: expected a value everywhere. Received: a masked array.")
    x = np.asarray(x)
    if x.dtype.kind == "b":
        return x.view(np.uint8)
    # A dtype without a kind, such as bfloat16, is accepted if it can be converted to numbers.
    if x.dtype.kind not in "fiu" and not (x.dtype.kind == "V" and np.can_cast(x.dtype, np.float64)):
        remedy = "; bfloat16 has no name in a file, save x.astype(np.float32)" if x.dtype == "V2" else ""
        raise InputError(f"x: expected real numbers. Received: dtype {x.dtype}{remedy}.")
    return x


def not_held(x: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Which numbers of x are lost in x as `rounded` to float32 or float64; bool of the shape of both."""
    if x.dtype.kind in "iu":
        # Compared as Python integers: NumPy would compare them as float64, rounded.
        return rounded.astype(object) != x.astype(object)
    return (np.isinf(rounded) & np.isfinite(x)) | ((rounded == 0) & (x != 0))


def _rounded(x: np.ndarray, place: Callable[[int], str], feature_names: tuple[str, ...]) -> np.ndarray:
    """Long doubles [n, p] as float64; InputError if one is too large or too small for float64."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = x.astype(np.float64)
    if (lost := not_held(x, rounded)).any():
        i, j = np.argwhere(lost)[0]
        raise InputError(
            f"x: expected {HELD[x.dtype.kind]}. Received: {x[i, j]!s} in {place(i)}, column "
            f"{names.told_apart(feature_names)[j]!r}."
        )
    return rounded


def _check_whole(x: np.ndarray, place: Callable[[int], str], feature_names: tuple[str, ...]) -> None:
    """InputError if float64 would round a whole number, as it would make 2^55 and 2^55 + 1 equal."""
    if max(int(x.max()), -int(x.min())) <= 2**53:
        return
    block = max(1, 2**20 // x.shape[1])
    for start in range(0, len(x), block):
        part = x[start : start + block]
        if (lost := not_held(part, part.astype(np.float64))).any():
            i, j = np.argwhere(lost)[0]
            raise InputError(
                f"x: expected {HELD[x.dtype.kind]}. Received: {part[i, j]} in {place(start + i)}, column "
                f"{names.told_apart(feature_names)[j]!r}. "
                "Subtract what the column's numbers have in common."
            )


def single(weight: np.ndarray | None, num_rows: int) -> tuple[np.ndarray, int]:
    """Weights [n] as float32, divided by a power of two if the largest is far from one, and the exponent.

    A common factor of all weights changes no model. Without weights they are ones.
    """
    if weight is None:
        return np.ones(num_rows, np.float32), 0
    weight = weight.astype(np.float64)
    largest = np.abs(weight).max(initial=0.0)
    exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) and largest > 0 else 0
    exponent = exponent if abs(exponent) > 60 else 0
    return np.ldexp(weight, -exponent).astype(np.float32), exponent
