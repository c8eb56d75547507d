"""Minibatch training by the config's minibatch section: its length, optimiser, feed and early stopping."""

import dataclasses
import logging
import math
from collections.abc import Callable

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import moments, pipeline, shards
from tf_logreg.data.dataset import Dataset
from tf_logreg.engines.engine import Engine
from tf_logreg.errors import InputError, RunError
from tf_logreg.fit import progress
from tf_logreg.fit.minibatch import feed, loop, optimizers, schedules
from tf_logreg.fit.minibatch.early_stopping import EarlyStopping
from tf_logreg.fit.result import Status, Trained
from tf_logreg.fit.task import Task
from tf_logreg.model import keras_model
from tf_logreg.model.head import Head
from tf_logreg.objective import records

log = logging.getLogger(__name__)

_MOST_STEPS = 2**53  # whole numbers that a float64 holds
_MOST_OF_START = 10  # training has diverged at more than this times the log loss at zero weights


def columns_of(settings: ConfigDict, dataset: Dataset) -> moments.Affine:
    """Columns centred where there is a bias, and scaled when the config standardises.

    Raises:
        InputError: a column has extreme values and would not be scaled.
    """
    standardize = dataset.scaled(settings)
    odd = np.flatnonzero((dataset.exponent != 0) & ~np.asarray(standardize))
    if odd.size:
        largest = np.ldexp(dataset.all_moments.largest[odd[0]], dataset.exponent[odd[0]])
        raise InputError(
            "standardize: expected True with solver.name='minibatch' for a column of values up to "
            f"{largest:.3g}. Received: False, and column {dataset.source.feature_names[odd[0]]!r}."
        )
    return moments.affine(
        dataset.all_moments,
        standardize=standardize,
        bias=settings.model.bias,
        dtype=dataset.source.x_dtype,
        exponent=dataset.exponent,
    )


def fit(
    task: Task,
    columns: moments.Affine,
    validation_metric: Callable[[np.ndarray, np.ndarray], float | None],
) -> Trained:
    """Trains on the training rows by the config's optimiser.

    Args:
        task: its settings' sections minibatch, model, l1 and l2 and the seed are read.
        columns: from `columns_of`.
        validation_metric: (kernel [p, m], bias [m] in training columns) -> the metric of early stopping.

    Raises:
        InputError: a checkpoint does not match, or cannot be written.
        RunError: training diverged with finite numbers.
    """
    settings, dataset, devices, head = task.settings, task.dataset, task.devices, task.head
    options, rows = settings.minibatch, dataset.train
    length, batch_size = (
        length_of_run(settings, len(rows), devices.replicas),
        _batch_size(settings, len(rows)),
    )
    with devices.strategy.scope():
        model = keras_model.build(
            dataset.num_features, head, bias=settings.model.bias, dtype=devices.weight_dtype
        )
        decay = options.schedule.decay_steps or max(length.steps - options.schedule.warmup_steps, 1)
        rate = schedules.Schedule(**{**options.schedule, "decay_steps": decay}, peak=options.learning_rate)
        optimizer = optimizers.make(options.optimizer, rate, options.optimizer_args, settings.l1)
    loop.build_optimizer(devices.strategy, optimizer, model)
    update = loop.make_update(
        model,
        optimizer,
        l1=settings.l1,
        l2=settings.l2,
        clip_norm=options.clip_norm,
        class_weight=task.class_weight,
    )
    order = pipeline.Order(batch_size, options.epochs, settings.seed)
    run, engine = feed.placed_or_streamed(devices, dataset, columns, order, update)

    def metric_now() -> float | None:
        return validation_metric(*keras_model.get_weights(model))

    stopping = options.early_stopping
    watched = EarlyStopping(metric_now, stopping.metric, stopping.patience, stopping.restore_best)
    with progress.bar(length.steps) as show, task.monitor.listening() as monitor:

        def report(step: int, objective: float, steps_per_second: float) -> None:
            show(step, objective, steps_per_second * batch_size)
            monitor.record("train/objective", objective, step)

        trained = loop.fit(
            model,
            optimizer,
            run,
            length=length,
            report=report,
            monitor=monitor,
            early_stopping=watched if stopping.metric else None,
        )
    if trained.status not in (Status.FINISHED, Status.STOPPED_EARLY):
        return trained
    loss = _log_loss(engine, trained, head, task.class_weight)
    if not settings.data.offset:
        _refuse_nonsense(loss, head.num_classes, trained.iterations)
    kernel = trained.kernel.astype(np.float64)
    penalty = settings.l2 / 2 * np.square(kernel).sum() + settings.l1 * np.abs(kernel).sum()
    return dataclasses.replace(trained, objective=loss + float(penalty))


def _log_loss(engine: Engine, trained: Trained, head: Head, class_weight: np.ndarray | None) -> float:
    """The final log loss of the training rows, in nats, with the class weights of training."""
    weight = np.ones(head.num_classes) if class_weight is None else class_weight
    problem = records.Problems(np.full(1, -1, np.int32), weight[None])
    w = np.vstack([trained.kernel, trained.bias])[None]
    total, loss = engine.sums("value", (w,), problem, 4 * head.outputs)
    return float(loss[0] / total[0])


def _refuse_nonsense(log_loss: float, num_classes: int, steps: int) -> None:
    """Refuses training that diverged with finite numbers, as with a learning rate of 1e10.

    Training starts at zero weights, whose loss is log C for any rows. A model with ten times that loss is
    confident and wrong; noise in the labels or the last steps does not come near it.

    Raises:
        RunError: the training rows' log loss is more than ten times that of the start.
    """
    start = math.log(num_classes)
    if not log_loss <= _MOST_OF_START * start:
        raise RunError(
            f"The fit diverged: after {steps} steps the log loss of the training rows is {log_loss:.3g}, "
            f"where weights of zero have {start:.3g} nats: lower minibatch.learning_rate or standardise."
        )


def length_of_run(settings: ConfigDict, num_rows: int, replicas: int) -> loop.Length:
    """Number of steps of a run over `num_rows` training rows.

    Raises:
        InputError: a batch has no row for some replica, or the schedule is longer than the run.
    """
    options, batch_size = settings.minibatch, _batch_size(settings, num_rows)
    if not batch_size >= replicas <= shards.VIRTUAL_SHARDS:
        raise InputError(
            f"minibatch.batch_size: expected at least {replicas}, one row a replica (of which there may be "
            f"{shards.VIRTUAL_SHARDS}). Received: {options.batch_size} for {num_rows} training rows."
        )
    per_epoch = pipeline.steps_per_epoch(num_rows, batch_size)
    length = loop.Length(per_epoch * options.epochs, per_epoch, options.steps_per_loop)
    if length.steps > _MOST_STEPS:
        raise InputError(
            f"minibatch.epochs: expected at most {_MOST_STEPS // per_epoch} of {per_epoch} steps each. "
            f"Received: {options.epochs}."
        )
    schedule = options.schedule
    if schedule.warmup_steps + schedule.decay_steps > length.steps:
        raise InputError(
            f"minibatch.schedule: expected at most the run's {length.steps} steps. Received: "
            f"warmup_steps={schedule.warmup_steps}, decay_steps={schedule.decay_steps}."
        )
    return length


def _batch_size(settings: ConfigDict, num_rows: int) -> int:
    """Rows in a global batch: minibatch.batch_size, at most all rows, and all rows for 0."""
    return min(settings.minibatch.batch_size or num_rows, num_rows)
