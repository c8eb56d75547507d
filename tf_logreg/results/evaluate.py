"""A model and batches of raw rows -> metrics. Logits are computed on the devices, summed on the host."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_logreg.model import dense, linear
from tf_logreg.results import metrics


def evaluate(
    model: keras.Sequential,
    batches: Iterable,
    *,
    strategy: tf.distribute.Strategy,
    num_classes: int,
    max_rows: int,
    every: Callable[[Any], list] = lambda value: [value],
) -> tuple[dict, dict[str, np.ndarray]]:
    """Metrics over all rows, whatever the batches and the number of replicas.

    Args:
        model: in raw units.
        batches: a distributed dataset of raw `Batch`es; rows < 0 are padding.
        strategy: where the replicas are.
        num_classes: C.
        max_rows: up to how many rows the logits are kept for the areas, which need them all.
        every: a worker's value -> those of all workers, each of which has batches of its own.

    Returns:
        numbers: those of `metrics.from_sums` and `metrics.areas`;
        arrays: confusion [C, C], true class by predicted class, in row weights; calibration [15, 3], of
        each bin the weight, the mean top probability and the accuracy.
    """
    weights = [tf.constant(array) for array in dense.get_weights(model)]
    one_vs_rest = dense.is_one_vs_rest(model)
    logits_of = _distributed_logits(strategy)
    total, kept = None, []
    for batch in batches:
        shares = (
            strategy.experimental_local_results(value) for value in (logits_of(batch.x, *weights), *batch[1:])
        )
        logits, y, weight, offset, row = (
            np.concatenate([share.numpy() for share in part]) for part in shares
        )
        logits, y, weight = (logits + offset.astype(logits.dtype))[row >= 0], y[row >= 0], weight[row >= 0]
        if one_vs_rest:
            logits = metrics.log_sigmoid(logits)
        part = metrics.sums(logits, y, weight, num_classes)
        total = part if total is None else {name: total[name] + part[name] for name in part}
        if total["num_rows"] <= max_rows:
            kept.append((logits, y, weight))
        else:
            kept.clear()
    totals = every(total)
    total = {name: sum(part[name] for part in totals) for name in total}
    numbers = metrics.from_sums(total)
    if numbers["num_rows"] <= max_rows:
        kept = [part for found in every(kept) for part in found]
        numbers |= metrics.areas(*map(np.concatenate, zip(*kept, strict=True)), num_classes)
    else:
        numbers |= metrics.no_areas(f"more than evaluate.max_rows={max_rows} rows")
    return numbers, {"confusion": total["confusion"], "calibration": metrics.calibration(total)}


@functools.lru_cache(maxsize=8)
def _distributed_logits(strategy: tf.distribute.Strategy):
    """(x, kernel, bias) -> each replica's logits; traced once a strategy and shape, for all calls."""

    @tf.function
    def distributed_logits(x, kernel, bias):
        return strategy.run(linear.logits, args=(x, kernel, bias))

    return distributed_logits
