"""Selects the engine that makes the passes. Only an engine that needs TensorFlow imports it."""

from types import ModuleType

import numpy as np

from tf_logreg.data.moments import Affine
from tf_logreg.data.source import Source
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import on_host
from tf_logreg.engines.engine import Engine


def placed_or_streamed(
    devices: Devices, source: Source, rows: np.ndarray, columns: Affine, folds: np.ndarray | None = None
) -> Engine:
    """Passes over some rows: placed on the devices once if they fit, else streamed each time.

    Args:
        devices: where passes are made, and by which engine.
        source: where rows are read.
        rows: int64 [n], ids of the rows.
        columns: the map from raw to training columns.
        folds: int32 [n], or None when no problem holds a fold out.
    """
    return _module(devices).placed_or_streamed(devices, source, rows, columns, folds)


def copied_in_float64(source: Source, rows: np.ndarray, columns: Affine) -> Engine:
    """Passes in float64 over a copy of few rows on this host; arguments as above."""
    return on_host.copied_in_float64(source, rows, columns)


def streamed(devices: Devices, source: Source, rows: np.ndarray, columns: Affine) -> Engine:
    """Passes over rows that are read only a few times, so they are not placed; arguments as above."""
    return _module(devices).streamed(devices, source, rows, columns)


def _module(devices: Devices) -> ModuleType:
    """The module of the engine that `devices` names."""
    if devices.engine == "host":
        return on_host
    from tf_logreg.engines import on_devices

    return on_devices
