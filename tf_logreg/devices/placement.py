"""Rows on the devices: whether they fit, and how they are moved there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from tf_logreg import machine
from tf_logreg.devices import memory, workers

if TYPE_CHECKING:
    import tensorflow as tf


_BYTES = {"bfloat16": 2, "float32": 4, "float64": 8}


def has_room(
    strategy: tf.distribute.Strategy | None, num_rows: int, num_features: int, dtype: str, fraction: float
) -> bool:
    """Whether a replica's share of X fits in `fraction` of its device's memory, on every worker."""
    replicas = 1 if strategy is None else strategy.num_replicas_in_sync
    needed = num_rows * num_features * _BYTES[dtype] / replicas
    return not workers.of(strategy).any(needed > fraction * device_memory(strategy))


def device_memory(strategy: tf.distribute.Strategy | None) -> float:
    """Memory of one replica's device in bytes: free memory of a CPU, the limit of a GPU."""
    if strategy is None:
        return host_memory()
    device = devices(strategy)[0]
    if on_tpu(strategy):
        return 8 * 2.0**30  # a core of TPU v2, which has the least
    if "GPU" in device:
        from tensorflow.python.client import device_lib

        return float(
            min(found.memory_limit for found in device_lib.list_local_devices() if found.memory_limit > 2**28)
        )
    return host_memory() / len(workers.of(strategy).replicas)


def host_memory() -> float:
    """Free memory of this host in bytes."""
    return float(psutil.virtual_memory().available)


def devices(strategy: tf.distribute.Strategy) -> tuple[str, ...]:
    """The device of each replica of this process."""
    import tensorflow as tf

    try:
        return strategy.extended.worker_devices
    except RuntimeError:  # TensorFlow's default strategy has no such list: it prefers a GPU
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return (found[0].name,)


def on_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas of this process are on its CPU."""
    return "CPU" in devices(strategy)[0]


def on_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the replicas are TPU cores."""
    return "TPU" in devices(strategy)[0]


def cores_per_replica(strategy: tf.distribute.Strategy) -> int:
    """Number of CPU cores per replica; 1 on an accelerator."""
    if not on_cpu(strategy):
        return 1
    return max(1, machine.cores() // len(workers.of(strategy).replicas))


def place(strategy: tf.distribute.Strategy, values: list):
    """Moves one value per replica of this process (an array, or a tuple of them) to its device."""
    import tensorflow as tf

    names, first = devices(strategy), workers.of(strategy).replicas.start

    def on_device(context):
        replica = context.replica_id_in_sync_group - first
        with tf.device(names[replica]):
            return tf.nest.map_structure(lambda array: tf.identity(memory.tensor(array)), values[replica])

    return strategy.experimental_distribute_values_from_function(on_device)
