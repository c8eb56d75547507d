"""From the config's minibatch section to a fit: its length, optimiser, feed and early stopping."""

import logging
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from tf_logreg.data import moments, pipeline
from tf_logreg.data.source import Source
from tf_logreg.devices import interrupt, placement, workers
from tf_logreg.errors import InputError
from tf_logreg.fit import checkpoint, progress
from tf_logreg.fit.minibatch import feed, loop, optimizers, schedules
from tf_logreg.fit.minibatch.early_stopping import EarlyStopping
from tf_logreg.fit.result import FitResult

log = logging.getLogger(__name__)

_MOST_STEPS = 2**53  # whole numbers that a float64 holds


def training_columns(
    config: ConfigDict, source: Source, scan: moments.Scan, exponent: np.ndarray
) -> moments.Affine:
    """Columns centred where there is a bias, and scaled when the config standardises.

    Raises:
        InputError: a column far from ordinary size that is not to be scaled.
    """
    odd = np.flatnonzero(exponent)
    if odd.size and not config.standardize:
        largest = np.ldexp(scan.largest[odd[0]], exponent[odd[0]])
        raise InputError(
            "standardize: expected True with solver.name='minibatch' for a column of values up to "
            f"{largest:.3g}. Received: False, and column {source.columns[odd[0]]!r}."
        )
    return moments.affine(
        scan, standardize=config.standardize, bias=config.model.bias, dtype=source.x_dtype, exponent=exponent
    )


def fit_minibatch(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: np.ndarray,
    columns: moments.Affine,
    *,
    strategy: tf.distribute.Strategy,
    dtype: str,
    length: loop.Length,
    checkpoints: checkpoint.Checkpoints,
    device_memory_fraction: float = 0.5,
    weight_of_class: np.ndarray | None = None,
    validation_metric: Callable[[], float | None] = lambda: None,
    record: Callable[[str, float, int], None] = lambda name, value, step: None,
) -> FitResult:
    """Trains the model on rows, in training units, by the config's optimiser."""
    options, stopping = config.minibatch, config.minibatch.early_stopping
    batch_size, dtype = _batch_size(config, len(rows)), tf.as_dtype(dtype)
    decay = options.schedule.decay_steps or max(length.steps - options.schedule.warmup_steps, 1)
    with strategy.scope():
        rate = schedules.Schedule(**{**options.schedule, "decay_steps": decay}, peak=options.learning_rate)
        optimizer = optimizers.make(options.optimizer, rate, options.optimizer_args, config.l1)
    loop.build_optimizer(strategy, optimizer, model)
    update = loop.make_update(
        model,
        optimizer,
        l1=config.l1,
        l2=config.l2,
        clip_norm=options.clip_norm,
        class_weight=weight_of_class,
    )
    layout = {"batch_size": batch_size, "seed": config.seed, "columns": columns, "dtype": dtype}
    if placement.fits(strategy, len(rows), len(source.columns), dtype, device_memory_fraction):
        run = feed.resident(strategy, source, rows, update, **layout)
    else:
        log.info("The training rows take more than the share of device memory: they are streamed.")
        replicas = strategy.num_replicas_in_sync

        def batches(start: int, mine: range) -> tf.data.Dataset:
            return pipeline.training_batches(
                source, rows, replicas=replicas, mine=mine, epochs=options.epochs, start=start, **layout
            )

        run = feed.streamed(strategy, batches, update)
    early_stopping = None
    if stopping.metric:
        early_stopping = EarlyStopping(
            validation_metric, stopping.metric, stopping.patience, stopping.restore_best
        )
    with progress.bar(length.steps) as show, interrupt.listen() as interrupted:

        def report(step: int, objective: float, steps_per_second: float) -> None:
            show(step, objective, steps_per_second * batch_size)
            record("train/objective", objective, step)

        return loop.fit(
            model,
            optimizer,
            run,
            length=length,
            report=report,
            checkpoints=checkpoints,
            early_stopping=early_stopping,
            interrupted=lambda: workers.of(strategy).any(interrupted()),
        )


def length_of_run(config: ConfigDict, num_rows: int, replicas: int) -> loop.Length:
    """How many steps the config means for so many training rows.

    Raises:
        InputError: replicas without a row in a batch, or a schedule longer than the run.
    """
    options, batch_size = config.minibatch, _batch_size(config, num_rows)
    if not batch_size >= replicas <= pipeline.VIRTUAL_SHARDS:
        raise InputError(
            f"minibatch.batch_size: expected at least {replicas}, one row a replica (of which there may be "
            f"{pipeline.VIRTUAL_SHARDS}). Received: {options.batch_size} for {num_rows} training rows."
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


def _batch_size(config: ConfigDict, num_rows: int) -> int:
    """Rows in a global batch: the config's, all when it says 0, never more than there are."""
    return min(config.minibatch.batch_size or num_rows, num_rows)
