"""Rows in an order that is a function of (seed, epoch, position) -> batches of a static shape.

Everything happens in blocks: an epoch's row ids are laid out at once, and each block of ids is read,
shifted, scaled and cast by a few vector operations.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_logreg.data.source import Batch, Source
from tf_logreg.data.standardize import Affine

VIRTUAL_SHARDS = 64
_BLOCK_ELEMENTS = 2**21  # features in a block of a sequential pass: 16 MiB in float64


def epoch_order(num_rows: int, seed: int, epoch: int, shards: int = VIRTUAL_SHARDS) -> np.ndarray:
    """The order of one epoch: a permutation of 0..num_rows-1, int64.

    Row i belongs to virtual shard i % shards. Position k of the epoch takes the next row of a shard
    that depends on k alone, so each stretch of positions draws evenly on all shards, and a worker
    that owns some shards knows which positions are its own.
    """
    rounds, rest = divmod(num_rows, shards)
    rng = np.random.default_rng([seed, epoch])
    grid, tail = np.empty((rounds, shards), np.int64), np.empty(rest, np.int64)
    for place, shard in enumerate(rng.permutation(shards)):
        size = rounds + (shard < rest)
        rows = rng.permutation(size) * shards + shard
        grid[:, place] = rows[:rounds]
        if shard < rest:
            tail[shard] = rows[-1]
    return np.concatenate([grid.ravel(), rng.permutation(tail)])


def steps_per_epoch(num_rows: int, batch_size: int) -> int:
    """Global batches in an epoch; the last may be short."""
    return -(-num_rows // batch_size)


def lay_out(rows: np.ndarray, batch_size: int, replicas: int) -> np.ndarray:
    """Row ids in reading order -> [steps * replicas, rows a replica], padded with -1.

    Line t * replicas + r is replica r's part of global batch t. Each global batch holds
    `batch_size` rows however many replicas share it.
    """
    steps, share = steps_per_epoch(len(rows), batch_size), -(-batch_size // replicas)
    padded = np.full(steps * batch_size, -1, np.int64)
    padded[: len(rows)] = rows
    blocks = np.full((steps, share * replicas), -1, np.int64)
    blocks[:, :batch_size] = padded.reshape(steps, batch_size)
    return blocks.reshape(steps * replicas, share)


def training_batches(
    source: Source,
    rows: np.ndarray,
    *,
    batch_size: int,
    replicas: int,
    epochs: int,
    seed: int,
    columns: Affine,
    dtype: tf.DType,
) -> tf.data.Dataset:
    """Batches of one replica's share each, `replicas` of them a global batch, epoch after epoch.

    Args:
        source: where rows are read.
        rows: int64 [n], the ids of the training rows.
        batch_size: rows in a global batch.
        replicas: how many share it.
        epochs: passes over the rows.
        seed: of the order.
        columns: how training columns come from raw ones.
        dtype: of x in the batches.
    """

    def blocks_of_epoch(epoch):
        return lay_out(rows[epoch_order(len(rows), seed, int(epoch))], batch_size, replicas)

    def dataset_of_epoch(epoch):
        blocks = tf.numpy_function(blocks_of_epoch, [epoch], tf.int64)
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(blocks, [None, -(-batch_size // replicas)]))

    blocks = tf.data.Dataset.range(epochs).flat_map(dataset_of_epoch)
    return _read_blocks(blocks, source, rows[0], _training_columns(source, columns, dtype))


def sequential_batches(
    source: Source, rows: np.ndarray, *, replicas: int = 1, dtype: tf.DType | None = None
) -> tf.data.Dataset:
    """One pass over raw rows in their order, in blocks of a size that suits the number of features.

    Args:
        source: where rows are read.
        rows: int64 [n] row ids.
        replicas: how many share a global batch.
        dtype: of x in the batches; the source's own when None.
    """
    block = max(1, min(len(rows), _BLOCK_ELEMENTS // len(source.columns)))
    blocks = tf.data.Dataset.from_tensor_slices(lay_out(rows, block, replicas))
    return _read_blocks(blocks, source, rows[0], lambda x: tf.cast(x, dtype or source.x_dtype))


def distribute(strategy: tf.distribute.Strategy, batches: tf.data.Dataset):
    """Hands consecutive batches to the strategy's replicas, prefetched to their devices."""
    return strategy.distribute_datasets_from_function(lambda _: batches)


def _training_columns(source: Source, columns: Affine, dtype: tf.DType) -> Callable:
    """X raw -> (x - shift) / scale, in the source's own dtype and then cast once."""
    shift, scale = (tf.constant(value, source.x_dtype) for value in (columns.shift, columns.scale))
    return lambda x: tf.cast((x - shift) / scale, dtype)


def _read_blocks(
    blocks: tf.data.Dataset, source: Source, filler: int, transform: Callable
) -> tf.data.Dataset:
    """Blocks of row ids -> `Batch`es; padding (-1) reads the row `filler` with weight 0."""

    def read(ids):
        batch = source.read(tf.where(ids < 0, filler, ids))
        weight = tf.where(ids < 0, 0.0, batch.weight)
        return Batch(transform(batch.x), batch.y, weight, ids)

    return blocks.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(
        tf.data.AUTOTUNE
    )
