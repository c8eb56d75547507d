"""Rows as a fit sees them, on the host: training columns, labels, weights, offsets."""

import ml_dtypes
import numpy as np

from tf_logreg.data import csr, host_rows, shards
from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices import memory
from tf_logreg.devices.devices import Devices


def held_rows(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine
) -> tuple[list[np.ndarray], list[tuple[np.ndarray, ...]]]:
    """Reads the rows of each replica of this process, those of its shards.

    Args:
        devices: where the replicas are.
        source: where rows are read.
        rows: int64 [n] row ids.
        columns: the map from raw to training columns.

    Returns:
        Two lists over replicas: positions in `rows`, and (x, y, weight, offset) as arrays.
    """
    owners = shards.owner(np.arange(len(rows)), devices.replicas)
    positions = [np.flatnonzero(owners == replica) for replica in devices.workers.replicas]
    return positions, [read_rows(source, rows[mine], columns, devices.dtype) for mine in positions]


def read_rows(source: Source, rows: np.ndarray, columns: Affine, dtype: str) -> tuple[np.ndarray, ...]:
    """Training columns, labels, weights and offsets of some rows, on the host; X exists once."""
    x = memory.empty((len(rows), len(source.feature_names)), _numpy_dtype(dtype))
    y, weight = np.empty(len(rows), np.int32), np.empty(len(rows), np.float32)
    offset = np.empty((len(rows), source.offset_columns), "float64" if dtype == "float64" else source.x_dtype)
    shift, scale = columns.shift.astype(source.x_dtype), columns.scale.astype(source.x_dtype)
    start = 0
    for batch in host_rows.host_batches(source, rows):
        part, block = slice(start, start + len(batch.y)), csr.laid_out(batch.x)
        # Computed in the source's own dtype, then rounded once, while the block is in cache.
        if x.dtype == source.x_dtype:
            np.multiply(np.subtract(block, shift, out=x[part]), scale, out=x[part])
        else:
            x[part] = (block - shift) * scale
        y[part], weight[part], offset[part] = batch.y, batch.weight, batch.offset
        start = part.stop
    return x, y, weight, offset


def _numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype of a name, also for bfloat16."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
