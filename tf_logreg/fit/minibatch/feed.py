"""Rows for the steps of minibatch training: streamed from the source, or resident on the devices.

Both give each replica the rows of its own shards in the same order, so the choice only changes the
speed. Both split a replica's batch into parts that are computed in parallel, on a CPU one part per core,
because a product with few columns gains little from several threads.
"""

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_logreg.data import pipeline
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Batch
from tf_logreg.devices import placement
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_devices
from tf_logreg.engines.engine import Engine
from tf_logreg.engines.rows import held_rows
from tf_logreg.objective.records import Rows

log = logging.getLogger(__name__)

# run(step, count): takes `count` steps from global step `step` on and returns the mean of their values.
Run = Callable[[int, int], float]
# One replica's step on the parts of its batch, in its replica context; returns a scalar, equal on all.
Update = Callable[[list[Batch]], tf.Tensor]


def placed_or_streamed(
    devices: Devices, dataset: Dataset, columns: Affine, order: pipeline.Order, update: Update
) -> tuple[Run, Engine]:
    """Steps and passes over the training rows: resident on the devices when there is room, else streamed.

    Args:
        devices: where the replicas are.
        dataset: its training rows are read.
        columns: the map from raw to training columns.
        order: of the rows.
        update: one replica's step.
    """
    if devices.has_room(len(dataset.train), dataset.num_features):
        return resident(devices, dataset, columns, order, update)
    log.info("The training rows take more than the share of device memory: they are streamed.")
    return streamed(devices, dataset, columns, order, update)


def streamed(
    devices: Devices, dataset: Dataset, columns: Affine, order: pipeline.Order, update: Update
) -> tuple[Run, Engine]:
    """Steps over batches that `tf.data` prepares while the devices compute; arguments as above."""
    strategy, num_parts = devices.strategy, placement.cores_per_replica(devices.strategy)

    def split_and_update(batch):
        cut = [_split(array, num_parts) for array in batch]
        return update([Batch(*part) for part in zip(*cut, strict=True)])

    @tf.function(autograph=False)
    def steps(iterator, count):
        return _mean_of_steps(
            strategy, count, lambda _: strategy.run(split_and_update, args=(next(iterator),))
        )

    iterator = None

    def run(step: int, count: int) -> float:
        nonlocal iterator
        if iterator is None:
            iterator = iter(pipeline.distribute(strategy, lambda mine: batches(step, mine)))
        return float(steps(iterator, tf.constant(count)))

    def batches(start: int, mine: range) -> tf.data.Dataset:
        return pipeline.training_batches(
            dataset.source,
            dataset.train,
            order,
            replicas=devices.replicas,
            mine=mine,
            columns=columns,
            dtype=tf.as_dtype(devices.dtype),
            start=start,
        )

    return run, on_devices.streamed(devices, dataset.source, dataset.train, columns)


def resident(
    devices: Devices, dataset: Dataset, columns: Affine, order: pipeline.Order, update: Update
) -> tuple[Run, Engine]:
    """Steps over rows that are placed on the devices once and gathered by index; arguments as above."""
    strategy, rows, replicas = devices.strategy, dataset.train, devices.replicas
    mine = devices.workers.replicas
    positions, held = held_rows(devices, dataset.source, rows, columns)
    held = [Rows(*arrays, np.zeros(len(arrays[1]), np.int32)) for arrays in held]
    data, shapes = placement.place(strategy, held), tuple(part.x.shape for part in held)
    # Position of each row in its replica's arrays; rows of other processes' replicas are never used.
    where = np.zeros(len(rows), np.int32)
    for held_here in positions:
        where[held_here] = np.arange(len(held_here))

    num_parts = placement.cores_per_replica(strategy)

    def gather(data, index):
        real = index >= 0
        index = tf.maximum(index, 0)
        x, y, weight, offset = (tf.gather(array, index) for array in data[:4])
        # The last field stands in for the rows' ids, which a replica does not use.
        return Batch(x, y, tf.where(real, weight, 0.0), offset, index)

    def gather_and_update(data, places, step):
        return update([gather(data, index) for index in _split(tf.gather(places, step), num_parts)])

    @tf.function(autograph=False)
    def steps(data, places, count):
        return _mean_of_steps(
            strategy, count, lambda step: strategy.run(gather_and_update, args=(data, places, step))
        )

    laid_out = _laid_out(len(rows), order.seed, order.batch_size, replicas)
    steps_per_epoch = pipeline.steps_per_epoch(len(rows), order.batch_size)
    epoch, blocks, most = -1, None, 0

    def places_of(step: int, count: int) -> np.ndarray:
        """Positions in the replicas' arrays, [count, replicas, rows per replica], -1 for padding."""
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
        nonlocal most
        most, places = max(most, count), places_of(step, count)
        # Of one shape for any number of steps: the last few of a run would be traced again, for a second.
        places = np.concatenate([places, np.full((most - count, *places.shape[1:]), -1, np.int32)])
        distributed = placement.place(strategy, [places[:, replica] for replica in mine])
        return float(steps(data, distributed, tf.constant(count)))

    return run, on_devices.over_placed(devices, data, shapes)


@functools.lru_cache(maxsize=8)
def _laid_out(num_rows: int, seed: int, batch_size: int, replicas: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """An epoch -> its rows as `pipeline.lay_out` gives them; traced once, for all fits of these shapes."""
    return tf.function(
        lambda epoch: pipeline.lay_out(pipeline.epoch_order(num_rows, seed, epoch), batch_size, replicas),
        autograph=False,
    )


def _mean_of_steps(
    strategy: tf.distribute.Strategy, count: tf.Tensor, take: Callable[[tf.Tensor], Any]
) -> tf.Tensor:
    """Takes steps 0 to count - 1, and gives the mean of what each returns on every replica.

    A loop of TensorFlow's, not Python's: to convert the code of a step, Keras's optimiser included, took
    longer than to trace it.
    """

    def step(i, total):
        return i + 1, total + _first(strategy, take(i))

    start = tf.zeros([], count.dtype), tf.zeros([], tf.float64)
    _, total = tf.while_loop(lambda i, _: i < count, step, start)
    return total / tf.cast(count, tf.float64)


def _split(array: tf.Tensor, num_parts: int) -> list[tf.Tensor]:
    """The array split by rows into at most num_parts equal parts, each of 64 rows or more."""
    rows = array.shape[0]
    return tf.split(
        array, max(k for k in range(1, num_parts + 1) if rows % k == 0 and (k == 1 or rows >= 64 * k))
    )


def _first(strategy: tf.distribute.Strategy, value) -> tf.Tensor:
    """The scalar that every replica returned, in float64."""
    return tf.cast(strategy.experimental_local_results(value)[0], tf.float64)
