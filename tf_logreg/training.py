"""The whole story, read top to bottom: data -> fit -> evaluate -> save -> export."""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from ml_collections import ConfigDict

import tf_logreg
from tf_logreg import config as configs
from tf_logreg import storage
from tf_logreg.data import dataset as datasets
from tf_logreg.data import digest
from tf_logreg.data.dataset import Dataset
from tf_logreg.data.names import describe
from tf_logreg.devices import interrupt
from tf_logreg.devices.choices import DTYPES
from tf_logreg.devices.devices import Devices
from tf_logreg.devices.strategies import check_surroundings, make_strategy
from tf_logreg.errors import InputError, InterruptError
from tf_logreg.export import saved_model
from tf_logreg.fit import learn, progress
from tf_logreg.fit.checkpoint import Checkpoints
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Fit
from tf_logreg.model import coefficients
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model
from tf_logreg.results import events, measurement
from tf_logreg.results import path as path_files
from tf_logreg.results import record as records
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)


def train_and_evaluate(
    config: ConfigDict,
    workdir: str,
    *,
    strategy: tf.distribute.Strategy | None = None,
    dtype: str = "float32",
    device_memory_fraction: float = 0.5,
    overwrite: bool = False,
    record: dict | None = None,
) -> dict:
    """Runs a config and fills the work directory.

    Args:
        config: as `tf_logreg.config.get_config()` describes it.
        workdir: directory for the run's files; a finished run of the same config is not repeated, an
            interrupted one is resumed from its newest checkpoint.
        strategy: where replicas live; one device when None. Of several workers each makes this call, and
            only the first, the chief, writes.
        dtype: of X while training: float32, float64 or bfloat16 (weights stay float32).
        device_memory_fraction: training rows that take at most this share of the devices' memory are
            placed there once; more are streamed.
        overwrite: replace what run of ours is in workdir, an unfinished one of the same config too.
        record: further facts (the flags) to keep in `config.json`.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: the config, the data or the directory cannot be used; nothing was written.
        RunError: the fit diverged, or the directory was deleted or taken over; no result was written.
        InterruptError: SIGINT or SIGTERM came; a checkpoint is saved, the same call without `overwrite`
            resumes.
    """
    check_surroundings(strategy)
    devices = Devices(strategy or make_strategy(), dtype, device_memory_fraction)
    clock = progress.Clock()
    devices.together(lambda: _check(config, devices))
    record = _record(config, devices, record or {})
    run = directory.of(workdir)
    if finished := devices.from_chief(lambda: _find(run, config, record, overwrite)):
        return finished
    clock.lap("setup")

    # Everything that bad data can break happens before the directory is touched.
    dataset = datasets.prepare(config, devices)
    if absent := _absent_classes(dataset):
        log.warning("%s", absent)
    learn.check(config, dataset, devices)
    start = _start(config, dataset, devices)
    clock.lap("data")

    with _owned(run, devices) as run:
        record["data"] = dataset.files
        # Another process may have been there while the data were read.
        if finished := devices.from_chief(lambda: _begin(run, config, record, overwrite)):
            return finished
        with _monitor(config, dataset, devices, run, record, overwrite) as monitor:
            fit = learn.learn(config, dataset, devices, monitor, start)
        clock.lap("fit")

        metrics, arrays = _measure(config.evaluate, fit.model, dataset, devices)
        clock.lap("evaluate")

        # Only the chief writes; when its disk refuses, the others are told.
        devices.from_chief(lambda: _write_artefacts(run, fit, metrics, arrays))
        clock.lap("export")
        found = _result(fit, dataset, devices, metrics, clock.seconds)
        devices.from_chief(lambda: run.write_json("result.json", found))
    return found


def _check(config: ConfigDict, devices: Devices) -> None:
    """What can be said of the arguments before any data are read."""
    configs.validate(config)
    if devices.dtype not in DTYPES:
        raise InputError(f"--dtype: expected one of {', '.join(DTYPES)}. Received: {devices.dtype!r}.")
    if not 0 <= devices.memory_fraction <= 1:
        raise InputError(
            f"--device_memory_fraction: expected a share in [0, 1]. Received: {devices.memory_fraction}."
        )


def _absent_classes(dataset: Dataset) -> str:
    """Which declared classes are not in the model, for people; '' when all are."""
    absent = dataset.source.absent_classes
    if not absent:
        return ""
    declared = len(absent) + dataset.num_classes
    return f"{len(absent)} of {declared} declared classes have no rows and are left out: {describe(absent)}"


def _record(config: ConfigDict, devices: Devices, further: dict) -> dict:
    """What `config.json` keeps, the same on every worker."""
    # As JSON gives it back, so that it equals what an earlier run wrote.
    record = json.loads(json.dumps({"config": config.to_dict(), "dtype": devices.dtype, **further}))
    devices.same({key: record[key] for key in ("config", "dtype")}, "--config, --dtype")
    return record


def _find(run: storage.Folder, config: ConfigDict, record: dict, overwrite: bool) -> dict | None:
    """The result of the same run where it is finished already."""
    found = directory.find_run(
        run, record, lambda known: datasets.digests(config, known), overwrite=overwrite
    )
    if found:
        log.info("%s holds this run, finished.", run.path)
    return found


def _start(config: ConfigDict, dataset: Dataset, devices: Devices) -> Model | None:
    """The model of the run that solver.warm_start names, which the chief reads for all."""
    if not config.solver.warm_start:
        return None
    names = dataset.source.feature_names, dataset.source.class_names
    head = heads.resolve(config.model.output, dataset.num_classes)
    folder = directory.of(config.solver.warm_start, "solver.warm_start")
    kernel, bias = devices.from_chief(lambda: coefficients.read_start(folder, *names, head))
    return Model(kernel, bias, *names, head)


@contextlib.contextmanager
def _owned(run: storage.Folder, devices: Devices) -> Iterator[storage.Folder]:
    """The work directory, which the chief owns until the block ends, however it ends."""
    mine = [run]
    with contextlib.ExitStack() as held:

        def own() -> None:
            mine[0] = held.enter_context(run.owned())

        devices.from_chief(own)
        yield mine[0]


def _begin(run: storage.Folder, config: ConfigDict, record: dict, overwrite: bool) -> dict | None:
    """Makes the directory this run's, unless it turns out to be finished."""
    if (finished := _find(run, config, record, overwrite)) is None:
        directory.start_run(run, record, overwrite=overwrite)
    return finished


@contextlib.contextmanager
def _monitor(
    config: ConfigDict, dataset: Dataset, devices: Devices, run: storage.Folder, record: dict, overwrite: bool
) -> Iterator[Monitor]:
    """What the fit tells and asks; closed, the events are whole.

    Raises:
        InterruptError: with another remedy where `overwrite` would begin again.
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
    """Metrics by role, all roles when () is given, and their arrays."""
    rows = {role: ids for role, ids in dataset.rows.items() if not roles or role in roles}
    return measurement.evaluate_model(
        options, model.in_units(dataset.exponent), dataset.source, rows, devices
    )


def _write_artefacts(run: storage.Folder, fit: Fit, metrics: dict, arrays: dict) -> None:
    """Writes everything but `result.json`, whose presence says that all else is there."""
    model = fit.model
    with events.recorder(run) as note:
        for role, values in metrics.items():
            for name in ("log_loss", "accuracy"):
                if values[name] is not None:
                    note(f"{role}/{name}", values[name], fit.trained.iterations)
    run.write_with("model.keras", model.to_keras().save)
    coefficients.write(run, model)
    run.write_arrays("metrics.npz", arrays)
    if fit.path is not None:
        path_files.write(run, fit.path, model.feature_names, model.class_names)
    run.publish("export", model.export, saved_model.MARKER)


def _result(fit: Fit, dataset: Dataset, devices: Devices, metrics: dict, seconds: dict) -> dict:
    """What `result.json` holds."""
    trained, certificate = fit.trained, fit.trained.certificate
    reductions = trained.iterations if fit.solver == "minibatch" else trained.passes
    return records.to_json(
        records.Result(
            status=fit.status,
            message="; ".join(filter(None, (fit.message, _absent_classes(dataset)))),
            objective=trained.objective,
            # Both bounds hold for the weights in float64. What is saved rounds them to weights_dtype, which
            # moves logits by 1e-4 at most.
            certified_gap=certificate.gap if certificate and fit.relative_gap is not None else None,
            relative_gap=fit.relative_gap,
            gradient_bound=certificate.gradient_bound if certificate else None,
            certificate=certificate.reason
            if certificate
            else "none: minibatch training makes no claim about the optimum",
            solver=fit.solver,
            iterations=trained.iterations,
            passes=trained.passes,
            num_rows=len(dataset.train),
            num_features=dataset.num_features,
            num_classes=dataset.num_classes,
            absent_classes=list(dataset.source.absent_classes),
            weights_dtype=fit.model.dtype,
            dependence=trained.dependence,
            path=None if fit.path is None else path_files.summary(fit.path),
            metrics=metrics,
            seconds=seconds,
            versions={
                "tf_logreg": tf_logreg.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
            strategy=type(devices.strategy).__name__,
            num_replicas=devices.replicas,
            num_workers=devices.workers.count,
            communication=_communication(fit, devices, reductions, seconds["fit"]),
        )
    )


def _communication(fit: Fit, devices: Devices, reductions: float, seconds: float) -> float | None:
    """The share of the fit's seconds that adding up over several workers took, about."""
    if devices.workers.count == 1:
        return None
    size = fit.model.kernel.size + fit.model.bias.size
    return min(1.0, devices.workers.seconds_to_reduce(size) * reductions / seconds)
