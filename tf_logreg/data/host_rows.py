"""Rows on the host as NumPy arrays, block by block."""

from collections.abc import Iterator

import numpy as np

from tf_logreg.data.source import Batch, Source


def host_batches(source: Source, rows: np.ndarray, elements: int = 2**18) -> Iterator[Batch]:
    """One pass over raw rows in their order as NumPy arrays, without padding.

    Args:
        source: where rows are read.
        rows: int64 [n] row ids.
        elements: numbers in a block of rows in memory: as many as a core's cache holds in float64.
    """
    if not len(rows):
        return
    if source.host is not None:
        block = max(1, elements // len(source.feature_names))
        for start in range(0, len(rows), block):
            yield source.host(rows[start : start + block])
        return
    from tf_logreg.data.pipeline import sequential_batches  # imports TensorFlow, which this source needs

    for batch in sequential_batches(source, rows).as_numpy_iterator():
        real = batch.row >= 0
        yield batch if real.all() else Batch(*(array[real] for array in batch))
