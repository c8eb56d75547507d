"""The records that every kind of data is brought to: `Batch` (some rows) and `Source` (all of them).

A source knows nothing of splits by fraction, order, batches or devices. It says which rows there are
and reads any of them by index, which is what makes the order of training a pure function of
(seed, epoch, position) and a resumed run exact.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_logreg.data import memory
from tf_logreg.errors import InputError


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
        x: [n, p], any real dtype; float64 and wide integers are read as float64, the rest float32.
        y: [n] int32, 0..C-1.
        class_names: C names.
        columns: p names; 'x0', 'x1', ... when empty.
        weight: [n] or None for ones.
        splits: named ranges of rows; all rows are 'train' when None.
        unit: what one step of x is worth (1/255 for images kept as uint8).
        place: where a row lies, for messages.
        extras: further values by name, [n] each.

    Raises:
        InputError: there are no rows or no columns, or lengths disagree.
    """
    if x.ndim != 2 or 0 in x.shape:
        raise InputError(f"x: expected rows and columns [n, p], n and p >= 1. Received: shape {x.shape}.")
    for name, array, size in (("y", y, x.shape[0]), ("weight", weight, x.shape[0])):
        if array is not None and array.shape != (size,):
            raise InputError(
                f"{name}: expected {size} values, one a row of x. Received: shape {array.shape}."
            )
    if weight is not None and weight.dtype.kind not in "fiub":
        raise InputError(f"weight: expected real numbers. Received: dtype {weight.dtype}.")
    if columns and len(columns) != x.shape[1]:
        raise InputError(
            f"feature names: expected {x.shape[1]}, one a column of x. Received: {len(columns)}."
        )

    # float32 holds every integer up to 2^24, so narrow integers lose nothing in it.
    wide = x.dtype == np.float64 or (x.dtype.kind in "iu" and x.dtype.itemsize > 2)
    x_dtype = np.dtype(np.float64 if wide else np.float32)
    weight = np.ones(len(y), np.float32) if weight is None else weight.astype(np.float32)

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
        columns=columns or default_columns(x.shape[1]),
        class_names=class_names,
        splits=splits or {"train": range(x.shape[0])},
        read=read,
        labels=lambda rows: y[rows],
        x_dtype=x_dtype,
        place=place,
        extras=extras or {},
        host=host,
    )


def no_offset(rows: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """The offset of rows that have none, [B, 1]."""
    return tf.zeros([tf.shape(rows)[0], 1], dtype)


def with_offset(source: Source, name: str, num_outputs: int) -> Source:
    """The same rows with one of the source's extras added to the logits.

    Args:
        source: the rows.
        name: the extra, [num_rows] for a sigmoid or [num_rows, C] for a softmax; finite.
        num_outputs: m, 1 or C.

    Raises:
        InputError: no such extra, another shape, or a value that is not a finite number.
    """
    if name not in source.extras:
        raise InputError(
            f"data.offset: expected one of the source's further columns "
            f"({describe(tuple(source.extras)) or 'it has none'}). Received: {name!r}."
        )
    values = source.extras[name]
    if values.dtype.kind not in "fiub":
        raise InputError(f"data.offset: expected real numbers. Received: dtype {values.dtype} of {name!r}.")
    if values.shape != (len(values), num_outputs) and not (values.ndim == 1 and num_outputs == 1):
        expected = "one value a row" if num_outputs == 1 else f"{num_outputs} values a row, one a class"
        raise InputError(f"data.offset: expected {expected}. Received: shape {values.shape} of {name!r}.")
    values = values.reshape(len(values), num_outputs).astype(source.x_dtype)
    gaps = np.argwhere(~np.isfinite(values))
    if gaps.size:
        row, output = gaps[0]
        raise InputError(
            f"data.offset: expected a finite number in each row. Received: {values[row, output]} in "
            f"{source.place(row)}."
        )
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


def with_classes(source: Source, class_names: tuple[str, ...]) -> Source:
    """The same rows with labels that are indices into `class_names`, which may hold more classes.

    Raises:
        InputError: the source has a class that is not among them.
    """
    if source.class_names == class_names:
        return source
    unknown = tuple(name for name in source.class_names if name not in class_names)
    if unknown:
        raise InputError(f"y: expected the classes {describe(class_names)}. Received: {describe(unknown)}.")
    index = np.array([class_names.index(name) for name in source.class_names], np.int32)

    def read(rows: tf.Tensor) -> Batch:
        batch = source.read(rows)
        return batch._replace(y=tf.gather(index, batch.y))

    def host(rows: np.ndarray) -> Batch:
        batch = source.host(rows)
        return batch._replace(y=index[batch.y])

    return dataclasses.replace(
        source,
        class_names=class_names,
        read=read,
        labels=lambda rows: index[source.labels(rows)],
        host=source.host and host,
    )


def with_positive_class(source: Source, name: str) -> Source:
    """The same binary source with class `name` as class 1, whose probability the sigmoid gives.

    Raises:
        InputError: the source is not binary or has no such class.
    """
    if name not in source.class_names or len(source.class_names) != 2:
        raise InputError(
            f"data.positive_class: expected one of the two classes of a binary problem. Received: "
            f"{name!r}; the classes are {describe(source.class_names)}."
        )
    return source if source.class_names[1] == name else with_classes(source, source.class_names[::-1])


def with_class_weight(source: Source, class_weight: np.ndarray) -> Source:
    """The same rows with weights multiplied by their class's, [C]."""

    def read(rows: tf.Tensor) -> Batch:
        batch = source.read(rows)
        return batch._replace(weight=batch.weight * tf.gather(tf.cast(class_weight, tf.float32), batch.y))

    return dataclasses.replace(source, read=read, host=None)


def describe(names: tuple[str, ...], most: int = 20) -> str:
    """Names for a message: quoted, and cut after the first `most`."""
    shown = ", ".join(repr(name) for name in names[:most])
    return shown + (f", ... ({len(names)} in all)" if len(names) > most else "")
