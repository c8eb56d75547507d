"""Which engine makes the passes. TensorFlow is imported by the one that needs it."""

import numpy as np

from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.engines.engine import Engine


def placed_or_streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over some rows, which are placed on the devices once when there is room.

    Args:
        devices: where they are made.
        source: where rows are read.
        rows: int64 [n], their ids.
        columns: how training columns come from raw ones.
        folds: int32 [n], or None when no problem holds a fold out.
    """
    from tf_logreg.engines import on_devices

    return on_devices.placed_or_streamed(devices, source, rows, columns, folds)


def streamed(devices: Devices, source: Source, rows: np.ndarray, columns: Affine) -> Engine:
    """Passes over rows that are read a few times only, and so are not placed; arguments are as above."""
    from tf_logreg.engines import on_devices

    return on_devices.streamed(devices, source, rows, columns)
