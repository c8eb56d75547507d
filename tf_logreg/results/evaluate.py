"""A model and batches of raw rows -> metrics. Logits are computed on the devices, summed on the host."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_logreg.devices.devices import Devices
from tf_logreg.model.model import Model
from tf_logreg.objective import linear
from tf_logreg.results import metrics

_TOGETHER = 2**22  # logits per exchange between workers


def evaluate(
    model: Model, batches: Iterable, devices: Devices, *, max_rows: int, max_bytes: int
) -> tuple[dict, dict[str, np.ndarray]]:
    """Metrics over all rows, independent of the batches and the number of replicas.

    Args:
        model: in the units of the batches.
        batches: a distributed dataset of `Batch`es in raw columns; rows < 0 are padding. Each worker has
            its own batches.
        devices: where the replicas are.
        max_rows, max_bytes: most rows, and bytes of their logits, that are kept for the areas, over all
            workers. The areas need all rows.

    Returns:
        numbers: those of `metrics.from_sums`, and roc_auc and pr_auc; the latter both None, and
        areas_missing says why, where logits were not kept or a class has no rows;
        arrays: those of `metrics.confusion`; calibration [15, 3], for each bin the weight, the mean top
        probability and the accuracy.
    """
    strategy, from_each, num_classes = devices.strategy, devices.workers.from_each, len(model.class_names)
    weights = [tf.constant(array.astype(model.dtype)) for array in (model.kernel, model.bias)]
    logits_of = _distributed_logits(strategy)
    total, kept, bytes_a_row = None, [], 0
    for batch in batches:
        shares = (
            strategy.experimental_local_results(value) for value in (logits_of(batch.x, *weights), *batch[1:])
        )
        logits, y, weight, offset, row = (
            np.concatenate([share.numpy() for share in part]) for part in shares
        )
        logits, y, weight = (logits + offset.astype(logits.dtype))[row >= 0], y[row >= 0], weight[row >= 0]
        if model.head.is_one_vs_rest:
            logits = metrics.log_sigmoid(logits)
        part = metrics.sums(logits, y, weight, num_classes)
        total = part if total is None else metrics.added(total, part)
        bytes_a_row = logits.shape[1] * logits.itemsize
        if total["num_rows"] <= max_rows and total["num_rows"] * bytes_a_row <= max_bytes:
            # Rows of weight 0 are left out.
            real = weight > 0
            kept.append((*metrics.ranking(logits[real], num_classes), y[real], weight[real]))
        else:
            kept.clear()
    total = functools.reduce(metrics.added, from_each(total))
    numbers = metrics.from_sums(total)
    num_bytes = int(total["num_rows"]) * bytes_a_row
    absent = num_classes - np.unique(total["pairs"] // num_classes).size
    if total["num_rows"] > max_rows:
        numbers |= metrics.no_areas(f"more than evaluate.max_rows={max_rows} rows")
    elif num_bytes > max_bytes:
        numbers |= metrics.no_areas(f"logits of {num_bytes} bytes, more than evaluate.max_bytes={max_bytes}")
    elif absent:
        numbers |= metrics.no_areas(f"{absent} of {num_classes} classes have no rows here")
    else:
        columns, shift, y, weight = zip(*kept, strict=True)
        shift, y, weight = (np.concatenate(from_each(np.concatenate(part))) for part in (shift, y, weight))
        numbers |= metrics.areas(_columns(columns, shift, from_each), y, weight, num_classes)
    return numbers, {**metrics.confusion(total), "calibration": metrics.calibration(total)}


def _columns(
    parts: tuple[np.ndarray, ...], shift: np.ndarray, from_each: Callable[[Any], list]
) -> Iterator[np.ndarray]:
    """Each column of all workers' rows, float64 [n], less the shift [n]; parts are a worker's own [B, m].

    A few columns are exchanged at a time, as all may not fit in memory.
    """
    width = max(1, _TOGETHER // max(len(shift), 1))
    for start in range(0, parts[0].shape[1], width):
        own = np.concatenate([part[:, start : start + width] for part in parts])
        for column in np.concatenate(from_each(own)).T:
            yield column - shift


@functools.lru_cache(maxsize=8)
def _distributed_logits(strategy: tf.distribute.Strategy):
    """(x, kernel, bias) -> each replica's logits; traced once a strategy and shape, for all calls."""

    @tf.function
    def distributed_logits(x, kernel, bias):
        return strategy.run(linear.logits, args=(x, kernel, bias))

    return distributed_logits
