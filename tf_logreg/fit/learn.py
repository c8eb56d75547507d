"""`learn`: fits a model to checked rows by the method that the settings name."""

import dataclasses
import logging
import time

import numpy as np
from ml_collections import ConfigDict

from tf_logreg import machine
from tf_logreg.data import moments, prior, sparse_arrays
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import load as engines
from tf_logreg.engines.engine import Engine
from tf_logreg.errors import InterruptError, RunError
from tf_logreg.fit import class_weight, distances, inference, penalties
from tf_logreg.fit.bootstrap import bootstrap
from tf_logreg.fit.full_batch import memory, optimum
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.path import choice
from tf_logreg.fit.path.path import Path
from tf_logreg.fit.result import Fit, Status, Trained
from tf_logreg.fit.task import Task
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model

log = logging.getLogger(__name__)

_MOST_ROUNDING = 1e-4  # of logits, from rounding the weights to the dtype in which they are saved


def check(settings: ConfigDict, dataset: Dataset, devices: Devices) -> None:
    """Checks that the settings suit the rows, before anything is written.

    Raises:
        InputError: they do not.
    """
    _check_engine(settings, dataset, devices)
    head = heads.resolve(settings.model.output, dataset.num_classes)
    _class_weight(settings, dataset, head)
    if settings.solver.name == "minibatch":
        from tf_logreg.fit.minibatch import training  # imports Keras, which nothing else here needs

        training.length_of_run(settings, len(dataset.train), devices.replicas)
        training.columns_of(settings, dataset)
        return
    method = optimum.method_name(settings.solver.name, l1=penalties.takes_l1(settings))
    inference.check(settings, dataset, devices)
    bootstrap.check(settings, dataset, devices)
    optimum.penalty_factor(settings.penalty_factor, dataset.source.feature_names)
    memory.check(method, head, dataset, devices, bias=settings.model.bias)
    if settings.path.penalty:
        settings = penalties.of_mean(settings, _sum_of_weights(settings, dataset))
        choice.check(settings, dataset, devices, head)


@machine.threads()
def learn(
    settings: ConfigDict, dataset: Dataset, devices: Devices, monitor: Monitor, start: Model | None = None
) -> Fit:
    """Fits a model to the training rows.

    Args:
        settings: a config; of its section data only the offset is used, as the dataset is already prepared.
        dataset: from `data.dataset.prepare` or `of_rows`.
        devices: where passes over the rows are made.
        monitor: saves and restores checkpoints, records progress, and may interrupt the fit.
        start: a model in raw units to start from; None for the method's own start.

    Raises:
        InputError: as of `check`; or a checkpoint does not match, or cannot be written.
        RunError: the fit diverged, or no strength of a path could be scored.
        InterruptError: the monitor ended the fit; its state is saved.
    """
    task = _task(settings, dataset, devices, monitor)
    fit = _by_minibatches(task) if settings.solver.name == "minibatch" else _to_the_optimum(task, start)
    return _checked(inference.with_inference(task.settings, fit, dataset, devices), dataset, devices)


@machine.threads()
def explore(settings: ConfigDict, dataset: Dataset, devices: Devices, monitor: Monitor) -> Path:
    """Fits a path alone, without the fit to all training rows that follows its choice.

    Arguments and errors are those of `learn`; settings.path.penalty is given.
    """
    task = _task(settings, dataset, devices, monitor)
    path, _ = _path(task, optimum.columns_of(task.settings, dataset))
    return path.in_raw_units(dataset.exponent)


def objective(settings: ConfigDict, dataset: Dataset, devices: Devices, model: Model) -> float | None:
    """F of a model in raw units on the training rows, nats, in float64: what a full-batch fit minimises.

    Args:
        settings: a config that `learn` has fitted to this dataset.
        dataset, devices: as of `learn`.
        model: of the same features and classes, such as the start of the fit.

    Returns:
        None where the bias of a saved model is shifted for class weights, as it is then not the one fitted.
    """
    task = _task_of(settings, dataset, devices, Monitor())
    if task.class_weight is not None and settings.correct_prior:
        return None
    return optimum.objective(
        task, optimum.columns_of(task.settings, dataset), model.in_units(dataset.exponent)
    )


def distances_of(
    settings: ConfigDict, dataset: Dataset, devices: Devices, fit: Fit
) -> distances.Distances | None:
    """How far the coefficients of a full-batch fit are from the optimum.

    Args:
        settings: a config that `learn` has fitted to this dataset.
        dataset, devices: as of `learn`. fit: what it found.

    Returns:
        None where there is no optimum to be near to, as of separated data, or none is sought.
    """
    if fit.solver == "minibatch" or fit.status is Status.SEPARATED:
        return None
    task = _task_of(_of_penalty(settings, fit), dataset, devices, Monitor())
    columns = optimum.columns_of(task.settings, dataset)
    # An inference moves the coefficients on, from where they were certified.
    certificate = None if fit.model.inference is not None else fit.trained.certificate
    gradient = None if certificate is None else certificate.gradient
    return distances.of_model(task, columns, fit.model.in_units(dataset.exponent), gradient)


def with_bootstrap(settings: ConfigDict, dataset: Dataset, devices: Devices, fit: Fit) -> Fit:
    """The fit with its bootstrap, where settings.inference asks for one and there is an optimum.

    Arguments are those of `distances_of`; `check` has passed.
    """
    if not settings.inference.bootstrap or fit.status is not Status.OPTIMAL:
        return fit
    task = _task_of(_of_penalty(settings, fit), dataset, devices, Monitor())
    columns = optimum.columns_of(task.settings, dataset)
    found = bootstrap.bootstrap(task, columns, fit.model.in_units(dataset.exponent))
    return dataclasses.replace(fit, model=dataclasses.replace(fit.model, bootstrap=found))


def _of_penalty(settings: ConfigDict, fit: Fit) -> ConfigDict:
    """The settings of a single fit with the penalty that a fit has."""
    settings = settings.copy_and_resolve_references()
    settings.l1, settings.l2, settings.C = fit.penalty.l1, fit.penalty.l2, 0.0
    return settings


def _check_engine(settings: ConfigDict, dataset: Dataset, devices: Devices) -> None:
    """InputError where TensorFlow would have to read sparse rows."""
    if dataset.source.sparse and (settings.solver.name == "minibatch" or devices.engine != "host"):
        raise sparse_arrays.not_by_tensorflow()


def _task(settings: ConfigDict, dataset: Dataset, devices: Devices, monitor: Monitor) -> Task:
    """The task of a fit that begins now, and in the log what its settings stand for."""
    _check_engine(settings, dataset, devices)
    task = _task_of(settings, dataset, devices, _within(settings.solver.time_limit, devices, monitor))
    if settings.C:
        log.info("C=%g is l1=%.6g, l2=%.6g.", settings.C, task.settings.l1, task.settings.l2)
    return dataclasses.replace(task, settings=_with_method(task.settings))


def _task_of(settings: ConfigDict, dataset: Dataset, devices: Devices, monitor: Monitor) -> Task:
    """The task with l1 and l2 for C, and the method as it is given."""
    head = heads.resolve(settings.model.output, dataset.num_classes)
    weights = _class_weight(settings, dataset, head)
    settings = penalties.of_mean(settings, _sum_of_weights(settings, dataset))
    if dataset.prior is not None:
        kernel = dataset.prior.in_units(dataset.exponent)
        dataset = dataclasses.replace(dataset, source=prior.with_offset(dataset.source, kernel))
    return Task(settings, dataset, devices, monitor, head, weights)


def _by_minibatches(task: Task) -> Fit:
    from tf_logreg.fit.minibatch import training

    columns = training.columns_of(task.settings, task.dataset)

    def validation_metric(kernel: np.ndarray, bias: np.ndarray) -> float | None:
        model = _model(task, columns, kernel, bias)
        # The same dtype in all epochs, so that the metrics compare.
        return task.monitor.validation_metric(dataclasses.replace(model, dtype=task.devices.weight_dtype))

    trained = training.fit(task, columns, validation_metric)
    return _fit_of(trained, task, columns)


def _to_the_optimum(task: Task, start: Model | None) -> Fit:
    """One certified fit; with a path, at the strength that it chose. The rows are read and placed once."""
    settings, dataset = task.settings, task.dataset
    columns, path = optimum.columns_of(settings, dataset), None
    if start is None and dataset.prior is not None:
        start = _model_of(task, dataset.prior.kernel, dataset.prior.bias)
    start = None if start is None else start.in_units(dataset.exponent)
    if not settings.path.penalty:
        trained = optimum.fit(task, optimum.placed(task, columns), columns, start)
    else:
        path, engine = _path(task, columns)
        if path.note:
            log.warning("path: %s", path.note)
        start = _model_of(task, *path.start)
        chosen = dataclasses.replace(task, settings=path.chosen(settings))
        trained = optimum.fit(chosen, optimum.placed(chosen, columns, engine), columns, start)
        task = chosen
    fit = _fit_of(trained, task, columns)
    path = None if path is None else path.in_raw_units(dataset.exponent)
    return dataclasses.replace(fit, path=path)


def _path(task: Task, columns: moments.Affine) -> tuple[Path, Engine]:
    """The path in the dataset's units, and the passes over the training rows."""
    settings, dataset, devices = task.settings, task.dataset, task.devices
    # Memory is measured before the rows take their part of it.
    at_once = choice.problems_at_once(settings, dataset, devices, task.head)
    engine = scored = engines.placed_or_streamed(
        devices, dataset.source, dataset.train, columns, dataset.folds.fold
    )
    if not settings.cv.folds:
        scored = engines.streamed(devices, dataset.source, dataset.rows["validation"], columns)
    path = choice.fit(task, engine, scored, columns, at_once)
    if task.prior is not None:
        kernel = path.kernel + task.prior
        path = dataclasses.replace(path, kernel=kernel, nonzeros=np.count_nonzero(kernel, axis=(2, 3)))
    return path, engine


def _model_of(task: Task, kernel: np.ndarray, bias: np.ndarray) -> Model:
    """A model to start from, [p, m] and [m]."""
    source = task.dataset.source
    return Model(kernel, bias, source.feature_names, source.class_names, task.head)


def _fit_of(trained: Trained, task: Task, columns: moments.Affine) -> Fit:
    """Weights in training columns -> the fit; RunError if it diverged, InterruptError if interrupted."""
    if trained.status is Status.DIVERGED:
        raise RunError(f"The fit diverged at step {trained.iterations}: {trained.status.explain()}.")
    if trained.status is Status.INTERRUPTED:
        explained = trained.status.explain()
        raise InterruptError(f"Interrupted after {trained.passes:.1f} passes over the rows: {explained}.")
    model = _model(task, columns, trained.kernel, trained.bias)
    message = trained.message or trained.status.explain()
    settings = task.settings
    penalty = penalties.penalty(settings, _sum_of_weights(settings, task.dataset))
    return Fit(model, trained.status, message, trained, settings.solver.name, trained.relative_gap, penalty)


def _within(seconds: float, devices: Devices, monitor: Monitor) -> Monitor:
    """The monitor that ends a fit after some seconds from now; 0 for any number."""
    if not seconds:
        return monitor
    end = time.monotonic() + seconds
    return dataclasses.replace(monitor, late=lambda: devices.any(time.monotonic() > end))


def _with_method(settings: ConfigDict) -> ConfigDict:
    """The settings with the method that solver.name='auto' stands for."""
    if settings.solver.name != "auto":
        return settings
    settings = settings.copy_and_resolve_references()
    settings.solver.name = optimum.method_name("auto", l1=penalties.takes_l1(settings))
    why = "exact zeros" if penalties.takes_l1(settings) else "a smooth objective"
    log.info("solver.name='auto' takes %s, for %s.", settings.solver.name, why)
    return settings


def _sum_of_weights(settings: ConfigDict, dataset: Dataset) -> float:
    return penalties.sum_of_weights(settings.class_weight, dataset.source, dataset.all_moments)


def _class_weight(settings: ConfigDict, dataset: Dataset, head: heads.Head) -> np.ndarray | None:
    """Class weights [C], or [C, C] for one-vs-rest with 'balanced'; None without any."""
    sums = dataset.all_moments.class_weight_sum
    return class_weight.parse(settings.class_weight, dataset.source.class_names, sums, head)


def _model(task: Task, columns: moments.Affine, kernel: np.ndarray, bias: np.ndarray) -> Model:
    """Kernel [p, m] and bias [m] in training columns -> the model in raw units, its prior corrected."""
    settings, dataset, head, dtype = task.settings, task.dataset, task.head, task.devices.weight_dtype
    kernel, bias = moments.fold_out(kernel, bias, columns)
    if task.prior is not None:
        kernel = kernel + task.prior
    bias = _correct_prior(bias, task)
    if dataset.exponent.any() or moments.rounding(kernel, bias, dataset.all_moments, dtype) > _MOST_ROUNDING:
        dtype = "float64"  # the saved model must give the same logits as the fitted one
    kernel, names = np.ldexp(kernel, -dataset.exponent[:, None]), dataset.source
    described = names.feature_names, names.class_names, head
    return Model(kernel, bias, *described, settings.model.bias, dtype, sparse=names.sparse)


def _correct_prior(bias: np.ndarray, task: Task) -> np.ndarray:
    """The bias [m] without the shift from class weights, if the settings ask for the correction."""
    if task.class_weight is None or not task.settings.correct_prior:
        return bias
    return bias - task.head.prior_shift(task.class_weight)


def _checked(fit: Fit, dataset: Dataset, devices: Devices) -> Fit:
    """The fit, with status `rounded` if rounding changes the saved model's logits too much."""
    model = fit.model
    if model.dtype != devices.weight_dtype:
        log.info("float32 cannot hold these coefficients: they are saved in float64, for float64 features.")
    kernel = np.ldexp(model.kernel, dataset.exponent[:, None])
    rounding = moments.rounding(kernel, model.bias, dataset.all_moments, model.dtype)
    if rounding <= _MOST_ROUNDING or fit.status in (
        Status.MAX_PASSES,
        Status.TIME_LIMIT,
        Status.SEPARATED,
    ):
        return fit
    message = f"{Status.ROUNDED.explain()}. In raw units its logits are off by up to {rounding:.0e}"
    log.warning(message)
    return dataclasses.replace(fit, status=Status.ROUNDED, message=message, relative_gap=None)
