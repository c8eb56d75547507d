"""Rows in an order that is a function of (seed, epoch, position) -> batches of a static shape.

Everything happens in blocks: an epoch's row ids are laid out at once, and each block of ids is read,
shifted, scaled and cast by a few vector operations.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_logreg import machine
from tf_logreg.data.moments import Affine
from tf_logreg.data.shards import VIRTUAL_SHARDS, owner
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices import placement

# Nothing here branches on tensors, and to look for that takes longer than to trace a pipeline.
_AS_IT_IS = tf.autograph.experimental.do_not_convert
_BLOCK_ELEMENTS = 2**21  # numbers in a block of a sequential pass: 16 MiB in float64


@dataclasses.dataclass(frozen=True)
class Order:
    """Order and batch size of the training rows.

    Attributes:
        batch_size: rows in a global batch.
        epochs: number of passes over the rows.
        seed: of the order of each epoch.
    """

    batch_size: int
    epochs: int
    seed: int


def epoch_order(num_rows: int, seed: int, epoch: int | tf.Tensor) -> tf.Tensor:
    """The order of one epoch: a permutation of 0..num_rows-1, int64.

    Row i belongs to virtual shard i % 64. The epoch visits the shards in rounds, one row per shard, in an
    order of its own: shard (a k + c) % 64 at position k, a odd. So any stretch of positions takes rows
    evenly from the shards and, for R = 2, 4, ... 64 replicas, evenly from the shards of each replica, which
    have the same remainder by R. Within a shard rows come in random order.

    It uses only TensorFlow operations. A Python function in a `tf.data` pipeline can hang the process that
    drops the pipeline while it runs, because each waits for the other's lock.
    """
    rounds, rest = divmod(num_rows, VIRTUAL_SHARDS)
    seed = tf.stack([tf.constant(seed, tf.int64), tf.cast(epoch, tf.int64)])
    drawn = tf.random.stateless_uniform([], seed, None, None, tf.int32)  # with the stream, a shuffle's seed

    def shuffled(size: int, stream: int | tf.Tensor) -> tf.Tensor:
        rows = tf.range(size, dtype=tf.int64)
        return tf.random.experimental.stateless_shuffle(rows, tf.stack([drawn, stream]))

    def of_shards(first: int, end: int, size: int) -> tf.Tensor:  # [shard, round]
        # Traced once; 64 shuffles one by one took most of a second of every fit's start.
        shards = tf.range(first, end)
        rounds = tf.map_fn(
            lambda shard: shuffled(size, shard), shards, fn_output_signature=tf.TensorSpec([size], tf.int64)
        )
        return rounds * VIRTUAL_SHARDS + tf.cast(shards, tf.int64)[:, None]

    step, start = (
        2 * shuffled(VIRTUAL_SHARDS // 2, VIRTUAL_SHARDS)[0] + 1,
        shuffled(VIRTUAL_SHARDS, VIRTUAL_SHARDS + 1)[0],
    )
    shards = (step * tf.range(VIRTUAL_SHARDS, dtype=tf.int64) + start) % VIRTUAL_SHARDS
    # If the rows do not fill the shards evenly, some have one row more; these come last.
    longer, shorter = of_shards(0, rest, rounds + 1), of_shards(rest, VIRTUAL_SHARDS, rounds)
    grid = tf.concat([longer[:, :rounds], shorter], 0)
    # By places, because a transpose makes TensorFlow log a false error about int64.
    places = tf.range(rounds, dtype=tf.int64)[:, None] + shards * rounds
    last = tf.gather(longer[:, rounds], shuffled(rest, VIRTUAL_SHARDS + 2))
    order = tf.concat([tf.gather(tf.reshape(grid, [-1]), tf.reshape(places, [-1])), last], 0)
    return tf.ensure_shape(order, [num_rows])


def rows_per_replica(num_rows: int, batch_size: int, replicas: int) -> int:
    """Most rows of one replica in a global batch: the static size of its share."""
    if VIRTUAL_SHARDS % replicas == 0:
        # Positions alternate between the replicas, except in the last, incomplete round.
        whole = num_rows // VIRTUAL_SHARDS * VIRTUAL_SHARDS
        most_of_rest = -(-(num_rows - whole) // replicas)
        before = whole % batch_size
        over_seam = -(-before // replicas) + min(batch_size - before, most_of_rest)
        return max(-(-batch_size // replicas), over_seam, min(batch_size, most_of_rest))
    # Whole rounds give each replica its shards; the two ends of the stretch may all belong to one replica.
    rounds, rest = divmod(batch_size, VIRTUAL_SHARDS)
    shards = -(-VIRTUAL_SHARDS // replicas)
    return min(batch_size, max(rounds * shards + min(rest, 2 * shards), (rounds + 1) * shards))


def steps_per_epoch(num_rows: int, batch_size: int) -> int:
    """Global batches in an epoch; the last may be short."""
    return -(-num_rows // batch_size)


def lay_out(order: tf.Tensor, batch_size: int, replicas: int) -> tf.Tensor:
    """Positions [n] in reading order -> int64 [steps, replicas, rows per replica], padded with -1.

    Each global batch holds `batch_size` rows for any number of replicas, and each replica reads the rows
    of its own shards.
    """
    steps, share = (
        steps_per_epoch(order.shape[0], batch_size),
        rows_per_replica(order.shape[0], batch_size, replicas),
    )
    if replicas == 1:  # All positions are its own, in their order: no index, three times as large as they.
        padding = tf.fill([steps * batch_size - order.shape[0]], tf.constant(-1, tf.int64))
        return tf.reshape(tf.concat([order, padding], axis=0), [steps, 1, batch_size])
    blocks = tf.fill([steps, replicas, share], tf.constant(-1, tf.int64))
    for replica in range(replicas):
        mine = tf.where(owner(order, replicas) == replica)[:, 0]
        step = mine // batch_size
        within = tf.range(tf.size(mine), dtype=tf.int64) - tf.gather(
            tf.searchsorted(step, tf.range(steps, dtype=tf.int64), out_type=tf.int64), step
        )
        index = tf.stack([step, tf.fill(tf.shape(mine), tf.constant(replica, tf.int64)), within], axis=1)
        blocks = tf.tensor_scatter_nd_update(blocks, index, tf.gather(order, mine))
    return blocks


def training_batches(
    source: Source,
    rows: np.ndarray,
    order: Order,
    *,
    replicas: int,
    mine: range | None = None,
    columns: Affine,
    dtype: tf.DType,
    start: int = 0,
) -> tf.data.Dataset:
    """Each global batch's shares for the replicas `mine`, one `Batch` per replica, epoch after epoch.

    Args:
        source: where rows are read.
        rows: int64 [n], the ids of the training rows.
        order: of the rows.
        replicas: number of replicas that share a global batch.
        mine: ids of the replicas whose rows are read here; all when None.
        columns: the map from raw to training columns.
        dtype: of x in the batches.
        start: the global step to start at, for a resumed run.
    """
    mine = mine or range(replicas)
    first_epoch, first_step = divmod(start, steps_per_epoch(len(rows), order.batch_size))

    share = rows_per_replica(len(rows), order.batch_size, replicas)
    with tf.device("CPU:0"):
        all_rows = tf.constant(rows)

    @_AS_IT_IS
    def dataset_of_epoch(epoch):
        blocks = lay_out(epoch_order(len(rows), order.seed, epoch), order.batch_size, replicas)
        blocks = blocks[tf.where(epoch == first_epoch, first_step, 0) :]
        blocks = blocks[:, mine.start : mine.stop]
        return tf.data.Dataset.from_tensor_slices(tf.reshape(blocks, [-1, share]))

    # Batch by batch: for a whole epoch at once they are four arrays of its length.
    @_AS_IT_IS
    def ids(places):
        return tf.where(places < 0, places, tf.gather(all_rows, tf.maximum(places, 0)))

    blocks = tf.data.Dataset.range(first_epoch, order.epochs).flat_map(dataset_of_epoch).map(ids)
    return _read_blocks(blocks, source, rows[0], training_columns(source, columns, dtype), len(mine))


def sequential_batches(
    source: Source,
    rows: np.ndarray,
    *,
    replicas: int = 1,
    mine: range | None = None,
    dtype: tf.DType | None = None,
    columns: Affine | None = None,
    width: int | None = None,
) -> tf.data.Dataset:
    """One pass over rows in their order, in blocks whose size depends on `width`.

    Args:
        source: where rows are read.
        rows: int64 [n] row ids.
        replicas: number of replicas, each of which takes a block at a time; small data is split evenly.
        mine: ids of the replicas whose rows are read here; all when None.
        dtype: of x in the batches; the source's own when None.
        columns: the map from raw to training columns; None for raw ones.
        width: numbers per row, as there may be more logits than features; the features when None.
    """
    dtype = dtype or tf.as_dtype(source.x_dtype)
    block, count = sequential_blocks(len(rows), width or len(source.feature_names), replicas)
    padded = np.full(count * block * replicas, -1, np.int64)
    padded[: len(rows)] = rows
    mine = mine or range(replicas)
    blocks = tf.data.Dataset.from_tensor_slices(
        padded.reshape(-1, replicas, block)[:, mine.start : mine.stop].reshape(-1, block)
    )
    transform = training_columns(source, columns, dtype) if columns else lambda x: tf.cast(x, dtype)
    return _read_blocks(blocks, source, rows[0], transform, len(mine))


def sequential_blocks(num_rows: int, width: int, replicas: int) -> tuple[int, int]:
    """Rows in a block of a sequential pass, and how many blocks each replica takes; `width` numbers a row."""
    block = max(1, min(-(-num_rows // replicas), _BLOCK_ELEMENTS // width))
    return block, -(-num_rows // (block * replicas))


def distribute(strategy: tf.distribute.Strategy, batches: Callable[[range], tf.data.Dataset]):
    """Distributes batches to the replicas, prefetched to their devices; those of a single CPU as they are.

    Args:
        strategy: places the replicas.
        batches: ids of the replicas that a host feeds -> their batches, in turn; called on each host.
    """
    # The CPU of a single replica has them already. To hand them over as well halves the speed: TensorFlow
    # 2.21's iterators over devices make the whole process take every 128 KB and more anew from the system
    # (they lower malloc's M_MMAP_THRESHOLD), so that each batch is page faults.
    if strategy.num_replicas_in_sync == 1 and placement.on_cpu(strategy):
        return batches(range(1))

    def of_host(context):
        share = context.num_replicas_in_sync // context.num_input_pipelines
        return batches(range(context.input_pipeline_id * share, (context.input_pipeline_id + 1) * share))

    return strategy.distribute_datasets_from_function(of_host)


def training_columns(source: Source, columns: Affine, dtype: tf.DType) -> Callable:
    """X raw -> (x - shift) * scale, in the source's own dtype and then cast once."""
    shift, scale = (tf.constant(value, source.x_dtype) for value in (columns.shift, columns.scale))
    shifted, scaled = np.any(columns.shift != 0), np.any(columns.scale != 1)

    def transform(x):
        x = x - shift if shifted else x
        return tf.cast(x * scale if scaled else x, dtype)

    return transform


def _read_blocks(
    blocks: tf.data.Dataset, source: Source, filler: int, transform: Callable, replicas: int
) -> tf.data.Dataset:
    """Blocks of row ids -> `Batch`es; padding (-1) reads the row `filler` with weight 0."""

    @_AS_IT_IS
    def read(ids):
        batch = source.read(tf.where(ids < 0, filler, ids))
        weight = tf.where(ids < 0, 0.0, batch.weight)
        return Batch(transform(batch.x), batch.y, weight, batch.offset, ids)

    # Half the cores, as the steps need the rest. On two cores AUTOTUNE's choice was 1.25 times slower.
    calls = max(1, machine.cores() // 2)
    batches = blocks.map(read, num_parallel_calls=calls, deterministic=True).prefetch(
        2 * max(calls, replicas)
    )
    # tf.data's default optimisations serialise the pipeline with its captures, which copies X.
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return batches.with_options(options)
