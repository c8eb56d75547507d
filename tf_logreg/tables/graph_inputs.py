"""The inputs of a served model of a table: raw columns by name, or tf.Examples -> numbers and words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tf_logreg.tables import served_names
from tf_logreg.tables.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

GOLDEN_ROWS = 10
_WHOLE = 2**53  # up to here float64 holds every whole number
_MICROSECONDS_A_DAY = 86_400 * 10**6


class Columns(NamedTuple):
    """The used columns of B rows.

    Attributes:
        numbers: [B, q] float64, NaN where missing: of the columns of `columns_of_numbers`.
        words: [B, w] string, '' where missing: of the columns of `columns_of_words`.
    """

    numbers: tf.Tensor
    words: tf.Tensor


def input_names(schema: Schema) -> dict[str, str]:
    """The name of the input of each used column, as `served_names.of` says."""
    return served_names.of(column.name for column in schema.used)


def specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """Inputs [None] by their names: float64 for numbers, dates and whole numbers, string for other words."""
    return {
        name: tf.TensorSpec([None], tf.float64 if schema.column(column).is_number else tf.string, name=name)
        for column, name in input_names(schema).items()
    }


def of_columns(schema: Schema, inputs: Mapping[str, tf.Tensor]) -> Columns:
    """Columns from inputs as `specs` has them.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for inputs of different lengths.
    """
    names, given = input_names(schema), columns_of_numbers(schema)
    size = tf.size(next(iter(inputs.values())))
    numbers = _stacked([inputs[names[column.name]] for column in given], size, tf.float64)
    strings = [inputs[names[column.name]] for column in columns_of_words(schema) if not column.is_number]
    text = _stacked(strings, size, tf.string)
    of_one_length = tf.debugging.assert_equal(
        tf.shape(numbers)[0], tf.shape(text)[0], "Expected columns of one length."
    )
    numbers, text = _after(of_one_length, numbers, text)
    numbers = tf.where(tf.math.is_finite(numbers), numbers, np.nan)
    as_words = [at for at, column in enumerate(given) if column in columns_of_words(schema)]
    if as_words:
        is_boolean = [given[at].type == "boolean" for at in as_words]
        found = tf.gather(numbers, as_words, axis=1)
        text = tf.concat([text, tf.where(tf.math.is_nan(found), "", _text(found, is_boolean))], axis=1)
    return Columns(numbers, text)


def of_examples(schema: Schema, serialized: tf.Tensor) -> Columns:
    """Columns from serialized tf.Examples [B] with a feature a column, by the name in the table.

    A key without a value, or no key, is a missing value.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for more than one value, or a list of another type than
            `example_type` names.
    """
    features = {column.name: tf.io.VarLenFeature(example_type(column)) for column in schema.used}
    parsed = tf.io.parse_example(serialized, features)
    shapes = [
        [tf.size(serialized), len(columns)]
        for columns in (columns_of_numbers(schema), columns_of_words(schema))
    ]
    numbers, text = tf.fill(shapes[0], tf.constant(np.nan, tf.float64)), tf.fill(shapes[1], "")
    for dtype in (tf.int64, tf.float32, tf.string):
        columns = [column for column in schema.used if example_type(column) == dtype]
        if not columns:
            continue
        values = tf.concat([parsed[column.name].values for column in columns], axis=0)
        place = tf.concat([parsed[column.name].indices for column in columns], axis=0)
        counts = [tf.size(parsed[column.name].values) for column in columns]
        one_value = tf.debugging.assert_less(
            place[:, 1], tf.constant(1, tf.int64), "Expected one value a column."
        )
        values, place = _after(one_value, values, place)
        which = tf.repeat(tf.range(len(columns)), tf.stack(counts))
        if dtype != tf.string:
            known = tf.cast(values, tf.float64)
            known = tf.where(tf.math.is_finite(known), known, np.nan)
            numbers = _scattered(numbers, known, place[:, 0], which, columns, columns_of_numbers(schema))
            is_boolean = tf.gather([column.type == "boolean" for column in columns], which)
            values = tf.where(tf.math.is_nan(known), "", _text(values, is_boolean))
        text = _scattered(text, values, place[:, 0], which, columns, columns_of_words(schema))
    return Columns(numbers, text)


def example_type(column: Column) -> tf.DType:
    """What a tf.Example holds of a column: int64 of whole numbers, float32 of others and dates, or string."""
    if not column.is_number:
        return tf.string
    return tf.int64 if column.type in ("integer", "boolean") else tf.float32


def golden(schema: Schema) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """A few training rows, as a frame for the host and as inputs of `specs`.

    Where numbers stand for words, those beyond 2^53 are left out: an input of float64 cannot hold them.
    """
    import pyarrow as pa

    count = min([GOLDEN_ROWS, *(len(column.examples) for column in schema.used)])
    names, columns, inputs = input_names(schema), {}, {}
    for column in schema.used:
        values = [_golden(schema, column, value) for value in column.examples[:count]]
        name = names[column.name]
        if not column.is_number:
            columns[column.name] = pa.array(values, pa.string())
            inputs[name] = np.array([value or "" for value in values], object)
            continue
        inputs[name] = np.array([np.nan if value is None else value for value in values], np.float64)
        columns[column.name] = pa.array(values, pa.float64())
        if column.type == "boolean":
            columns[column.name] = columns[column.name].cast(pa.bool_())
        if column.type == "date":
            micros = [None if value is None else round(value * _MICROSECONDS_A_DAY) for value in values]
            columns[column.name] = pa.array(micros, pa.int64()).cast(pa.timestamp("us"))
    return pa.table(columns), inputs


def _golden(schema: Schema, column: Column, value: float | str | None) -> float | str | None:
    """An example of a column, None where it is missing or of another type."""
    if not column.is_number:
        return value if isinstance(value, str) else None
    if column.type == "boolean" and isinstance(value, str):
        value = {"true": 1.0, "false": 0.0}.get(value)
    if not isinstance(value, int | float):
        return None
    is_word = float(value).is_integer() and abs(value) <= _WHOLE
    return float(value) if is_word or not _as_words(schema, column) else None


def _as_words(schema: Schema, column: Column) -> bool:
    """Whether the words of a column are used."""
    return column.kind.takes == "words" or any(column.name in cross.columns for cross in schema.crosses)


def columns_of_numbers(schema: Schema) -> list[Column]:
    """Columns that come in as numbers."""
    return [column for column in schema.used if column.is_number]


def columns_of_words(schema: Schema) -> list[Column]:
    """Columns whose words are used: first those that come in as words."""
    found = [column for column in schema.used if _as_words(schema, column)]
    return sorted(found, key=lambda column: column.is_number)


def _after(check: tf.Operation | None, *values: tf.Tensor) -> list[tf.Tensor]:
    """Values that wait for a check, which is None outside a graph, where it has passed already.

    A graph runs what does not wait in any order: an operation that stumbles over the same input may be first,
    and what it says is what the caller reads.
    """
    with tf.control_dependencies([check] if check is not None else []):
        return [tf.identity(value) for value in values]


def _stacked(columns: list[tf.Tensor], size: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Columns [B] as [B, k], of none too."""
    return tf.stack(columns, axis=1) if columns else tf.zeros([size, 0], dtype)


def _scattered(
    into: tf.Tensor,
    values: tf.Tensor,
    row: tf.Tensor,
    which: tf.Tensor,
    columns: list[Column],
    targets: list[Column],
) -> tf.Tensor:
    """`into` [B, k], a column a target, with values [known] in rows [known] of the columns that are targets.

    Args:
        which: [known], of `columns`.
    """
    place = tf.gather([targets.index(one) if one in targets else -1 for one in columns], which)
    at = tf.stack([row, tf.cast(place, tf.int64)], axis=1)
    kept = place >= 0
    return tf.tensor_scatter_nd_update(into, tf.boolean_mask(at, kept), tf.boolean_mask(values, kept))


def _text(values: tf.Tensor, is_boolean: list[bool] | tf.Tensor) -> tf.Tensor:
    """Numbers, int64 or float, as words. One that is not whole becomes '0.5', which training never had."""
    if values.dtype == tf.int64:
        text = tf.strings.as_string(values)
    else:
        whole = (values == tf.floor(values)) & (tf.abs(values) <= _WHOLE)
        text = tf.where(
            whole,
            tf.strings.as_string(tf.cast(tf.where(whole, values, 0), tf.int64)),
            tf.strings.as_string(values, shortest=True),
        )
    return tf.where(is_boolean, tf.where(values == 0, "false", "true"), text)
