"""Raw columns -> logits in TensorFlow, by a schema: what `kinds.py` and `encoding.py` do on the host.

All columns of a kind go through the same few operations: a graph with a few for each of a thousand columns
takes minutes to save. Features are never laid out, the kernel's rows are added up. All is standard TensorFlow
and in float64, so that a SavedModel of it needs nothing else.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from tf_logreg.tables import kinds, words
from tf_logreg.tables.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

GOLDEN_ROWS = 10
_UNSEEN = -2  # of a level in no vocabulary
_WHOLE = 2**53  # up to here float64 holds every whole number
_MICROSECONDS_A_DAY = 86_400 * 10**6


class Columns(NamedTuple):
    """The used columns of B rows.

    Attributes:
        numbers: [B, q] float64, NaN where missing: of the columns of `_numbers`.
        words: [B, w] string, '' where missing: of the columns of `_words`.
    """

    numbers: tf.Tensor
    words: tf.Tensor


def input_names(schema: Schema) -> dict[str, str]:
    """The name of the input of each used column.

    It is the column's name, as far as TensorFlow allows: what is no ASCII letter or digit becomes '_', and
    'arg_' is put before a name that does not begin with a letter, or that Python reserves. If two columns
    have the same name then, but for case, the first whose name is unchanged keeps it, the others end with
    '_2', '_3'.

    TensorFlow changes the names of a call in Python likewise, so that 'hours-per-week' may be given there
    as it is; but it keeps letters other than ASCII's and knows of no endings. Servers change nothing.
    """
    names = [column.name for column in schema.used]
    first = {name.lower(): name for name in reversed(names) if _allowed(name) == name}
    found, taken = {name: name for name in first.values()}, set(first)
    for name in names:
        if name not in found:
            allowed = _allowed(name)
            endings = itertools.chain([""], (f"_{number}" for number in itertools.count(2)))
            found[name] = next(allowed + end for end in endings if (allowed + end).lower() not in taken)
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


def vocabulary(schema: Schema) -> tf.lookup.StaticHashTable:
    """Levels of all columns and crosses -> their features, -1 for none; a module has to track it.

    The key of a level is the number of its column or cross, `words.JOINT` and the level.
    """
    places = {"": -1}  # TensorFlow has no empty tables
    for at, start, kind in _pieces(schema):
        if isinstance(kind, kinds.Categorical):
            own = kinds.without(np.arange(len(kind.levels)), kind.reference)
            # A cross may have a pair twice, if a word has the joint in it: the last counts, as on the host.
            places |= {
                f"{at}{words.JOINT}{level}": _moved(place, start)
                for level, place in zip(kind.levels, own.tolist(), strict=True)
            }
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(places), tf.string), tf.constant(list(places.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, _UNSEEN)


def of_columns(schema: Schema, inputs: Mapping[str, tf.Tensor]) -> Columns:
    """Columns from inputs as `specs` has them.

    Raises:
        tf.errors.InvalidArgumentError: when it runs, for inputs of different lengths.
    """
    names, given = input_names(schema), _numbers(schema)
    size = tf.size(next(iter(inputs.values())))
    numbers = _stacked([inputs[names[column.name]] for column in given], size, tf.float64)
    strings = [inputs[names[column.name]] for column in _words(schema) if not _is_number(column)]
    text = _stacked(strings, size, tf.string)
    tf.debugging.assert_equal(tf.shape(numbers)[0], tf.shape(text)[0], "Expected columns of one length.")
    numbers = tf.where(tf.math.is_finite(numbers), numbers, np.nan)
    as_words = [at for at, column in enumerate(given) if column in _words(schema)]
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
    shapes = [[tf.size(serialized), len(columns)] for columns in (_numbers(schema), _words(schema))]
    numbers, text = tf.fill(shapes[0], tf.constant(np.nan, tf.float64)), tf.fill(shapes[1], "")
    for dtype in (tf.int64, tf.float32, tf.string):
        columns = [column for column in schema.used if example_type(column) == dtype]
        if not columns:
            continue
        values = tf.concat([parsed[column.name].values for column in columns], axis=0)
        place = tf.concat([parsed[column.name].indices for column in columns], axis=0)
        counts = [tf.size(parsed[column.name].values) for column in columns]
        tf.debugging.assert_less(place[:, 1], tf.constant(1, tf.int64), "Expected one value a column.")
        which = tf.repeat(tf.range(len(columns)), tf.stack(counts))
        if dtype != tf.string:
            known = tf.cast(values, tf.float64)
            known = tf.where(tf.math.is_finite(known), known, np.nan)
            numbers = _scattered(numbers, known, place[:, 0], which, columns, _numbers(schema))
            is_boolean = tf.gather([column.type == "boolean" for column in columns], which)
            values = tf.where(tf.math.is_nan(known), "", _text(values, is_boolean))
        text = _scattered(text, values, place[:, 0], which, columns, _words(schema))
    return Columns(numbers, text)


def example_type(column: Column) -> tf.DType:
    """What a tf.Example holds of a column: int64 of whole numbers, float32 of others and dates, or string."""
    if not _is_number(column):
        return tf.string
    return tf.int64 if column.type in ("integer", "boolean") else tf.float32


def logits(
    schema: Schema,
    table: tf.lookup.StaticHashTable,
    columns: Columns,
    kernel: tf.Tensor,
    bias: tf.Tensor,
) -> tf.Tensor:
    """Logits [B, m] float64.

    Args:
        table: the schema's `vocabulary`.
        kernel: [p, m] float64, a row a feature. bias: [m].
    """
    size = tf.shape(columns.numbers, tf.int64)[0]
    total = tf.broadcast_to(bias, [size, kernel.shape[1]])
    places = [_levels(schema, table, columns.words), *_hashes(schema, columns.words)]
    if buckets := _of_kind(schema, kinds.Bucketized):
        places.append(_buckets(buckets, _chosen(schema, buckets, columns.numbers)))
    if numbers := _of_kind(schema, kinds.Numeric, kinds.Date):
        x, missing = _features(numbers, _chosen(schema, numbers, columns.numbers))
        starts = np.array([start for _, start, _ in numbers])
        total += x @ tf.gather(kernel, starts)
        has_indicator = [kind.has_indicator for _, _, kind in numbers]
        places.append(tf.where(missing & has_indicator, starts + 1, -1))
    places = tf.concat(places, axis=1)
    known = tf.where(places >= 0)
    hits = [tf.stack([known[:, 0], tf.gather_nd(places, known)], axis=1)]
    for at, start, kind in _of_kind(schema, kinds.Text):
        parts = words.tokens_of(_words_of(schema, [(at, start, kind)], columns.words)[:, 0])
        hashes = words.hash_of(parts.values, kind.buckets)
        hits.append(tf.stack([parts.value_rowids(), hashes + start], axis=1))
    # A product by ones: the kernel's rows are added where they are, and a place may come twice.
    hits = tf.concat(hits, axis=0)
    ones = tf.ones(tf.shape(hits)[:1], tf.float64)
    shape = tf.stack([size, tf.constant(kernel.shape[0], tf.int64)])
    return total + tf.sparse.sparse_dense_matmul(tf.SparseTensor(hits, ones, shape), kernel)


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
    if not isinstance(value, int | float):
        return None
    is_word = float(value).is_integer() and abs(value) <= _WHOLE
    return float(value) if is_word or not _as_words(schema, column) else None


def _is_number(column: Column) -> bool:
    """Whether a column comes in as numbers."""
    return column.kind.takes == "numbers" or column.type in ("integer", "number", "date")


def _as_words(schema: Schema, column: Column) -> bool:
    """Whether the words of a column are used."""
    return column.kind.takes == "words" or any(column.name in cross.columns for cross in schema.crosses)


def _numbers(schema: Schema) -> list[Column]:
    """Columns that come in as numbers."""
    return [column for column in schema.used if _is_number(column)]


def _words(schema: Schema) -> list[Column]:
    """Columns whose words are used: first those that come in as words."""
    found = [column for column in schema.used if _as_words(schema, column)]
    return sorted(found, key=_is_number)


def _pieces(schema: Schema) -> list[tuple[int, int, kinds.Kind]]:
    """Number, first feature and kind of each column, then of each cross; without those of no features."""
    found, start = [], 0
    for at, piece in enumerate((*schema.columns, *schema.crosses)):
        count = len(piece.features)
        if count:
            found.append((at, start, piece.kind))
        start += count
    return found


def _of_kind(schema: Schema, *some: type) -> list[tuple[int, int, kinds.Kind]]:
    """The pieces of some kinds."""
    return [piece for piece in _pieces(schema) if isinstance(piece[2], some)]


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


def _levels(schema: Schema, table: tf.lookup.StaticHashTable, text: tf.Tensor) -> tf.Tensor:
    """Features [B, k] int64 of the columns and crosses of levels, -1 for none."""
    pieces = _of_kind(schema, kinds.Categorical)
    if not pieces:
        return tf.zeros([tf.shape(text)[0], 0], tf.int64)
    given = _words_of(schema, pieces, text)
    found = table.lookup(tf.constant([f"{at}{words.JOINT}" for at, _, _ in pieces]) + given)
    for condition, name in ((found == _UNSEEN, "other"), (given == "", "missing")):
        places = [
            _moved(int(kinds.without(np.array([getattr(kind, name)]), kind.reference)[0]), start)
            for _, start, kind in pieces
        ]
        found = tf.where(condition, tf.constant(places, tf.int64), found)
    return found


def _hashes(schema: Schema, text: tf.Tensor) -> list[tf.Tensor]:
    """Features [B, k] int64 of hashed columns and crosses, by the number of their buckets."""
    found = []
    pieces = _of_kind(schema, kinds.Hashed)
    for buckets in sorted({kind.buckets for _, _, kind in pieces}):
        some = [piece for piece in pieces if piece[2].buckets == buckets]
        given = _words_of(schema, some, text)
        places = words.hash_of(given, buckets) + np.array([start for _, start, _ in some])
        found.append(tf.where(given == "", tf.constant(-1, tf.int64), places))
    return found


def _words_of(schema: Schema, pieces: list[tuple[int, int, kinds.Kind]], text: tf.Tensor) -> tf.Tensor:
    """Words [B, k] of columns, and pairs of words of crosses, which are never ''."""
    parts = (*schema.columns, *schema.crosses)
    places = {column.name: place for place, column in enumerate(_words(schema))}
    columns = [parts[at].name for at, _, _ in pieces if at < len(schema.columns)]
    crosses = [parts[at].columns for at, _, _ in pieces if at >= len(schema.columns)]
    found = [tf.gather(text, [places[name] for name in columns], axis=1)] if columns else []
    if crosses:
        both = [tf.gather(text, [places[pair[k]] for pair in crosses], axis=1) for k in (0, 1)]
        found.append(tf.strings.join(both, words.JOINT))
    return tf.concat(found, axis=1)


def _chosen(schema: Schema, pieces: list[tuple[int, int, kinds.Kind]], numbers: tf.Tensor) -> tf.Tensor:
    """The numbers [B, k] of some columns."""
    places = {column.name: place for place, column in enumerate(_numbers(schema))}
    return tf.gather(numbers, [places[schema.columns[at].name] for at, _, _ in pieces], axis=1)


def _buckets(pieces: list[tuple[int, int, kinds.Bucketized]], x: tf.Tensor) -> tf.Tensor:
    """Features [B, k] int64 of numbers [B, k], -1 for none."""
    most = max(len(kind.edges) for _, _, kind in pieces)
    edges = [[*kind.edges, *[np.inf] * (most - len(kind.edges))] for _, _, kind in pieces]
    # NaN and infinity are missing, so that no number reaches the edges that are added.
    edges = tf.constant(edges, tf.float64)
    bucket = tf.searchsorted(edges, tf.transpose(x), side="right", out_type=tf.int64)
    missing = [len(kind.edges) + 1 if kind.has_missing else -1 for _, _, kind in pieces]
    bucket = tf.where(tf.math.is_nan(x), tf.constant(missing, tf.int64), tf.transpose(bucket))
    reference = tf.constant([kind.reference for _, _, kind in pieces], tf.int64)
    start = np.array([start for _, start, _ in pieces])
    without = start + bucket - tf.cast((bucket > reference) & (reference >= 0), tf.int64)
    return tf.where((bucket < 0) | (bucket == reference), tf.constant(-1, tf.int64), without)


def _features(
    pieces: list[tuple[int, int, kinds.Numeric | kinds.Date]], x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Features [B, k] of numbers [B, k], and which were missing."""
    all_kinds = [kind for _, _, kind in pieces]
    x -= np.array([kind.mean if isinstance(kind, kinds.Date) else 0.0 for kind in all_kinds])
    is_log = [isinstance(kind, kinds.Numeric) and kind.is_log for kind in all_kinds]
    if any(is_log):
        x = tf.where(is_log, tf.where(x > -1, tf.math.log1p(x), np.nan), x)
    missing = tf.math.is_nan(x)
    mean = np.array([0.0 if isinstance(kind, kinds.Date) else kind.mean for kind in all_kinds])
    return tf.where(missing, mean, x), missing


def _moved(place: int, start: int) -> int:
    """A place among the features of a column -> among all; -1 stays."""
    return place if place < 0 else place + start
