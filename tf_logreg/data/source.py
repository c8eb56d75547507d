"""The records that represent every kind of data: `Batch` (some rows) and `Source` (all of them).

A source does not depend on splits by fraction, order, batches or devices. It lists its rows and reads
any of them by index. So the order of training is a pure function of (seed, epoch, position), and a
resumed run is exact.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tf_logreg import names
from tf_logreg.errors import InputError
from tf_logreg.model.model import default_names as default_names  # of features, found here
from tf_logreg.names import describe

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_logreg.tables.schema import Schema


class Batch(NamedTuple):
    """B rows. Padding rows have row = -1, weight = 0 and the values of some real row."""

    # [B, p] float32 or float64 from a source, --dtype after the pipeline; of a sparse source `csr.csr_array`
    x: tf.Tensor
    y: tf.Tensor  # [B] int32 class index, 0..C-1
    weight: tf.Tensor  # [B] float32, the user's own row weights, >= 0
    offset: tf.Tensor  # [B, m] in the dtype of x, added to the logits; [B, 1] zeros without any
    row: tf.Tensor  # [B] int64, the row's id in its source


class Levels(NamedTuple):
    """The levels of a column, and which of them each row of the source has, int32 [num_rows]; -1 for none."""

    names: tuple[str, ...]
    codes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows with a label, readable by index.

    Attributes:
        feature_names: p of them.
        class_names: the C class names; a label y stands for class_names[y].
        splits: the source's own named splits, each a range of row ids; a source without any has
            one split, 'train'.
        read: a TensorFlow function, row ids int64 [B] -> Batch in raw units.
        labels: row ids int64 [n] -> int32 [n]; reads only the labels, on the host.
        host: like `read` in NumPy, for rows in memory; returns views where possible. None if the rows are
            not in memory.
        x_dtype: float32 or float64, the dtype of x from `read`.
        place: row id -> its location, for messages ('row 17 of the file x.npz').
        extras: further values of each row by name, [num_rows, ...] on the host: groups, times, offsets.
        offset_columns: m of the offsets from `read`.
        declared: the original class names, if `class_names` are not all of them in that order.
        positions: position of each of `class_names` in `declared`, -1 for a name that is not in it.
        weight_exponent: the user's weights are 2^weight_exponent times those from `read`.
        nonzeros: of sparse rows how many values each has, on average; None for dense rows.
        schema: of a table, how its columns became features; None for other rows.
        row_shape: shape of a row before it was flattened; () for rows that came flat.
        levels: by the names of evaluate.slices which level each row has.
    """

    feature_names: tuple[str, ...]
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
    nonzeros: float | None = None
    schema: Schema | None = None
    row_shape: tuple[int, ...] = ()
    levels: Mapping[str, Levels] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def traced_read(self) -> Callable:
        """`read` as a TensorFlow function of any number of rows, traced once for all passes."""
        import tensorflow as tf

        return tf.function(self.read, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)

    @property
    def sparse(self) -> bool:
        """Whether rows are `csr.csr_array`s."""
        return self.nonzeros is not None

    @property
    def numbers_a_row(self) -> int:
        """How many numbers of a row are read: p, or those that are not zero, on average; at least 1."""
        return len(self.feature_names) if self.nonzeros is None else max(1, round(self.nonzeros))

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Declared classes that are left out because they have no rows."""
        kept = set(self.positions)
        return tuple(name for k, name in enumerate(names.told_apart(self.declared)) if k not in kept)


def no_offset(rows: tf.Tensor, dtype: np.dtype) -> tf.Tensor:
    """Zero offsets for rows without any, [B, 1]."""
    import tensorflow as tf

    return tf.zeros([tf.shape(rows)[0], 1], dtype)


def with_offset(source: Source, name: str, num_outputs: int) -> Source:
    """The same rows with one of the source's extras added to the logits.

    Args:
        source: the rows.
        name: the extra, [num_rows] for a sigmoid or [num_rows, C] for a softmax, with one column per
            class in the original order; finite.
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

    @functools.cache
    def tensor() -> tf.Tensor:
        import tensorflow as tf

        with tf.init_scope(), tf.device("CPU:0"):
            return tf.convert_to_tensor(rounded)

    def read(rows: tf.Tensor) -> Batch:
        import tensorflow as tf

        return source.read(rows)._replace(offset=tf.gather(tensor(), rows))

    def host(rows: np.ndarray) -> Batch:
        return source.host(rows)._replace(offset=rounded[rows])

    return dataclasses.replace(source, read=read, offset_columns=num_outputs, host=source.host and host)
