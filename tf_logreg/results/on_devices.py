"""Logits of a model on the devices, batch by batch, for `evaluate`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_logreg.data import host_rows, pipeline
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices import placement
from tf_logreg.devices.devices import Devices
from tf_logreg.model.model import Model
from tf_logreg.objective import linear


def parts(
    part_of: Callable, model: Model, source: Source, rows: np.ndarray, devices: Devices
) -> Iterator[Any]:
    """part_of(logits [B, m], labels [B], weights [B]) of this worker's rows, batch by batch.

    Args:
        part_of: called on the host.
        model: in the units of the source; X is read in its dtype.
        source: where rows are read.
        rows: int64 [n], ids of the rows of all workers.
        devices: where logits are computed.
    """
    strategy, width = devices.strategy, max(len(source.feature_names), len(source.class_names))
    block, count = pipeline.sequential_blocks(len(rows), width, devices.replicas)

    def batches(mine: range) -> tf.data.Dataset:
        return pipeline.sequential_batches(
            source,
            rows,
            replicas=devices.replicas,
            mine=mine,
            dtype=tf.as_dtype(model.dtype),
            width=width,
        )

    weights = [tf.constant(array.astype(model.dtype)) for array in (model.kernel, model.bias)]
    logits_of = _distributed_logits(strategy)
    if count == 1:  # To build a pipeline takes longer, which early stopping would wait for each epoch.
        shares = [
            _read(source, rows[block * replica :][:block], block, model.dtype)
            for replica in devices.workers.replicas
        ]
        found = [placement.place(strategy, shares)]
    else:
        found = pipeline.distribute(strategy, batches)
    for batch in found:
        shares = (
            strategy.experimental_local_results(value) for value in (logits_of(batch.x, *weights), *batch[1:])
        )
        logits, y, weight, offset, row = (
            np.concatenate([share.numpy() for share in part]) for part in shares
        )
        real = row >= 0  # the others are padding
        yield part_of((logits + offset.astype(logits.dtype))[real], y[real], weight[real])


def _read(source: Source, rows: np.ndarray, size: int, dtype: str) -> Batch:
    """Some rows on the host, x in `dtype`, as a batch of `size` rows: the others have the id -1."""
    batch = Batch(
        np.zeros((size, len(source.feature_names)), dtype),
        np.zeros(size, np.int32),
        np.zeros(size, np.float32),
        np.zeros((size, source.offset_columns), source.x_dtype),
        np.full(size, -1, np.int64),
    )
    start = 0
    for part in host_rows.host_batches(source, rows):
        here = slice(start, start + len(part.y))
        for whole, values in zip(batch, part, strict=True):
            whole[here] = values
        start = here.stop
    return batch


@functools.lru_cache(maxsize=8)
def _distributed_logits(strategy: tf.distribute.Strategy):
    """(x, kernel, bias) -> each replica's logits; traced once a strategy and shape, for all calls."""

    @tf.function(autograph=False)
    def distributed_logits(x, kernel, bias):
        return strategy.run(linear.logits, args=(x, kernel, bias))

    return distributed_logits
