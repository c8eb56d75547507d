"""A whole run, from top to bottom: data -> fit -> evaluate (-> fit again, to all rows) -> save -> export."""

import contextlib
import dataclasses
import json
import logging
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg import artefacts, decision, outcome, priors, storage
from tf_logreg import config as configs
from tf_logreg.data import dataset as datasets
from tf_logreg.data import digest, encoders, identity
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices import interrupt
from tf_logreg.devices.choices import DTYPES
from tf_logreg.devices.devices import Devices, devices_of
from tf_logreg.devices.strategies import check_surroundings
from tf_logreg.errors import InputError, InterruptError
from tf_logreg.fit import learn, progress, refit
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.monitor import Monitor
from tf_logreg.model import coefficients
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model
from tf_logreg.results import events, measurement
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)


def train_and_evaluate(
    config: ConfigDict,
    workdir: str,
    *,
    strategy: tf.distribute.Strategy | str | None = "auto",
    dtype: str = "float32",
    device_memory_fraction: float = 0.5,
    engine: str = "auto",
    overwrite: bool = False,
    record: dict | None = None,
    encoder: keras.Model | None = None,
) -> dict:
    """Runs a config and fills the work directory.

    Args:
        config: as `tf_logreg.config.get_config()` describes it.
        workdir: directory for the run's files; a finished run of the same config is not repeated, an
            interrupted one is resumed from its newest checkpoint.
        strategy: places the replicas; or a kind of `make_strategy`, where 'auto', or None, takes all that is
            here. With several workers each makes this call, and only the first, the chief, writes.
        dtype: of X while training: float32, float64 or bfloat16 (weights stay float32).
        device_memory_fraction: training rows that take at most this share of the devices' memory are
            placed there once; otherwise they are streamed.
        engine: what makes the passes of a full-batch fit: 'host' (NumPy), 'devices' (TensorFlow), or 'auto',
            which is the host where each process has only its CPU.
        overwrite: replace the run in workdir, even an unfinished one of the same config.
        record: further facts (the flags) to keep in `config.json`.
        encoder: a Keras model in front, in the place of data.encoder.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: the config, the data or the directory cannot be used; nothing was written.
        RunError: the fit diverged, or the directory was deleted or taken over; no result was written.
        InterruptError: SIGINT or SIGTERM arrived; a checkpoint is saved, and the same call without
            `overwrite` resumes from it.
    """
    check_surroundings(strategy)
    devices = devices_of(strategy, dtype, device_memory_fraction, engine, by_tensorflow=True)
    return run_config(config, workdir, devices, overwrite=overwrite, record=record, encoder=encoder)


def run_config(
    config: ConfigDict,
    workdir: str,
    devices: Devices,
    *,
    overwrite: bool = False,
    record: dict | None = None,
    encoder: keras.Model | None = None,
) -> dict:
    """Runs a config on some devices; other arguments, result and errors are those of `train_and_evaluate`."""
    if encoder is not None:
        config = encoders.with_model(config, encoder)
    devices.together(lambda: _check(config, devices))
    data = Data(
        lambda: datasets.prepare(config, devices, encoder),
        lambda known: identity.digests(config, known, encoder),
    )
    return run(config, workdir, devices, data, overwrite=overwrite, record=record)


@dataclasses.dataclass(frozen=True)
class Data:
    """Where the rows of a run come from.

    Attributes:
        prepare: reads and checks them.
        digests: identity of the rows as recorded earlier -> as it is now, see `identity.digests`.
    """

    prepare: Callable[[], Dataset]
    digests: Callable[[dict], dict]


def run(
    config: ConfigDict,
    workdir: str,
    devices: Devices,
    data: Data,
    *,
    overwrite: bool = False,
    record: dict | None = None,
) -> dict:
    """Runs a checked config on some rows; arguments, result and errors are those of `train_and_evaluate`."""
    clock = progress.Clock()
    of_rows = data.digests
    data = dataclasses.replace(data, digests=lambda known: priors.with_digest(config, of_rows(known), known))
    record = _record(config, devices, record or {})
    run = directory.of(workdir)
    if finished := devices.from_chief(lambda: _find(run, data, record, overwrite)):
        return finished
    clock.lap("setup")

    # Bad data must fail here, before the directory is touched.
    dataset = priors.with_prior(config, data.prepare(), devices)
    devices = devices.for_rows(sparse=dataset.source.sparse)
    if absent := outcome.absent_classes(dataset):
        log.warning("%s", absent)
    learn.check(config, dataset, devices)
    decision.check(config, dataset)
    saved_rows = refit.dataset_of(config, dataset, devices)
    start = _start(config, dataset, devices)
    clock.lap("data")

    with _owned(run, devices) as run:
        record["data"] = dataset.files
        # Another process may have used the directory while the data were read.
        if finished := devices.from_chief(lambda: _begin(run, data, record, overwrite)):
            return finished
        with _monitor(config, dataset, devices, run, record, overwrite) as monitor:
            fit = learn.learn(config, dataset, devices, monitor, start)
            clock.lap("fit")
            fit = decision.with_threshold(config, fit, dataset, devices)
            metrics, arrays = _measure(config.evaluate, fit.model, dataset, devices)
            if start is not None:  # what it answers is compared
                start = dataclasses.replace(start, threshold=fit.model.threshold)
            near = learn.distances_of(config, dataset, devices, fit)
            distance = outcome.distance_of(near, dataset, devices)
            began = None if start is None else _record_of_start(config, start, dataset, devices)
            clock.lap("evaluate")
            saved, measured = refit.refit(config, fit, saved_rows, devices, monitor), None
        if saved is not fit:
            measured = outcome.measured_of(fit, dataset)
            near = learn.distances_of(config, saved_rows, devices, saved)
            clock.lap("refit")
        saved = outcome.with_distances(saved, near)
        if config.inference.bootstrap:
            saved = learn.with_bootstrap(config, saved_rows, devices, saved)
            clock.lap("bootstrap")
        saved = dataclasses.replace(saved, model=outcome.with_rows(saved.model, saved_rows))

        # Only the chief writes; when its disk fails, all workers raise the error.
        devices.from_chief(lambda: artefacts.write(run, saved, metrics, arrays))
        clock.lap("export")
        found = outcome.record_of(
            saved, saved_rows, devices, metrics, clock.seconds, measured, began, distance
        )
        devices.from_chief(lambda: run.write_json("result.json", found))
    return found


def _check(config: ConfigDict, devices: Devices) -> None:
    """Checks the arguments before any data are read."""
    configs.validate(config)
    if devices.dtype not in DTYPES:
        raise InputError(f"--dtype: expected one of {', '.join(DTYPES)}. Received: {devices.dtype!r}.")
    if not 0 <= devices.memory_fraction <= 1:
        raise InputError(
            f"--device_memory_fraction: expected a share in [0, 1]. Received: {devices.memory_fraction}."
        )


def _record(config: ConfigDict, devices: Devices, further: dict) -> dict:
    """Contents of `config.json`, checked to be the same on every worker."""
    # After a round trip through JSON it compares equal to what an earlier run wrote.
    record = json.loads(json.dumps({"config": config.to_dict(), "dtype": devices.dtype, **further}))
    devices.same({key: record[key] for key in ("config", "dtype")}, "--config, --dtype")
    return record


def _find(run: storage.Folder, data: Data, record: dict, overwrite: bool) -> dict | None:
    """The result of this run if the directory holds it finished, else None."""
    found = directory.find_run(run, record, data.digests, overwrite=overwrite)
    if found:
        log.info("%s holds this run, finished.", run.path)
    return found


def _start(config: ConfigDict, dataset: Dataset, devices: Devices) -> Model | None:
    """The model of the run that solver.warm_start names, read by the chief for all workers."""
    if not config.solver.warm_start:
        return None
    names = dataset.source.feature_names, dataset.source.class_names
    head = heads.resolve(config.model.output, dataset.num_classes)
    folder = directory.of(config.solver.warm_start, "solver.warm_start")
    kernel, bias = devices.from_chief(lambda: coefficients.read_start(folder, *names, head))
    return Model(kernel, bias, *names, head)


def _record_of_start(config: ConfigDict, start: Model, dataset: Dataset, devices: Devices) -> dict:
    """What `result.json` says of the model that the fit started from."""
    objective = learn.objective(config, dataset, devices, start)
    metrics, _ = _measure(measurement.NO_AREAS, start, dataset, devices)
    kept = {
        role: {name: values[name] for name in ("log_loss", "accuracy")} for role, values in metrics.items()
    }
    return {"workdir": config.solver.warm_start, "objective": objective, "metrics": kept}


@contextlib.contextmanager
def _owned(run: storage.Folder, devices: Devices) -> Iterator[storage.Folder]:
    """The work directory, owned by the chief until the block ends, also by an exception."""
    mine = [run]
    with contextlib.ExitStack() as held:

        def own() -> None:
            mine[0] = held.enter_context(run.owned())

        devices.from_chief(own)
        yield mine[0]


def _begin(run: storage.Folder, data: Data, record: dict, overwrite: bool) -> dict | None:
    """Starts this run in the directory, or returns the run's result if it is already finished."""
    if (finished := _find(run, data, record, overwrite)) is None:
        directory.start_run(run, record, overwrite=overwrite)
    return finished


@contextlib.contextmanager
def _monitor(
    config: ConfigDict, dataset: Dataset, devices: Devices, run: storage.Folder, record: dict, overwrite: bool
) -> Iterator[Monitor]:
    """The monitor of the fit. On exit the events file is complete.

    Raises:
        InterruptError: with `overwrite`, the message says to leave it out, as it would start again.
    """
    checkpoints = Checkpoints(
        folder=run.below("checkpoints"),
        fingerprint={
            "config": record["config"],
            "dtype": devices.dtype,
            "data": digest.summary(dataset.files),
            "shape": [dataset.num_features, dataset.num_classes],
            "TensorFlow major version": tf.__version__.split(".")[0],
        },
        every_steps=config.checkpoint.every_steps,
        keep=config.checkpoint.keep,
        team=devices.workers,
    )

    def validation_metric(model: Model) -> float | None:
        metric = config.minibatch.early_stopping.metric
        options = config.evaluate if metric == "roc_auc" else measurement.NO_AREAS
        numbers, _ = _measure(options, model, dataset, devices, ("validation",))
        return numbers["validation"][metric]

    @contextlib.contextmanager
    def listen() -> Iterator[Callable[[], bool]]:
        with interrupt.listen() as interrupted:
            yield lambda: devices.any(interrupted())

    chief = devices.workers.is_chief
    with events.recorder(run) if chief else contextlib.nullcontext(events.silent) as note:
        try:
            yield Monitor(checkpoints, note, listen, validation_metric=validation_metric)
        except InterruptError as error:
            if overwrite:
                raise InterruptError(f"{error} Leave --overwrite out: it would begin again.") from None
            raise


def _measure(
    options: ConfigDict, model: Model, dataset: Dataset, devices: Devices, roles: tuple[str, ...] = ()
) -> tuple[dict, dict]:
    """Metrics by role and their arrays; () means all roles."""
    rows = {role: ids for role, ids in dataset.rows.items() if not roles or role in roles}
    return measurement.evaluate_model(
        options, model.in_units(dataset.exponent), dataset.source, rows, devices
    )
