"""Rows as a fit sees them, on the host: training columns, labels, weights, offsets."""

import numpy as np
import tensorflow as tf

from tf_logreg.data import pipeline
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices import memory, workers


def held_rows(
    strategy: tf.distribute.Strategy, source: Source, rows: np.ndarray, columns: Affine, dtype: tf.DType
) -> tuple[list[np.ndarray], list[tuple[np.ndarray, ...]]]:
    """What each replica of this process holds: the positions of its shards' rows, and those rows read.

    Args:
        strategy: where the replicas are.
        source: where rows are read.
        rows: int64 [n] row ids.
        columns: how training columns come from raw ones.
        dtype: of x.

    Returns:
        A list over replicas of positions in `rows`, and one of (x, y, weight, offset) as arrays.
    """
    owners = pipeline.owner(np.arange(len(rows)), strategy.num_replicas_in_sync)
    positions = [np.flatnonzero(owners == replica) for replica in workers.of(strategy).replicas]
    return positions, [read_rows(source, rows[mine], columns, dtype) for mine in positions]


def read_rows(source: Source, rows: np.ndarray, columns: Affine, dtype: tf.DType) -> tuple[np.ndarray, ...]:
    """Training columns, labels, weights and offsets of some rows, on the host; X exists once."""
    x = memory.empty((len(rows), len(source.columns)), dtype.as_numpy_dtype)
    y, weight = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
    offset = np.empty((len(rows), source.offset_columns), source.x_dtype)
    shift, scale = columns.shift.astype(source.x_dtype), columns.scale.astype(source.x_dtype)
    start = 0
    for batch in pipeline.host_batches(source, rows):
        part = slice(start, start + len(batch.y))
        # In the source's own precision, then rounded once; both steps while the block is in cache.
        if x.dtype == source.x_dtype:
            np.multiply(np.subtract(batch.x, shift, out=x[part]), scale, out=x[part])
        else:
            x[part] = (batch.x - shift) * scale
        y[part], weight[part], offset[part] = batch.y, batch.weight, batch.offset
        start = part.stop
    return x, y, weight, offset
