"""`tf_logreg.train`: a data frame and the name of its label -> a `Model`; or a config's whole run."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg import outcome
from tf_logreg.data import dataset as datasets
from tf_logreg.data import digest, tabular
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError
from tf_logreg.fit import learn, progress, refit
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model.model import Model
from tf_logreg.results import measurement
from tf_logreg.results import workdir as directory
from tf_logreg.tables import frames

if TYPE_CHECKING:
    from tf_logreg.tables.table import Table


def train(data: Any, workdir: str = "", *, label: str = "", config: ConfigDict | None = None, **where) -> Any:
    """Fits a data frame, or runs a config.

    Args:
        data: rows as a pandas or polars DataFrame, a pyarrow Table, or a dict of arrays or lists [n]; or a
            config, as `tf_logreg.config.get_config()` describes it.
        workdir: directory for the run's files; of a frame '' for none.
        label: of a frame, the column to predict.
        config: of a frame, what else is asked for: penalties, data.columns, data.test_fraction, ...; None for
            the config `table`, whose l2 is chosen by five folds, and a fifth of the rows measured.
        **where: strategy, dtype, engine, overwrite, ... as `training.train_and_evaluate` takes them.

    Returns:
        Of a frame the `Model`, whose `result` tells how it came about; of a config what `result.json` holds.

    Raises:
        InputError: rows or settings that cannot be used.
        RunError: the fit diverged.
    """
    if isinstance(data, ConfigDict):
        from tf_logreg import training  # imports TensorFlow

        if label or config is not None:
            raise InputError(
                "label, config: expected none beside a config, which names its label. Received: one."
            )
        return training.train_and_evaluate(data, workdir, **where)
    if not frames.is_frame(data):
        raise InputError(
            "data: expected a data frame (pandas, polars, pyarrow, a dict of columns) or a config. "
            f"Received: {type(data).__name__}."
        )
    table = frames.table_of(data, "data")
    settings = _settings(config, label)
    if workdir:
        return _run(table, settings, workdir, **where)
    return _learn(table, settings, **where)


def _settings(config: ConfigDict | None, label: str) -> ConfigDict:
    """The settings of a frame's fit, checked."""
    settings = ConfigDict((configs.load("table") if config is None else config).to_dict())
    settings.data.source, settings.data.args = "frame", {}
    settings.data.label = label or settings.data.label
    configs.validate(settings)
    return settings


def _prepared(table: Table, settings: ConfigDict, devices: Devices, files: dict) -> datasets.Dataset:
    """The rows of a frame, split, encoded and checked."""
    source, rows = tabular.read(table, settings, tabular.given_schema(settings.data))
    source = datasets.with_offset_of(datasets.with_classes_of(source, settings), settings)
    return datasets.of_rows(source, rows, settings, devices, files=files)


def _devices(
    settings: ConfigDict,
    strategy: Any = None,
    dtype: str = "float32",
    device_memory_fraction: float = 0.5,
    engine: str = "auto",
) -> Devices:
    """Where a frame is fitted: on the CPU without TensorFlow, unless batches or a strategy ask for it."""
    if strategy is None and settings.solver.name == "minibatch":
        from tf_logreg.devices.strategies import make_strategy  # imports TensorFlow

        strategy = make_strategy()
    return Devices(strategy, dtype, device_memory_fraction, engine)


def _learn(table: Table, settings: ConfigDict, *, overwrite: bool = False, **where) -> Model:
    """A fit without files, so nothing is overwritten."""
    del overwrite
    devices = _devices(settings, **where)
    clock = progress.Clock()
    dataset = _prepared(table, settings, devices, {})
    learn.check(settings, dataset, devices)
    saved_rows, monitor = refit.dataset_of(settings, dataset, devices), Monitor()
    clock.lap("data")
    fit = learn.learn(settings, dataset, devices, monitor)
    clock.lap("fit")
    metrics, _ = measurement.evaluate_model(
        settings.evaluate, fit.model.in_units(dataset.exponent), dataset.source, dataset.rows, devices
    )
    clock.lap("evaluate")
    saved, measured = refit.refit(settings, fit, saved_rows, devices, monitor), None
    if saved is not fit:
        measured = outcome.measured_of(fit, dataset)
        clock.lap("refit")
    result = outcome.record_of(saved, saved_rows, devices, metrics, clock.seconds, measured)
    return dataclasses.replace(outcome.with_rows(saved.model, saved_rows), result=result)


def _run(table: Table, settings: ConfigDict, workdir: str, *, overwrite: bool = False, **where) -> Model:
    """`_learn` in a work directory, with all files of a run; a finished one is not repeated."""
    from tf_logreg import training  # imports TensorFlow, which saves the Keras model and the SavedModel

    devices = _devices(settings, **where)
    files = digest.of_arrays({name: _bytes(table, name) for name in table.columns.column_names})
    data = training.Data(
        prepare=functools.partial(_prepared, table, settings, devices, files), digests=lambda _: files
    )
    result = training.run(settings, workdir, devices, data, overwrite=overwrite)
    return dataclasses.replace(directory.load(workdir), result=result)


def _bytes(table: Table, name: str) -> np.ndarray:
    """A column as bytes, in Arrow's own form, to tell whether it has changed: uint8 [bytes]."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    column = table.columns.select([name]).combine_chunks()
    with pa.ipc.new_stream(sink, column.schema) as writer:
        writer.write_table(column)
    return np.frombuffer(sink.getvalue(), np.uint8)
