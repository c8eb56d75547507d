"""Rows on the devices: whether they fit, how they get there, and which replica holds which."""

import functools
import os
from collections.abc import Callable

import numpy as np
import psutil
import tensorflow as tf
from tensorflow.python.client import device_lib

from tf_logreg import workers
from tf_logreg.data import memory, pipeline
from tf_logreg.data.source import Source
from tf_logreg.data.standardize import Affine
from tf_logreg.fit import sample


def fits(
    strategy: tf.distribute.Strategy, num_rows: int, num_features: int, dtype: tf.DType, fraction: float
) -> bool:
    """Whether a replica's share of X takes at most `fraction` of its device's memory, on every worker."""
    needed = num_rows * num_features * dtype.size / strategy.num_replicas_in_sync
    return not workers.of(strategy).any(needed > fraction * device_memory(strategy))


def device_memory(strategy: tf.distribute.Strategy) -> float:
    """Bytes that one replica's device can hold: what is free on a CPU, the limit of a GPU."""
    device = devices(strategy)[0]
    if on_tpu(strategy):
        return 8 * 2.0**30  # the smallest that a TPU core has, v2's
    if "GPU" in device:
        return float(
            min(found.memory_limit for found in device_lib.list_local_devices() if found.memory_limit > 2**28)
        )
    return host_memory() / len(workers.of(strategy).replicas)


def host_memory() -> float:
    """Bytes that are free on this host."""
    return float(psutil.virtual_memory().available)


def devices(strategy: tf.distribute.Strategy) -> tuple[str, ...]:
    """The device of each replica of this process."""
    try:
        return strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy does not say: its operations prefer a GPU
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return (found[0].name,)


def on_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas are TPU cores."""
    return "TPU" in devices(strategy)[0]


def cores_per_replica(strategy: tf.distribute.Strategy) -> int:
    """CPU cores that one replica has for itself; 1 on an accelerator, which needs no such care."""
    if "CPU" not in devices(strategy)[0]:
        return 1
    return max(1, len(os.sched_getaffinity(0)) // len(workers.of(strategy).replicas))


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


def place(strategy: tf.distribute.Strategy, values: list):
    """One value a replica of this process (an array, or a tuple of them), each moved to its device."""
    names, first = devices(strategy), workers.of(strategy).replicas.start

    def on_device(context):
        replica = context.replica_id_in_sync_group - first
        with tf.device(names[replica]):
            return tf.nest.map_structure(lambda array: tf.identity(memory.tensor(array)), values[replica])

    return strategy.experimental_distribute_values_from_function(on_device)


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


def sampled_rows(
    source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None
) -> Callable[[], sample.Rows]:
    """Gives the rows of `sample.Rows`, spread evenly and the same on every worker, read when first asked for.

    Args:
        source: where rows are read. rows: int64 [n], the ids of the training rows.
        columns: how training columns come from raw ones.
        folds: [n] the fold of each row, or None.
    """

    @functools.cache
    def read() -> sample.Rows:
        count = sample.size(len(rows), len(source.columns))
        at = np.arange(count) * len(rows) // count
        x, y, weight, offset = read_rows(source, rows[at], columns, tf.float64)
        fold = np.zeros(count, int) if folds is None else folds[at]
        return sample.Rows(
            x, y, weight.astype(float), offset.astype(float), fold, x @ x.T, count == len(rows)
        )

    return read
