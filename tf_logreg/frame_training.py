"""`tf_logreg.train`: a data frame or a `tf.data.Dataset` -> a `Model`; or a config's whole run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import config as configs
from tf_logreg import decision, notebook, outcome, priors
from tf_logreg.data import dataset as datasets
from tf_logreg.data import digest, encoders, identity, labels, tabular, tf_dataset
from tf_logreg.data.arrays import from_arrays
from tf_logreg.devices.devices import Devices, devices_of
from tf_logreg.errors import InputError
from tf_logreg.fit import learn, progress, refit
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model import page
from tf_logreg.model.model import Model
from tf_logreg.results import measurement
from tf_logreg.results import workdir as directory
from tf_logreg.tables import frames

if TYPE_CHECKING:
    import keras

    from tf_logreg.tables.table import Table


def train(
    data: Any,
    workdir: str = "",
    *,
    label: str = "",
    config: ConfigDict | None = None,
    encoder: keras.Model | None = None,
    **where,
) -> Any:
    """Fits a data frame or a dataset, or runs a config.

    Args:
        data: rows as a pandas or polars DataFrame, a pyarrow Table, or a dict of arrays or lists [n]; or as a
            `tf.data.Dataset` of (features, label) or (features, label, weight), as `data.tf_dataset.read`
            takes it; or a config, as `tf_logreg.config.get_config()` describes it.
        workdir: directory for the run's files; of rows '' for none.
        label: of a frame, the column to predict.
        config: of rows, what else is asked for: penalties, data.test_fraction, data.columns, ...; None for
            the config `table`, whose l2 is chosen by five folds, and a fifth of the rows measured.
        encoder: a Keras model whose vectors of the rows are the features, in the place of data.encoder; not
            with a frame.
        **where: strategy, dtype, engine, overwrite, ... as `training.train_and_evaluate` takes them. 'auto'
            is the default, and fits a frame without TensorFlow where there is no GPU and no TPU.

    Returns:
        Of rows the `Model`, whose `result` tells how it came about; of a config what `result.json` holds. A
        notebook shows either as a table, and what is logged and the progress while it waits.

    Raises:
        InputError: rows or settings that cannot be used.
        RunError: the fit diverged.
        InterruptError: with a workdir, SIGINT or SIGTERM arrived; the same call goes on.
    """
    with notebook.log_lines(notebook.is_running()):
        if not isinstance(data, ConfigDict):
            return _of_rows(data, workdir, label, config, encoder, **where)
        from tf_logreg import training  # imports TensorFlow

        if label or config is not None:
            raise InputError(
                "label, config: expected none beside a config, which names its label. Received: one."
            )
        return page.Result(training.train_and_evaluate(data, workdir, encoder=encoder, **where))


def _of_rows(
    data: Any, workdir: str, label: str, config: ConfigDict | None, encoder: keras.Model | None, **where
) -> Model:
    """`train` for all but a config."""
    if tf_dataset.is_dataset(data):
        if label:
            raise InputError(
                "label: expected '' beside a tf.data.Dataset, whose elements have it in the second place. "
                f"Received: {label!r}."
            )
        settings = _settings(config, "tf_dataset")
        if encoder is not None:
            settings = encoders.with_model(settings, encoder)
        given = _of_dataset(data, settings, encoder)
    elif frames.is_frame(data):
        if encoder is not None:
            raise InputError("encoder: expected none with a data frame. Received: a model.")
        settings = _settings(config, "frame", label)
        given = _of_frame(frames.table_of(data, "data"), settings)
    else:
        raise InputError(
            "data: expected a data frame (pandas, polars, pyarrow, a dict of columns), a tf.data.Dataset or "
            f"a config. Received: {type(data).__name__}."
        )
    if workdir:
        return _run(given, settings, workdir, **where)
    return _learn(given, settings, **where)


@dataclasses.dataclass(frozen=True)
class _Given:
    """Rows in memory.

    Attributes:
        prepare: (devices, digests) -> the rows, split, encoded and checked.
        digests: identity of what they held, as `digest.of_arrays` gives it.
    """

    prepare: Callable[[Devices, dict], datasets.Dataset]
    digests: Callable[[], dict]


def _settings(config: ConfigDict | None, source: str, label: str = "") -> ConfigDict:
    """The settings of a fit to rows in memory, checked."""
    settings = ConfigDict((configs.load("table") if config is None else config).to_dict())
    settings.data.source, settings.data.args = source, {}
    settings.data.label = label or settings.data.label
    configs.validate(settings)
    return settings


def _of_frame(table: Table, settings: ConfigDict) -> _Given:
    """The rows of a data frame."""

    def prepare(devices: Devices, files: dict) -> datasets.Dataset:
        source, rows = tabular.read(table, settings, tabular.given_schema(settings.data))
        source = datasets.with_offset_of(datasets.with_classes_of(source, settings), settings)
        return datasets.of_rows(source, rows, settings, devices, files=files)

    def digests() -> dict:
        return digest.of_arrays({name: _bytes(table, name) for name in table.columns.column_names})

    return _Given(prepare, digests)


def _of_dataset(dataset: Any, settings: ConfigDict, encoder: keras.Model | None) -> _Given:
    """The rows of a `tf.data.Dataset`, which is read here, once."""
    read = tf_dataset.read(dataset, settings.data.cache_dir)
    arrays = {name: array for name, array in read._asdict().items() if array is not None}

    def prepare(devices: Devices, files: dict) -> datasets.Dataset:
        y, class_names = labels.encode(read.y)
        x = read.x.reshape(len(y), -1)
        place = "row {} of the dataset, counted from 0".format
        source = from_arrays(x, y, class_names=class_names, weight=read.weight, place=place)
        if settings.data.encoder:
            source = dataclasses.replace(source, row_shape=read.x.shape[1:])
            encoding, known = encoders.Encoding(devices.strategy, encoder), digest.of_arrays(arrays)
            source = datasets.behind_encoder(source, settings, encoding, known)
        return datasets.of_source(source, settings, devices, files)

    def digests() -> dict:
        return identity.with_encoder(digest.of_arrays(arrays), settings, encoder)

    return _Given(prepare, digests)


def _devices(settings: ConfigDict, **where) -> Devices:
    """Where rows are fitted; batches need TensorFlow."""
    return devices_of(**where, by_tensorflow=settings.solver.name == "minibatch")


def _learn(given: _Given, settings: ConfigDict, *, overwrite: bool = False, **where) -> Model:
    """A fit without files, so nothing is overwritten."""
    del overwrite
    devices = _devices(settings, **where)
    clock = progress.Clock()
    dataset = priors.with_prior(settings, given.prepare(devices, {}), devices)
    devices = devices.for_rows(sparse=dataset.source.sparse)
    learn.check(settings, dataset, devices)
    decision.check(settings, dataset)
    saved_rows, monitor = refit.dataset_of(settings, dataset, devices), Monitor()
    clock.lap("data")
    fit = learn.learn(settings, dataset, devices, monitor)
    clock.lap("fit")
    fit = decision.with_threshold(settings, fit, dataset, devices)
    metrics, _ = measurement.evaluate_model(
        settings.evaluate, fit.model.in_units(dataset.exponent), dataset.source, dataset.rows, devices
    )
    clock.lap("evaluate")
    near = learn.distances_of(settings, dataset, devices, fit)
    distance = outcome.distance_of(near, dataset, devices)
    saved, measured = refit.refit(settings, fit, saved_rows, devices, monitor), None
    if saved is not fit:
        measured = outcome.measured_of(fit, dataset)
        near = learn.distances_of(settings, saved_rows, devices, saved)
        clock.lap("refit")
    saved = outcome.with_distances(saved, near)
    if settings.inference.bootstrap:
        saved = learn.with_bootstrap(settings, saved_rows, devices, saved)
        clock.lap("bootstrap")
    result = outcome.record_of(saved, saved_rows, devices, metrics, clock.seconds, measured, None, distance)
    return dataclasses.replace(outcome.with_rows(saved.model, saved_rows), result=result)


def _run(given: _Given, settings: ConfigDict, workdir: str, *, overwrite: bool = False, **where) -> Model:
    """`_learn` in a work directory, with all files of a run; a finished one is not repeated."""
    from tf_logreg import training  # imports TensorFlow, which saves the Keras model and the SavedModel

    devices = _devices(settings, **where)
    files = given.digests()
    data = training.Data(prepare=lambda: given.prepare(devices, files), digests=lambda _: files)
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
