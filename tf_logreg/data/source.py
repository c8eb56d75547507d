"""The records that every kind of data is brought to: `Batch` (some rows) and `Source` (all of them).

A source knows nothing of splits by fraction, order, batches or devices. It says which rows there are
and reads any of them by index, which is what makes the order of training a pure function of
(seed, epoch, position) and a resumed run exact.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tf_logreg.data import names
from tf_logreg.data.names import describe
from tf_logreg.devices import memory
from tf_logreg.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf


class Batch(NamedTuple):
    """B rows. Padding rows have row = -1, weight = 0 and the values of some real row."""

    x: tf.Tensor  # [B, p] float32 or float64 from a source, --dtype after the pipeline
    y: tf.Tensor  # [B] int32 class index, 0..C-1
    weight: tf.Tensor  # [B] float32, the user's own row weights, >= 0
    offset: tf.Tensor  # [B, m] in the dtype of x, added to the logits; [B, 1] zeros without any
    row: tf.Tensor  # [B] int64, the row's id in its source


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows with a label, readable by index.

    Attributes:
        columns: the p feature names.
        class_names: the C class names; a label y stands for class_names[y].
        splits: the source's own named splits, each a range of row ids; a source without any has
            one split, 'train'.
        read: a TensorFlow function, row ids int64 [B] -> Batch in raw units.
        labels: row ids int64 [n] -> int32 [n]; reads the labels alone, on the host.
        host: the same as `read` in NumPy, for rows in memory: it gives views where it can. None where
            rows are not in memory.
        x_dtype: float32 or float64, the dtype of what `read` gives.
        place: says where a row id lies, for messages ('row 17 of the file x.npz').
        extras: further values of each row by name, [num_rows, ...] on the host: to split by, offsets.
        offset_columns: m of the offsets that `read` gives.
        declared: the class names as they came, where `class_names` are not all of them in that order.
        positions: of each of `class_names` among those, -1 for one that is not there.
        weight_exponent: the user's weights are 2^weight_exponent times what `read` gives.
    """

    columns: tuple[str, ...]
    class_names: tuple[str, ...]
    splits: Mapping[str, range]
    read: Callable[[tf.Tensor], Batch]
    labels: Callable[[np.ndarray], np.ndarray]
    x_dtype: np.dtype
    place: Callable[[int], str] = "row {}".format
    extras: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    offset_columns: int = 1
    host: Callable[[np.ndarray], Batch] | None = None
    declared: tuple[str, ...] = ()
    positions: tuple[int, ...] = ()
    weight_exponent: int = 0

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Classes that were declared and are left out, because no row has them."""
        kept = set(self.positions)
        return tuple(name for k, name in enumerate(names.told_apart(self.declared)) if k not in kept)


def from_arrays(
    x: np.ndarray,
    y: np.ndarray,
    *,
    class_names: tuple[str, ...],
    columns: tuple[str, ...] = (),
    weight: np.ndarray | None = None,
    splits: Mapping[str, range] | None = None,
    unit: float = 1.0,
    place: Callable[[int], str] = "row {}".format,
    extras: Mapping[str, np.ndarray] | None = None,
) -> Source:
    """A source over arrays in memory, kept in the dtype they came in.

    Args:
        x: [n, p], any real dtype, byte order and layout; float64 and wide integers are read as float64,
            long doubles are rounded to it, the rest is read as float32.
        y: [n] integers, 0..C-1.
        class_names: C names; they may be empty or occur twice.
        columns: p names, likewise; 'x0', 'x1', ... when empty.
        weight: [n] or None for ones.
        splits: named ranges of rows; all rows are 'train' when None.
        unit: what one step of x is worth (1/255 for images kept as uint8).
        place: where a row lies, for messages.
        extras: further values by name, [n] each.

    Raises:
        InputError: there are no rows or no columns, lengths disagree, dtypes are not numbers, or a long
            double is beyond float64.
    """
    import tensorflow as tf

    x = _plain(x)
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"x: expected rows and columns [n, p], n and p >= 1. Received: shape {x.shape}.")
    for name, array, size in (("y", y, x.shape[0]), ("weight", weight, x.shape[0])):
        if array is not None and array.shape != (size,):
            raise InputError(
                f"{name}: expected {size} values, one a row of x. Received: shape {array.shape}."
            )
    if y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= len(class_names):
        raise InputError(f"y: expected integers in 0..{len(class_names) - 1}. Received: {y.dtype} outside.")
    if weight is not None and weight.dtype.kind not in "fiub":
        raise InputError(f"weight: expected real numbers. Received: dtype {weight.dtype}.")
    if columns and len(columns) != x.shape[1]:
        raise InputError(
            f"feature names: expected {x.shape[1]}, one a column of x. Received: {len(columns)}."
        )
    class_names = names.checked(class_names, "class_names")
    columns = names.checked(columns, "feature_names") or default_columns(x.shape[1])

    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        x = _rounded(x, place, columns)
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        _check_whole(x, place, columns)
    # float32 holds every integer up to 2^24, so narrow integers lose nothing in it. Kind and size are
    # compared, not the dtype: float64 of the other byte order does not equal float64.
    wide = x.dtype.itemsize > (4 if x.dtype.kind == "f" else 2)
    x_dtype = np.dtype(np.float64 if wide else np.float32)
    y = y.astype(np.int32, copy=False)
    weight, weight_exponent = (np.ones(len(y), np.float32), 0) if weight is None else _single(weight)

    @functools.cache
    def tensors() -> tuple[tf.Tensor, ...]:
        # Made when TensorFlow first reads: rows that only NumPy reads are not copied.
        with tf.init_scope(), tf.device("CPU:0"):
            return memory.tensor(x), tf.convert_to_tensor(y, tf.int32), tf.convert_to_tensor(weight)

    def read(rows: tf.Tensor) -> Batch:
        x_all, y_all, weight_all = tensors()
        block = tf.cast(tf.gather(x_all, rows), x_dtype)
        return Batch(
            x=block if unit == 1.0 else block * tf.cast(unit, x_dtype),
            y=tf.gather(y_all, rows),
            weight=tf.gather(weight_all, rows),
            offset=no_offset(rows, x_dtype),
            row=rows,
        )

    def host(rows: np.ndarray) -> Batch:
        stretch = len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all()
        part = slice(rows[0], rows[-1] + 1) if stretch else rows
        block = x[part].astype(x_dtype, copy=False)
        return Batch(
            x=block if unit == 1.0 else block * x_dtype.type(unit),
            y=y[part],
            weight=weight[part],
            offset=np.zeros((len(rows), 1), x_dtype),
            row=rows,
        )

    return Source(
        columns=columns,
        class_names=class_names,
        splits=splits or {"train": range(x.shape[0])},
        read=read,
        labels=lambda rows: y[rows],
        x_dtype=x_dtype,
        place=place,
        extras=extras or {},
        host=host,
        weight_exponent=weight_exponent,
    )


def _plain(x: np.ndarray) -> np.ndarray:
    """X as an array of numbers, without a copy; booleans as bytes 0 and 1. InputError for other kinds."""
    if np.ma.is_masked(x):
        raise InputError("x: expected a value everywhere. Received: a masked array.")
    x = np.asarray(x)
    if x.dtype.kind == "b":
        return x.view(np.uint8)
    # What has no kind of its own is bfloat16 and its like, when it can be read as a number.
    if x.dtype.kind not in "fiu" and not (x.dtype.kind == "V" and np.can_cast(x.dtype, np.float64)):
        remedy = "; bfloat16 has no name in a file, save x.astype(np.float32)" if x.dtype == "V2" else ""
        raise InputError(f"x: expected real numbers. Received: dtype {x.dtype}{remedy}.")
    return x


def _rounded(x: np.ndarray, place: Callable[[int], str], columns: tuple[str, ...]) -> np.ndarray:
    """Long doubles [n, p] as float64; InputError where one is too large or too small for it."""
    with np.errstate(over="ignore", under="ignore"):
        rounded = x.astype(np.float64)
    lost = (np.isinf(rounded) & np.isfinite(x)) | ((rounded == 0) & (x != 0))
    if lost.any():
        i, j = np.argwhere(lost)[0]
        raise InputError(
            f"x: expected numbers that float64 holds. Received: {x[i, j]!s} in {place(i)}, column "
            f"{names.told_apart(columns)[j]!r}."
        )
    return rounded


def _check_whole(x: np.ndarray, place: Callable[[int], str], columns: tuple[str, ...]) -> None:
    """InputError where float64 would round a whole number: of 2^55 and 2^55 + 1 it would make one."""
    if max(int(x.max()), -int(x.min())) <= 2**53:
        return
    block = max(1, 2**20 // x.shape[1])
    for start in range(0, len(x), block):
        part = x[start : start + block]
        # Compared as Python integers: NumPy would compare them as float64, rounded.
        lost = part.astype(np.float64).astype(object) != part.astype(object)
        if lost.any():
            i, j = np.argwhere(lost)[0]
            raise InputError(
                f"x: expected whole numbers that float64 holds, as it does all up to 2^53. Received: "
                f"{part[i, j]} in {place(start + i)}, column {names.told_apart(columns)[j]!r}. Subtract what "
                "the column's numbers have in common."
            )


def _single(weight: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights as float32, divided by a power of two where the largest is far from one, and its exponent.

    A common factor of all weights changes no model.
    """
    weight = weight.astype(np.float64)
    largest = np.abs(weight).max(initial=0.0)
    exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) and largest > 0 else 0
    exponent = exponent if abs(exponent) > 60 else 0
    return np.ldexp(weight, -exponent).astype(np.float32), exponent


def no_offset(rows: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """The offset of rows that have none, [B, 1]."""
    import tensorflow as tf

    return tf.zeros([tf.shape(rows)[0], 1], dtype)


def with_offset(source: Source, name: str, num_outputs: int) -> Source:
    """The same rows with one of the source's extras added to the logits.

    Args:
        source: the rows.
        name: the extra, [num_rows] for a sigmoid or [num_rows, C] for a softmax, with a column for each
            class in the order in which they came; finite.
        num_outputs: m, 1 or C.

    Raises:
        InputError: no such extra, another shape, or a value that is not a finite number.
    """
    import tensorflow as tf

    if name not in source.extras:
        raise InputError(
            f"data.offset: expected one of the source's further columns "
            f"({describe(tuple(source.extras)) or 'it has none'}). Received: {name!r}."
        )
    values = source.extras[name]
    if values.dtype.kind not in "fiub":
        raise InputError(f"data.offset: expected real numbers. Received: dtype {values.dtype} of {name!r}.")
    given = 1 if num_outputs == 1 else len(source.declared or source.class_names)
    if values.shape != (len(values), given) and not (values.ndim == 1 and given == 1):
        expected = "one value a row" if given == 1 else f"{given} values a row, one a class"
        raise InputError(f"data.offset: expected {expected}. Received: shape {values.shape} of {name!r}.")
    values = values.reshape(len(values), given)
    if given > 1 and source.positions:
        without = [
            name for name, place in zip(source.class_names, source.positions, strict=True) if place < 0
        ]
        if without:
            raise InputError(
                f"data.offset: expected a value for class {without[0]!r}. Received: none of {name!r}."
            )
        values = values[:, source.positions]
    with np.errstate(over="ignore"):
        rounded = values.astype(source.x_dtype)
    gaps = np.argwhere(~np.isfinite(rounded))
    if gaps.size:
        row, output = gaps[0]
        raise InputError(
            f"data.offset: expected a finite number in each row, as {source.x_dtype} holds it. Received: "
            f"{values[row, output]} in {source.place(row)}."
        )
    values = rounded
    with tf.device("CPU:0"):
        offsets = tf.convert_to_tensor(values)

    def read(rows: tf.Tensor) -> Batch:
        return source.read(rows)._replace(offset=tf.gather(offsets, rows))

    def host(rows: np.ndarray) -> Batch:
        return source.host(rows)._replace(offset=values[rows])

    return dataclasses.replace(source, read=read, offset_columns=num_outputs, host=source.host and host)


def default_columns(num_features: int) -> tuple[str, ...]:
    """'x0', 'x1', ..., for features that came without names."""
    return tuple(f"x{j}" for j in range(num_features))
