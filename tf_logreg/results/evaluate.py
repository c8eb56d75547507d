"""A model and rows -> metrics. Logits and their sums are computed block by block."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tf_logreg.data import csr, host_rows, shards
from tf_logreg.data.source import Batch, Source
from tf_logreg.devices.devices import Devices
from tf_logreg.model.model import Model
from tf_logreg.results import metrics

_TOGETHER = 2**22  # logits per exchange between workers


def evaluate(
    model: Model, source: Source, rows: np.ndarray, devices: Devices, *, max_rows: int, max_bytes: int
) -> tuple[dict, dict[str, np.ndarray]]:
    """Metrics over some rows, independent of blocks and the number of replicas.

    Args:
        model: in the units of the source; X is read in its dtype.
        source: where rows are read.
        rows: int64 [n], ids of the rows of all workers; each reads those of its own shards.
        devices: where logits are computed: on the devices, or on the host's cores where that is the engine or
            rows are sparse.
        max_rows, max_bytes: most rows, and bytes of their logits, for the areas, which need all logits.

    Returns:
        numbers: those of `metrics.from_sums`, and roc_auc and pr_auc; the latter both None, and
        areas_missing says why, where there are too many logits or a class has no rows;
        arrays: those of `metrics.confusion`; calibration [15, 3], for each bin the weight, the mean top
        probability and the accuracy; and where two classes have areas those of `metrics.by_threshold`.
    """
    num_classes, from_each = len(model.class_names), devices.workers.from_each
    too_many = _too_many(model, len(rows), max_rows, max_bytes)
    total, ranked = _collected(model, source, rows, devices, with_areas=not too_many)
    numbers, tables = metrics.from_sums(total), {}
    absent = num_classes - np.unique(total["pairs"] // num_classes).size
    if too_many or absent:
        numbers |= metrics.no_areas(too_many or f"{absent} of {num_classes} classes have no rows here")
    else:
        columns, y, weight = _ranking(ranked, from_each)
        columns = [*columns] if num_classes == 2 else columns
        numbers |= metrics.areas(columns, y, weight, num_classes)
        if num_classes == 2 and np.isfinite(columns[0]).all():
            found = metrics.by_threshold(columns[0], y, weight)
            numbers, tables = numbers | found[0], found[1]
    return numbers, {**metrics.confusion(total), "calibration": metrics.calibration(total), **tables}


def scores(
    model: Model, source: Source, rows: np.ndarray, devices: Devices
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log odds of class 1 of two [n] float64, labels [n] and weights [n] of the rows of weight > 0.

    Arguments are those of `evaluate`; every worker gets the rows of all.
    """
    _, ranked = _collected(model, source, rows, devices, with_areas=True)
    columns, y, weight = _ranking(ranked, devices.workers.from_each)
    return next(columns), y, weight


def _collected(
    model: Model, source: Source, rows: np.ndarray, devices: Devices, *, with_areas: bool
) -> tuple[dict, list[tuple]]:
    """The sums of all workers' rows, and with areas what `_part` keeps of this worker's, block by block."""
    part_of = functools.partial(_part, model, with_areas=with_areas)
    if devices.engine == "host" or source.sparse:  # TensorFlow's products of sparse rows are slower
        parts = _on_host(part_of, model, source, rows, devices)
    else:
        from tf_logreg.results import on_devices  # imports TensorFlow, which the host's cores do not need

        parts = on_devices.parts(part_of, model, source, rows, devices)
    # A worker may have no rows.
    none = np.zeros((0, model.head.outputs), model.dtype), np.zeros(0, np.int32), np.zeros(0, np.float32)
    total, *ranked = part_of(*none)
    for sums, *more in parts:
        total = metrics.added(total, sums)
        ranked += more
    return functools.reduce(metrics.added, devices.workers.from_each(total)), ranked


def _ranking(
    ranked: list[tuple], from_each: Callable[[Any], list]
) -> tuple[Iterator[np.ndarray], np.ndarray, np.ndarray]:
    """Columns to sort by, labels and weights of all workers' rows, from blocks of this worker's."""
    columns, shift, y, weight = zip(*ranked, strict=True)
    shift, y, weight = (np.concatenate(from_each(np.concatenate(part))) for part in (shift, y, weight))
    return _columns(columns, shift, from_each), y, weight


def _too_many(model: Model, num_rows: int, max_rows: int, max_bytes: int) -> str:
    """Why there are no areas: '' unless there are too many rows or logits."""
    if num_rows > max_rows:
        return f"more than evaluate.max_rows={max_rows} rows"
    num_bytes = num_rows * model.head.outputs * np.dtype(model.dtype).itemsize
    if num_bytes > max_bytes:
        return f"logits of {num_bytes} bytes, more than evaluate.max_bytes={max_bytes}"
    return ""


def _part(model: Model, logits: np.ndarray, y: np.ndarray, weight: np.ndarray, *, with_areas: bool) -> tuple:
    """What is kept of a block of B rows with logits [B, m], labels [B] and weights [B].

    Returns:
        The sums of `metrics.sums`; with areas also a tuple of rows of weight > 0: the columns [B, m] and the
        shift [B] of `metrics.ranking`, the labels and the weights.
    """
    num_classes = len(model.class_names)
    if model.head.is_one_vs_rest:
        logits = metrics.log_sigmoid(logits)
    sums = metrics.sums(logits, y, weight, num_classes, model.cut)
    if not with_areas:
        return (sums,)
    if not weight.all():
        real = weight > 0
        logits, y, weight = logits[real], y[real], weight[real]
    return sums, (*metrics.ranking(logits, num_classes), y, weight)


def _on_host(
    part_of: Callable, model: Model, source: Source, rows: np.ndarray, devices: Devices
) -> Iterator[tuple]:
    """The parts of this worker's rows, in their order, from logits in NumPy."""
    kernel, bias = model.kernel.astype(model.dtype), model.bias.astype(model.dtype)

    def of_block(batch: Batch) -> tuple:
        with np.errstate(over="ignore", invalid="ignore"):  # logits that are not finite are reported
            x = batch.x.astype(model.dtype, copy=False)
            logits = x @ kernel if csr.issparse(x) else np.dot(x, kernel)
            logits += bias
            logits += batch.offset.astype(model.dtype, copy=False)
        return part_of(logits, batch.y, batch.weight)

    mine = shards.rows_of(rows, devices.workers.replicas, devices.replicas)
    # Sparse rows of a million features are as short as their values, so many of them make a block.
    block = max(1, host_rows.CACHED // max(source.numbers_a_row, kernel.shape[1]))
    return host_rows.in_parallel(of_block, source, mine, source.numbers_a_row * block)


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
