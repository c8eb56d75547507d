"""Where the steps of a minibatch fit get their rows: streamed from the source, or resident on the devices.

Both give each replica the rows of its own shards in the same order, so the choice changes the speed
and nothing else.
"""

import os
from collections.abc import Callable

import numpy as np
import psutil
import tensorflow as tf
from tensorflow.python.client import device_lib

from tf_logreg.data import pipeline
from tf_logreg.data.source import Batch, Source
from tf_logreg.data.standardize import Affine

_BLOCK_ELEMENTS = 2**21  # features read at a time while rows are placed on the devices

# run(step, count): takes `count` steps from global step `step` on; the mean of what they returned.
Run = Callable[[int, int], float]


def streamed(
    strategy: tf.distribute.Strategy,
    batches: Callable[[int], tf.data.Dataset],
    update: Callable[[Batch], tf.Tensor],
) -> Run:
    """Steps over batches that `tf.data` prepares while the devices work.

    Args:
        strategy: where the replicas are.
        batches: global step -> the dataset of all replicas' batches from that step on.
        update: one replica's step, run in its replica context; returns a scalar, the same on all.
    """

    @tf.function
    def steps(iterator, count):
        total = tf.zeros([], tf.float64)
        for _ in tf.range(count):
            total += _first(strategy, strategy.run(update, args=(next(iterator),)))
        return total / tf.cast(count, tf.float64)

    iterator = None

    def run(step: int, count: int) -> float:
        nonlocal iterator
        if iterator is None:
            iterator = iter(pipeline.distribute(strategy, batches(step)))
        return float(steps(iterator, tf.constant(count)))

    return run


def resident(
    strategy: tf.distribute.Strategy,
    source: Source,
    rows: np.ndarray,
    update: Callable[[Batch], tf.Tensor],
    *,
    batch_size: int,
    seed: int,
    columns: Affine,
    dtype: tf.DType,
) -> Run:
    """Steps over rows that are placed on the devices once and gathered there by index.

    Args:
        strategy: where the replicas are; each holds the rows of its own shards.
        source: where rows are read, once.
        rows: int64 [n], the ids of the training rows.
        update: as in `streamed`.
        batch_size: rows in a global batch.
        seed: of the order.
        columns: how training columns come from raw ones.
        dtype: of x on the devices.
    """
    replicas = strategy.num_replicas_in_sync
    owners = pipeline.owner(np.arange(len(rows)), replicas)
    held = [_read_rows(source, rows[owners == r], columns, dtype) for r in range(replicas)]
    data = place(strategy, held)
    # Where each row lies in its replica's arrays.
    where = np.empty(len(rows), np.int32)
    for replica in range(replicas):
        where[owners == replica] = np.arange((owners == replica).sum())

    def gather_and_update(data, places, step):
        index = tf.gather(places, step)
        real = index >= 0
        index = tf.maximum(index, 0)
        x, y, weight = (tf.gather(array, index) for array in data)
        # A replica has no use for the rows' ids.
        return update(Batch(x, y, tf.where(real, weight, 0.0), tf.cast(index, tf.int64)))

    @tf.function
    def steps(data, places, count):
        total = tf.zeros([], tf.float64)
        for step in tf.range(count):
            total += _first(strategy, strategy.run(gather_and_update, args=(data, places, step)))
        return total / tf.cast(count, tf.float64)

    @tf.function
    def laid_out(epoch):
        return pipeline.lay_out(pipeline.epoch_order(len(rows), seed, epoch), batch_size, replicas)

    steps_per_epoch = pipeline.steps_per_epoch(len(rows), batch_size)
    epoch, blocks = -1, None

    def places_of(step: int, count: int) -> np.ndarray:
        """Places in the replicas' arrays, [count, replicas, rows a replica], -1 for padding."""
        nonlocal epoch, blocks
        parts = []
        while count:
            if step // steps_per_epoch != epoch:
                epoch = step // steps_per_epoch
                blocks = laid_out(tf.constant(epoch)).numpy()
                blocks = np.where(blocks < 0, -1, where[blocks]).astype(np.int32)
            first = step % steps_per_epoch
            part = blocks[first : first + count]
            parts.append(part)
            step, count = step + len(part), count - len(part)
        return np.concatenate(parts)

    def run(step: int, count: int) -> float:
        places = places_of(step, count)
        distributed = place(strategy, [places[:, replica] for replica in range(replicas)])
        return float(steps(data, distributed, tf.constant(count)))

    return run


def fits(
    strategy: tf.distribute.Strategy, num_rows: int, num_features: int, dtype: tf.DType, fraction: float
) -> bool:
    """Whether a replica's share of X takes at most `fraction` of its device's memory."""
    needed = num_rows * num_features * dtype.size / strategy.num_replicas_in_sync
    return needed <= fraction * device_memory(strategy)


def cores_per_replica(strategy: tf.distribute.Strategy) -> int:
    """CPU cores that one replica has for itself; 1 on an accelerator, which needs no such care."""
    if "CPU" not in devices(strategy)[0]:
        return 1
    return max(1, len(os.sched_getaffinity(0)) // strategy.num_replicas_in_sync)


def device_memory(strategy: tf.distribute.Strategy) -> float:
    """Bytes that one replica's device can hold: what is free on a CPU, the limit of a GPU."""
    device = devices(strategy)[0]
    if "TPU" in device:
        return 8 * 2.0**30  # the smallest that a TPU core has, v2's
    if "GPU" in device:
        return float(
            min(found.memory_limit for found in device_lib.list_local_devices() if found.memory_limit > 2**28)
        )
    return psutil.virtual_memory().available / strategy.num_replicas_in_sync


def _read_rows(source: Source, rows: np.ndarray, columns: Affine, dtype: tf.DType) -> tuple[np.ndarray, ...]:
    """Training columns, labels and weights of some rows, as arrays on the host; X exists once."""
    transform = pipeline.training_columns(source, columns, dtype)
    x = np.empty((len(rows), len(source.columns)), dtype.as_numpy_dtype)
    y, weight = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
    size = max(1, _BLOCK_ELEMENTS // x.shape[1])
    for start in range(0, len(rows), size):
        batch = source.read(tf.constant(rows[start : start + size]))
        part = slice(start, start + size)
        x[part], y[part], weight[part] = transform(batch.x).numpy(), batch.y.numpy(), batch.weight.numpy()
    return x, y, weight


def place(strategy: tf.distribute.Strategy, values: list):
    """One value a replica (an array, or a tuple of them), each moved to its device."""
    names = devices(strategy)

    def on_device(context):
        replica = context.replica_id_in_sync_group
        with tf.device(names[replica]):
            return tf.nest.map_structure(
                lambda array: tf.identity(tf.convert_to_tensor(array)), values[replica]
            )

    return strategy.experimental_distribute_values_from_function(on_device)


def devices(strategy: tf.distribute.Strategy) -> tuple[str, ...]:
    """The device of each replica."""
    try:
        return strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy does not say: its operations prefer a GPU
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return (found[0].name,)


def _first(strategy: tf.distribute.Strategy, value) -> tf.Tensor:
    """The scalar that every replica returned, in float64."""
    return tf.cast(strategy.experimental_local_results(value)[0], tf.float64)
