"""Rows on the host as NumPy arrays, block by block."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tf_logreg import machine
from tf_logreg.data.source import Batch, Source

CACHED = 2**18  # numbers in a block: as many as a core's cache holds in float64
NUMBERS_A_SUM = 16  # of sparse rows, in a block, for each of its sums
_FEWEST = 8  # rows in a block of very wide ones: to add up a block's sums takes as long as to read a row


def host_batches(source: Source, rows: np.ndarray, elements: int = CACHED) -> Iterator[Batch]:
    """One pass over raw rows in their order as NumPy arrays, without padding.

    Args:
        source: where rows are read.
        rows: int64 [n] row ids.
        elements: numbers in a block of rows in memory.
    """
    if source.host is not None:
        yield from map(source.host, _blocks(source, rows, elements))
    elif len(rows):
        yield from _streamed(source, rows)


def in_parallel(
    function: Callable[[Batch], Any], source: Source, rows: np.ndarray, elements: int = CACHED
) -> Iterator:
    """function(batch) of each of the `host_batches`, in order; each core reads and works on one at a time."""
    if source.host is not None:
        blocks = _blocks(source, rows, elements)
        return machine.in_parallel(lambda ids: function(source.host(ids)), blocks)
    return machine.in_parallel(function, host_batches(source, rows))


def _blocks(source: Source, rows: np.ndarray, elements: int) -> Iterator[np.ndarray]:
    """Row ids, block by block."""
    if source.sparse:  # sums have a number a column, which takes as long to add as some of a row to read
        elements = max(elements, NUMBERS_A_SUM * len(source.feature_names))
    block = max(_FEWEST, elements // source.numbers_a_row)
    return (rows[start : start + block] for start in range(0, len(rows), block))


def _streamed(source: Source, rows: np.ndarray) -> Iterator[Batch]:
    """`host_batches` of a source that is read through TensorFlow."""
    from tf_logreg.data.pipeline import sequential_batches  # imports TensorFlow, which this source needs

    for batch in sequential_batches(source, rows).as_numpy_iterator():
        real = batch.row >= 0
        yield batch if real.all() else Batch(*(array[real] for array in batch))
