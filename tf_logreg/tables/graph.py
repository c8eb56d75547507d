"""Raw columns -> logits in TensorFlow, by a schema: what `kinds.py` and `encoding.py` do on the host.

Features are never laid out: a level, bucket or hash is a gathered row of the kernel, a text the sum of such
rows. All is standard TensorFlow and in float64, so that a SavedModel of it needs nothing else.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tf_logreg.tables import kinds, words
from tf_logreg.tables.schema import Column, Cross, Schema

if TYPE_CHECKING:
    import pyarrow as pa

GOLDEN_ROWS = 10
_WHOLE = 2**53  # up to here float64 holds every whole number
_MICROSECONDS_A_DAY = 86_400 * 10**6


class Raw(NamedTuple):
    """A column of B rows, in the forms that are used.

    Attributes:
        numbers: [B] float64, NaN where missing.
        words: [B] string, '' where missing.
    """

    numbers: tf.Tensor | None = None
    words: tf.Tensor | None = None


def input_names(schema: Schema) -> dict[str, str]:
    """The name of the input of each used column.

    It is the column's name, as far as TensorFlow allows: what is no ASCII letter or digit becomes '_', and
    'arg_' is put before a name that does not begin with a letter, or that Python reserves. If two columns
    have the same name then, but for case, the one whose name is unchanged keeps it; the others end with
    '_2', '_3'.

    TensorFlow changes the names of a call in Python likewise, so that 'hours-per-week' may be given there
    as it is; but it keeps letters other than ASCII's and knows of no endings. Servers change nothing.
    """
    names = [column.name for column in schema.used]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names, key=lambda name: _allowed(name) != name):
        allowed, ending = _allowed(name), ""
        while (allowed + ending).lower() in taken:
            ending = f"_{int(ending[1:] or 1) + 1}"
        found[name] = allowed + ending
        taken.add(found[name].lower())
    return {name: found[name] for name in names}


def _allowed(name: str) -> str:
    """A name that TensorFlow allows for an input."""
    found = re.sub("[^A-Za-z0-9]", "_", name)
    plain = found[:1].isalpha() and not keyword.iskeyword(found) and found != "self"
    return found if plain else f"arg_{found}"


def specs(schema: Schema) -> dict[str, tf.TensorSpec]:
    """Inputs [None] by their names: float64 for numbers, dates and whole numbers, string for other words."""
    return {
        name: tf.TensorSpec([None], tf.float64 if _is_number(schema.column(column)) else tf.string, name=name)
        for column, name in input_names(schema).items()
    }


def vocabularies(schema: Schema) -> dict[str, tf.lookup.StaticHashTable]:
    """Tables of levels -> their places, by the number of the column or cross; a module has to track them."""
    return {
        str(at): _vocabulary(piece.kind)
        for at, piece in enumerate((*schema.columns, *schema.crosses))
        if isinstance(piece.kind, kinds.Categorical)
    }


def of_columns(schema: Schema, inputs: Mapping[str, tf.Tensor]) -> dict[str, Raw]:
    """Columns by name, from inputs as `specs` has them.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for inputs of different lengths.
    """
    names = input_names(schema)
    sizes = tf.stack([tf.size(inputs[name]) for name in names.values()])
    tf.debugging.assert_equal(sizes, sizes[0], "Expected columns of the same length.")
    return {column.name: _forms(schema, column, inputs[names[column.name]]) for column in schema.used}


def of_examples(schema: Schema, serialized: tf.Tensor) -> dict[str, Raw]:
    """Columns by name, from serialized tf.Examples [B] with a feature a column, by the name in the table.

    A key without a value, or no key, is a missing value.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for more than one value, or a list of another type than
            `example_type` names.
    """
    features = {column.name: tf.io.VarLenFeature(example_type(column)) for column in schema.used}
    parsed = tf.io.parse_example(serialized, features)
    found = {}
    for column in schema.used:
        given = parsed[column.name]
        tf.debugging.assert_less(
            given.indices[:, 1], tf.constant(1, tf.int64), f"Expected one value of {column.name!r} a row."
        )
        forms = _forms(schema, column, given.values)
        found[column.name] = Raw(
            *(_filled(form, given.indices[:, :1], tf.size(serialized)) for form in forms),
        )
    return found


def example_type(column: Column) -> tf.DType:
    """What a tf.Example holds of a column: int64 of whole numbers, float32 of others and dates, or string."""
    if not _is_number(column):
        return tf.string
    return tf.int64 if column.type in ("integer", "boolean") else tf.float32


def logits(
    schema: Schema,
    tables: Mapping[str, tf.lookup.StaticHashTable],
    raw: Mapping[str, Raw],
    kernel: tf.Tensor,
    bias: tf.Tensor,
) -> tf.Tensor:
    """Logits [B, m] float64.

    Args:
        tables: the schema's `vocabularies`.
        raw: by name, all used columns.
        kernel: [p, m] float64, a row a feature. bias: [m].
    """
    size = tf.size(next(form for form in next(iter(raw.values())) if form is not None))
    total = tf.broadcast_to(bias, [size, kernel.shape[1]])
    offset = 0
    for at, piece in enumerate((*schema.columns, *schema.crosses)):
        table = tables.get(str(at))
        if not piece.features:
            continue
        if isinstance(piece, Cross):
            pairs = tf.strings.join([raw[name].words for name in piece.columns], words.JOINT)
            total += _rows(kernel, offset, _places(piece.kind, pairs, table))
        elif isinstance(piece.kind, kinds.Text):
            total += _of_texts(piece.kind, raw[piece.name].words, kernel, offset)
        elif isinstance(piece.kind, kinds.Numeric | kinds.Date):
            total += _of_numbers(piece.kind, raw[piece.name].numbers, kernel, offset)
        elif isinstance(piece.kind, kinds.Bucketized):
            total += _rows(kernel, offset, _buckets(piece.kind, raw[piece.name].numbers))
        else:
            total += _rows(kernel, offset, _known_places(piece.kind, raw[piece.name].words, table))
        offset += len(piece.features)
    return total


def golden(schema: Schema) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """A few training rows, as a frame for the host and as inputs of `specs`.

    Whole numbers beyond 2^53 are left out where they stand for words: an input of float64 cannot hold them.
    """
    import pyarrow as pa

    count = min([GOLDEN_ROWS, *(len(column.examples) for column in schema.used)])
    names, columns, inputs = input_names(schema), {}, {}
    for column in schema.used:
        values = [_golden(schema, column, value) for value in column.examples[:count]]
        name = names[column.name]
        if not _is_number(column):
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
    if not _is_number(column):
        return value if isinstance(value, str) else None
    if column.type == "boolean" and isinstance(value, str):
        value = {"true": 1.0, "false": 0.0}.get(value)
    beyond = not isinstance(value, int | float) or (_as_words(schema, column) and abs(value) > _WHOLE)
    return None if beyond else float(value)


def _is_number(column: Column) -> bool:
    """Whether a column comes in as numbers."""
    return column.kind.takes == "numbers" or column.type in ("integer", "number", "date")


def _as_words(schema: Schema, column: Column) -> bool:
    """Whether the words of a column are used."""
    return column.kind.takes == "words" or any(column.name in cross.columns for cross in schema.crosses)


def _forms(schema: Schema, column: Column, values: tf.Tensor) -> Raw:
    """The forms of a column from values [B]: string, float64, or float32 and int64 of tf.Examples."""
    if values.dtype == tf.string:
        return Raw(words=values)
    text = _words_of(values, column) if _as_words(schema, column) else None
    if column.kind.takes != "numbers":
        return Raw(words=text)
    numbers = tf.cast(values, tf.float64)
    return Raw(tf.where(tf.math.is_finite(numbers), numbers, np.nan), text)


def _words_of(values: tf.Tensor, column: Column) -> tf.Tensor:
    """Numbers as words [B], '' for NaN. One that is not whole becomes '0.5', which training never had."""
    if column.type == "boolean":
        text = tf.where(values != 0, "true", "false")
    elif values.dtype == tf.int64:
        return tf.strings.as_string(values)
    else:
        whole = (values == tf.floor(values)) & (tf.abs(values) <= _WHOLE)
        text = tf.where(
            whole,
            tf.strings.as_string(tf.cast(tf.where(whole, values, 0), tf.int64)),
            tf.strings.as_string(values, shortest=True),
        )
    return tf.where(tf.math.is_finite(tf.cast(values, tf.float64)), text, "")


def _filled(form: tf.Tensor | None, rows: tf.Tensor, size: tf.Tensor) -> tf.Tensor | None:
    """One form of a column [B] from its known values and their rows [known, 1]; others are missing."""
    if form is None:
        return None
    missing = tf.constant("") if form.dtype == tf.string else tf.constant(np.nan, form.dtype)
    return tf.tensor_scatter_nd_update(tf.fill([size], missing), rows, form)


def _vocabulary(kind: kinds.Categorical) -> tf.lookup.StaticHashTable:
    """Levels -> places of their features, -1 for none."""
    # A cross may have the same pair twice, where a word holds the joint: the last counts, as on the host.
    places = dict(zip(kind.levels, kinds.without(np.arange(len(kind.levels)), kind.reference), strict=True))
    other = _without(kind.other, kind.reference)
    places = places or {"": other}  # a table of TensorFlow has a key; '' is a missing value, never looked up
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(places), tf.string), tf.constant(list(places.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, other)


def _without(place: int, reference: int) -> int:
    """`kinds.without` of one place."""
    return int(kinds.without(np.array([place]), reference)[0])


def _places(
    kind: kinds.Categorical | kinds.Hashed, text: tf.Tensor, table: tf.lookup.StaticHashTable | None
) -> tf.Tensor:
    """The feature of each word, int64 [B], -1 for none."""
    return words.hash_of(text, kind.buckets) if isinstance(kind, kinds.Hashed) else table.lookup(text)


def _known_places(
    kind: kinds.Categorical | kinds.Hashed, text: tf.Tensor, table: tf.lookup.StaticHashTable | None
) -> tf.Tensor:
    """As `_places`, and of missing words."""
    missing = -1 if isinstance(kind, kinds.Hashed) else _without(kind.missing, kind.reference)
    return tf.where(text == "", tf.constant(missing, tf.int64), _places(kind, text, table))


def _buckets(kind: kinds.Bucketized, x: tf.Tensor) -> tf.Tensor:
    """The bucket of each number, int64 [B], -1 for none."""
    bucket = tf.searchsorted(tf.constant(kind.edges, tf.float64), x, side="right", out_type=tf.int64)
    missing = len(kind.edges) + 1 if kind.has_missing else -1
    bucket = tf.where(tf.math.is_nan(x), tf.constant(missing, tf.int64), bucket)
    if kind.reference < 0:
        return bucket
    rest = bucket - tf.cast(bucket > kind.reference, tf.int64)
    return tf.where(bucket == kind.reference, tf.constant(-1, tf.int64), rest)


def _of_numbers(kind: kinds.Numeric | kinds.Date, x: tf.Tensor, kernel: tf.Tensor, offset: int) -> tf.Tensor:
    """Logits [B, m] of a column of numbers [B]."""
    if isinstance(kind, kinds.Date):
        x, mean = x - kind.mean, 0.0
    else:
        x, mean = tf.where(x > -1, tf.math.log1p(x), np.nan) if kind.is_log else x, kind.mean
    missing = tf.math.is_nan(x)
    found = tf.where(missing, tf.constant(mean, tf.float64), x)[:, None] * kernel[offset]
    if kind.has_indicator:
        found += tf.cast(missing, tf.float64)[:, None] * kernel[offset + 1]
    return found


def _rows(kernel: tf.Tensor, offset: int, places: tf.Tensor) -> tf.Tensor:
    """The kernel's rows [B, m] at places [B] from `offset`, zeros for -1."""
    known = places >= 0
    # What is not known is kept from the gather, as devices differ in what it does with it.
    return tf.where(known[:, None], tf.gather(kernel, tf.where(known, places, 0) + offset), 0.0)


def _of_texts(kind: kinds.Text, texts: tf.Tensor, kernel: tf.Tensor, offset: int) -> tf.Tensor:
    """Logits [B, m] of texts [B]: the sum of the rows of their words."""
    parts = words.tokens_of(texts)
    rows = tf.gather(kernel, words.hash_of(parts.values, kind.buckets) + offset)
    return tf.math.unsorted_segment_sum(rows, parts.value_rowids(), tf.size(texts))
