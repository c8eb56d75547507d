"""Raw columns -> logits in TensorFlow, by a schema: what `kinds.py` and `encoding.py` do on the host.

All columns of a kind go through the same few operations: a graph with a few for each of a thousand columns
takes minutes to save. Features are never laid out, the kernel's rows are added up. All is standard TensorFlow
and in float64, so that a SavedModel of it needs nothing else.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_logreg.tables import kinds, words
from tf_logreg.tables.graph_inputs import Columns, columns_of_numbers, columns_of_words
from tf_logreg.tables.schema import Schema

_UNSEEN = -2  # of a level in no vocabulary


def vocabulary(schema: Schema) -> tf.lookup.StaticHashTable:
    """Levels of all columns and crosses -> their features, -1 for none; a module has to track it.

    The key of a level is the number of its column or cross, `kinds.JOINT` and the level.
    """
    places = {"": -1}  # TensorFlow has no empty tables
    for at, start, kind in _pieces(schema):
        if isinstance(kind, kinds.Categorical):
            own = kinds.without(np.arange(len(kind.levels)), kind.reference)
            # A cross may have a pair twice, if a word has the joint in it: the last counts, as on the host.
            places |= {
                f"{at}{kinds.JOINT}{level}": _moved(place, start)
                for level, place in zip(kind.levels, own.tolist(), strict=True)
            }
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant(list(places), tf.string), tf.constant(list(places.values()), tf.int64)
    )
    return tf.lookup.StaticHashTable(initializer, _UNSEEN)


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


def _levels(schema: Schema, table: tf.lookup.StaticHashTable, text: tf.Tensor) -> tf.Tensor:
    """Features [B, k] int64 of the columns and crosses of levels, -1 for none."""
    pieces = _of_kind(schema, kinds.Categorical)
    if not pieces:
        return tf.zeros([tf.shape(text)[0], 0], tf.int64)
    given = _words_of(schema, pieces, text)
    found = table.lookup(tf.constant([f"{at}{kinds.JOINT}" for at, _, _ in pieces]) + given)
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
    places = {column.name: place for place, column in enumerate(columns_of_words(schema))}
    columns = [parts[at].name for at, _, _ in pieces if at < len(schema.columns)]
    crosses = [parts[at].columns for at, _, _ in pieces if at >= len(schema.columns)]
    found = [tf.gather(text, [places[name] for name in columns], axis=1)] if columns else []
    if crosses:
        both = [tf.gather(text, [places[pair[k]] for pair in crosses], axis=1) for k in (0, 1)]
        found.append(tf.strings.join(both, kinds.JOINT))
    return tf.concat(found, axis=1)


def _chosen(schema: Schema, pieces: list[tuple[int, int, kinds.Kind]], numbers: tf.Tensor) -> tf.Tensor:
    """The numbers [B, k] of some columns."""
    places = {column.name: place for place, column in enumerate(columns_of_numbers(schema))}
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
