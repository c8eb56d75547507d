"""Logits of a model on the devices, batch by batch, for `evaluate`."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_logreg.data import pipeline
from tf_logreg.data.source import Source
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
    strategy = devices.strategy

    def batches(mine: range) -> tf.data.Dataset:
        return pipeline.sequential_batches(
            source,
            rows,
            replicas=devices.replicas,
            mine=mine,
            dtype=tf.as_dtype(model.dtype),
            width=max(len(source.feature_names), len(source.class_names)),
        )

    weights = [tf.constant(array.astype(model.dtype)) for array in (model.kernel, model.bias)]
    logits_of = _distributed_logits(strategy)
    for batch in pipeline.distribute(strategy, batches):
        shares = (
            strategy.experimental_local_results(value) for value in (logits_of(batch.x, *weights), *batch[1:])
        )
        logits, y, weight, offset, row = (
            np.concatenate([share.numpy() for share in part]) for part in shares
        )
        real = row >= 0  # the others are padding
        yield part_of((logits + offset.astype(logits.dtype))[real], y[real], weight[real])


@functools.lru_cache(maxsize=8)
def _distributed_logits(strategy: tf.distribute.Strategy):
    """(x, kernel, bias) -> each replica's logits; traced once a strategy and shape, for all calls."""

    @tf.function(autograph=False)
    def distributed_logits(x, kernel, bias):
        return strategy.run(linear.logits, args=(x, kernel, bias))

    return distributed_logits
