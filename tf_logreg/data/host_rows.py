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
        elements: numbers in a block.
    """
    yield from map(_reader(source, len(rows)), _blocks(source, rows, elements))


def in_parallel(
    function: Callable[[Batch], Any], source: Source, rows: np.ndarray, elements: int = CACHED
) -> Iterator:
    """function(batch) of each of the `host_batches`, in order; each core reads and works on one at a time."""
    read = _reader(source, len(rows))
    return machine.in_parallel(lambda ids: function(read(ids)), _blocks(source, rows, elements))


def _blocks(source: Source, rows: np.ndarray, elements: int) -> Iterator[np.ndarray]:
    """Row ids, block by block."""
    if source.sparse:  # sums have a number a column, which takes as long to add as some of a row to read
        elements = max(elements, NUMBERS_A_SUM * len(source.feature_names))
    block = max(_FEWEST, elements // source.numbers_a_row)
    return (rows[start : start + block] for start in range(0, len(rows), block))


def _reader(source: Source, num_rows: int) -> Callable[[np.ndarray], Batch]:
    """Row ids -> those rows, of a source that is read through TensorFlow too."""
    if source.host is not None:
        return source.host
    import tensorflow as tf

    # Traced, a source is read twice as fast; a few rows are read before it is.
    read = source.traced_read if num_rows * source.numbers_a_row > CACHED else source.read

    def arrays(rows: np.ndarray) -> Batch:
        with tf.device("CPU:0"):
            return Batch(*(array.numpy() for array in read(tf.constant(rows, tf.int64))))

    return arrays
