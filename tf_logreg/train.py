"""The whole story, read top to bottom: data -> fit -> evaluate -> save -> export."""

import logging
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import pipeline, split, standardize
from tf_logreg.data.load import load
from tf_logreg.data.source import Source, describe, with_class_weight, with_positive_class
from tf_logreg.distribute import make_strategy
from tf_logreg.errors import InputError, InterruptError, RunError
from tf_logreg.fit import (
    checkpoint,
    class_weight,
    feed,
    interrupt,
    minibatch,
    optimizers,
    progress,
    schedules,
)
from tf_logreg.fit.early_stopping import EarlyStopping
from tf_logreg.fit.result import FitResult, Status
from tf_logreg.model import dense
from tf_logreg.results import evaluate, export
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)

DTYPES = ("float32", "float64", "bfloat16")


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
        strategy: where replicas live; one device when None.
        dtype: of X while training: float32, float64 or bfloat16 (weights stay float32).
        device_memory_fraction: training rows that take at most this share of the devices' memory are
            placed there once; more are streamed.
        overwrite: replace another run of ours in workdir.
        record: further facts (the flags) to keep in `config.json`.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: the config, the data or the directory cannot be used; nothing was written.
        RunError: the fit diverged; no result was written.
        InterruptError: SIGINT or SIGTERM came; a checkpoint is saved, the same call resumes.
    """
    clock = progress.Clock()
    configs.validate(config)
    if dtype not in DTYPES:
        raise InputError(f"--dtype: expected one of {', '.join(DTYPES)}. Received: {dtype!r}.")
    if not 0 <= device_memory_fraction <= 1:
        raise InputError(
            f"--device_memory_fraction: expected a share in [0, 1]. Received: {device_memory_fraction}."
        )
    record = {"config": config.to_dict(), "dtype": dtype, **(record or {})}
    finished = directory.find_run(workdir, record, overwrite=overwrite)
    if finished:
        log.info("%s holds this run, finished.", workdir)
        return finished
    strategy = strategy or make_strategy()
    clock.lap("setup")

    # Everything that bad data can break happens before the directory is touched.
    source, rows = read_data(config)
    shape = _shape(config, source)
    length = length_of_run(config, len(rows["train"]), strategy.num_replicas_in_sync)
    scans = {role: scan_rows(source, ids) for role, ids in rows.items()}
    _check_training_classes(source, scans["train"])
    columns = standardize.affine(
        scans["train"], standardize=config.standardize, bias=config.model.bias, dtype=source.x_dtype
    )
    weight_of_class = class_weight.parse(
        config.class_weight, source.class_names, scans["train"].class_weight_sum
    )
    directory.start_run(workdir, record, overwrite=overwrite)
    clock.lap("data")

    # Fit in training units; the weights are float32 even when X is kept in 16 bit. What comes out is
    # one plain model in raw units, with the prior put right.
    weight_dtype = "float64" if dtype == "float64" else "float32"
    raw_model = dense.build(**shape, dtype=weight_dtype)

    def set_raw_weights(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kernel, bias = standardize.fold_out(kernel, bias, columns)
        if weight_of_class is not None and config.correct_prior:
            bias = class_weight.correct_prior(bias, weight_of_class)
        dense.set_weights(raw_model, kernel, bias)
        return kernel, bias

    with strategy.scope():
        model = dense.build(**shape, dtype=weight_dtype)

    def validation_metric() -> float | None:
        set_raw_weights(*dense.get_weights(model))
        numbers, _ = evaluate_model(config, raw_model, source, {"validation": rows["validation"]}, strategy)
        return numbers["validation"][config.minibatch.early_stopping.metric]

    checkpoints = checkpoint.Checkpoints(
        folder=f"{workdir}/checkpoints",
        fingerprint={
            "config": record["config"],
            "dtype": dtype,
            "shape": [shape["num_features"], shape["num_classes"]],
            "TensorFlow major version": tf.__version__.split(".")[0],
        },
        every_steps=config.checkpoint.every_steps,
        keep=config.checkpoint.keep,
    )
    with tf.summary.create_file_writer(f"{workdir}/events").as_default():
        result = fit_minibatch(
            config,
            model,
            source,
            rows["train"],
            columns,
            strategy=strategy,
            dtype=dtype,
            device_memory_fraction=device_memory_fraction,
            length=length,
            weight_of_class=weight_of_class,
            checkpoints=checkpoints,
            validation_metric=validation_metric,
        )
    if result.status is Status.DIVERGED:
        raise RunError(f"The fit diverged at step {result.iterations}: {result.status.explain()}.")
    if result.status is Status.INTERRUPTED:
        raise InterruptError(
            f"Interrupted at step {result.iterations} of {length.steps}: {result.status.explain()}."
        )
    trained = dense.get_weights(model)
    kernel, bias = set_raw_weights(*trained)
    _warn_if_rounded(kernel, columns, weight_dtype)
    clock.lap("fit")

    numbers, arrays = evaluate_model(config, raw_model, source, rows, strategy)
    with tf.summary.create_file_writer(f"{workdir}/events").as_default(step=result.iterations):
        for role, values in numbers.items():
            for name in ("log_loss", "accuracy"):
                tf.summary.scalar(f"{role}/{name}", values[name])
    clock.lap("evaluate")

    directory.write_with(workdir, "model.keras", raw_model.save)
    names = {"feature_names": np.array(source.columns), "class_names": np.array(source.class_names)}
    directory.write_arrays(workdir, "coefficients.npz", {"kernel": kernel, "bias": bias, **names})
    directory.write_arrays(workdir, "metrics.npz", arrays)
    directory.write_with(
        workdir,
        "export",
        lambda path: export.save(export.serving_module(raw_model, source.class_names), path),
    )
    clock.lap("export")

    training_loss = numbers["train"]["log_loss"]
    if weight_of_class is not None:
        # The objective weighs rows by class and knows no corrected prior; the metrics do neither.
        dense.set_weights(raw_model, *standardize.fold_out(*trained, columns))
        weighted = with_class_weight(source, weight_of_class)
        training_loss = evaluate_model(config, raw_model, weighted, {"train": rows["train"]}, strategy)[0][
            "train"
        ]["log_loss"]
    penalised = trained[0].astype(np.float64)
    penalty = config.l2 / 2 * np.square(penalised).sum() + config.l1 * np.abs(penalised).sum()
    found = {
        "status": result.status,
        "message": result.status.explain(),
        "objective": training_loss + float(penalty),
        "certified_gap": None,
        "certificate": "none: minibatch training makes no claim about the optimum",
        "solver": "minibatch",
        "iterations": result.iterations,
        "passes": result.passes,
        "num_rows": int(rows["train"].size),
        "num_features": shape["num_features"],
        "num_classes": shape["num_classes"],
        "metrics": numbers,
        "seconds": clock.seconds,
        "versions": {
            "tf_logreg": tf_logreg.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "strategy": type(strategy).__name__,
        "num_replicas": strategy.num_replicas_in_sync,
    }
    directory.write_json(workdir, "result.json", found)
    return found


def read_data(config: ConfigDict) -> tuple[Source, dict[str, np.ndarray]]:
    """The source that the config names and its row ids by role: train, validation, test."""
    source = load(config.data.source, **config.data.args)
    if len(source.class_names) < 2:
        raise InputError(f"y: expected at least two classes. Received: only {describe(source.class_names)}.")
    if config.data.positive_class:
        source = with_positive_class(source, config.data.positive_class)
    names = set(config.data) - {"source", "args", "positive_class"}
    return source, split.split_rows(source, seed=config.seed, **{name: config.data[name] for name in names})


def fit_minibatch(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: np.ndarray,
    columns: standardize.Affine,
    *,
    strategy: tf.distribute.Strategy,
    dtype: str,
    length: minibatch.Length,
    checkpoints: checkpoint.Checkpoints,
    device_memory_fraction: float = 0.5,
    weight_of_class: np.ndarray | None = None,
    validation_metric: Callable[[], float | None] = lambda: None,
) -> FitResult:
    """Trains the model on rows, in training units, by the config's optimiser."""
    options, stopping = config.minibatch, config.minibatch.early_stopping
    batch_size, dtype = _batch_size(config, len(rows)), tf.as_dtype(dtype)
    decay = options.schedule.decay_steps or max(length.steps - options.schedule.warmup_steps, 1)
    with strategy.scope():
        rate = schedules.Schedule(**{**options.schedule, "decay_steps": decay}, peak=options.learning_rate)
        optimizer = optimizers.make(options.optimizer, rate, options.optimizer_args, config.l1)
    minibatch.build_optimizer(strategy, optimizer, model)
    update = minibatch.make_update(
        model,
        optimizer,
        l1=config.l1,
        l2=config.l2,
        clip_norm=options.clip_norm,
        class_weight=weight_of_class,
        num_parts=feed.cores_per_replica(strategy),
    )
    layout = {"batch_size": batch_size, "seed": config.seed, "columns": columns, "dtype": dtype}
    if feed.fits(strategy, len(rows), len(source.columns), dtype, device_memory_fraction):
        run = feed.resident(strategy, source, rows, update, **layout)
    else:
        log.info("The training rows take more than the share of device memory: they are streamed.")
        replicas = strategy.num_replicas_in_sync

        def batches(start: int) -> tf.data.Dataset:
            return pipeline.training_batches(
                source, rows, replicas=replicas, epochs=options.epochs, start=start, **layout
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
            tf.summary.scalar("train/objective", objective, step=step)

        return minibatch.fit(
            model,
            optimizer,
            run,
            length=length,
            report=report,
            checkpoints=checkpoints,
            early_stopping=early_stopping,
            interrupted=interrupted,
        )


def evaluate_model(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: dict[str, np.ndarray],
    strategy: tf.distribute.Strategy,
) -> tuple[dict[str, dict], dict[str, np.ndarray]]:
    """Metrics of a raw-unit model by role, and their arrays under 'role/name'."""
    numbers, arrays = {}, {}
    for role, ids in rows.items():
        batches = pipeline.sequential_batches(
            source, ids, replicas=strategy.num_replicas_in_sync, dtype=tf.as_dtype(model.dtype)
        )
        numbers[role], found = evaluate.evaluate(
            model,
            pipeline.distribute(strategy, batches),
            strategy=strategy,
            num_classes=len(source.class_names),
            max_rows=config.evaluate.max_rows,
        )
        arrays |= {f"{role}/{name}": array for name, array in found.items()}
    return numbers, arrays


def scan_rows(source: Source, rows: np.ndarray) -> standardize.Scan:
    """Checks and moments of some rows.

    Raises:
        InputError: a number that cannot be used, with its place, or no weight at all.
    """
    found = standardize.scan(pipeline.sequential_batches(source, rows).as_numpy_iterator(), source)
    if not found.weight_sum > 0:
        raise InputError(
            f"weight: expected some rows with a weight > 0. Received: {len(rows)} rows of weight 0."
        )
    return found


def _batch_size(config: ConfigDict, num_rows: int) -> int:
    """Rows in a global batch: the config's, all when it says 0, never more than there are."""
    return min(config.minibatch.batch_size or num_rows, num_rows)


def length_of_run(config: ConfigDict, num_rows: int, replicas: int) -> minibatch.Length:
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
    length = minibatch.Length(per_epoch * options.epochs, per_epoch, options.steps_per_loop)
    schedule = options.schedule
    if schedule.warmup_steps + schedule.decay_steps > length.steps:
        raise InputError(
            f"minibatch.schedule: expected at most the run's {length.steps} steps. Received: "
            f"warmup_steps={schedule.warmup_steps}, decay_steps={schedule.decay_steps}."
        )
    return length


def _shape(config: ConfigDict, source: Source) -> dict:
    """The keyword arguments of `dense.build` but for the dtype."""
    num_classes = len(source.class_names)
    output = dense.resolve_output(config.model.output, num_classes)
    if output == "sigmoid" and num_classes != 2:
        raise InputError(
            f"model.output: a sigmoid takes two classes. Received: {output!r} for {num_classes} classes, "
            f"{describe(source.class_names)}."
        )
    return {
        "num_features": len(source.columns),
        "num_classes": num_classes,
        "output": output,
        "bias": config.model.bias,
    }


def _check_training_classes(source: Source, scan: standardize.Scan) -> None:
    """Every class must be there to be learnt."""
    absent = tuple(np.array(source.class_names)[scan.class_weight_sum == 0].tolist())
    if absent:
        raise InputError(
            f"y: expected training rows of every class. Received: none of {describe(absent)}, of "
            f"{len(source.class_names)} classes."
        )


def _warn_if_rounded(kernel: np.ndarray, columns: standardize.Affine, dtype: str) -> None:
    """Says when raw units cost more digits than float32 has, as with a mean far above the spread."""
    error = np.finfo(dtype).eps * (np.abs(columns.shift) @ np.abs(kernel)).max()
    if error > 1e-4:
        log.warning(
            "In raw units the logits lose up to %.0e to rounding in %s: columns have means far above their "
            "spread. Subtract them from the data, or give --dtype=float64.",
            error,
            dtype,
        )
