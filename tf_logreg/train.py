"""The whole story, read top to bottom: data -> fit -> evaluate -> save -> export."""

import logging

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import pipeline, split, standardize
from tf_logreg.data.load import load
from tf_logreg.data.source import Source, describe, with_positive_class
from tf_logreg.distribute import make_strategy
from tf_logreg.errors import InputError, RunError
from tf_logreg.fit import minibatch, optimizers, progress
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
    overwrite: bool = False,
    record: dict | None = None,
) -> dict:
    """Runs a config and fills the work directory.

    Args:
        config: as `tf_logreg.config.get_config()` describes it.
        workdir: directory for the run's files; a finished run of the same config is not repeated.
        strategy: where replicas live; one device when None.
        dtype: of X while training: float32, float64 or bfloat16 (weights stay float32).
        overwrite: replace another run of ours in workdir.
        record: further facts (the flags) to keep in `config.json`.

    Returns:
        What `result.json` holds.

    Raises:
        InputError: the config, the data or the directory cannot be used; nothing was written.
        RunError: the fit diverged; no result was written.
    """
    clock = progress.Clock()
    configs.validate(config)
    if dtype not in DTYPES:
        raise InputError(f"--dtype: expected one of {', '.join(DTYPES)}. Received: {dtype!r}.")
    record = {"config": config.to_dict(), "dtype": dtype, **(record or {})}
    finished = directory.find_run(workdir, record, overwrite=overwrite)
    if finished:
        log.info("%s holds this run, finished.", workdir)
        return finished
    strategy = strategy or make_strategy()
    replicas = strategy.num_replicas_in_sync
    clock.lap("setup")

    # Everything that bad data can break happens before the directory is touched.
    source, rows = read_data(config)
    num_classes = len(source.class_names)
    output = dense.resolve_output(config.model.output, num_classes)
    if output == "sigmoid" and num_classes != 2:
        raise InputError(
            f"model.output: a sigmoid takes two classes. Received: {output!r} for {num_classes} classes, "
            f"{describe(source.class_names)}."
        )
    if global_batch_size(config, len(rows["train"])) < replicas:
        raise InputError(
            f"minibatch.batch_size: expected at least {replicas}, one row a replica. Received: "
            f"{config.minibatch.batch_size} for {len(rows['train'])} training rows."
        )
    scans = {role: scan_rows(source, ids) for role, ids in rows.items()}
    _check_training_classes(source, scans["train"])
    columns = standardize.training_columns(
        scans["train"], standardize=config.standardize, bias=config.model.bias, dtype=source.x_dtype
    )
    directory.start_run(workdir, record)
    clock.lap("data")

    # Fit in training units; the weights are float32 even when X is kept in 16 bit.
    weight_dtype = "float64" if dtype == "float64" else "float32"
    with strategy.scope():
        model = dense.build(
            len(source.columns), num_classes, output=output, bias=config.model.bias, dtype=weight_dtype
        )
    result = fit_minibatch(config, model, source, rows["train"], columns, strategy, dtype, workdir)
    if result.status is Status.DIVERGED:
        raise RunError(f"The fit diverged at step {result.iterations}: {result.status.explain()}.")
    trained = dense.get_weights(model)
    clock.lap("fit")

    # From here on there is one plain model, in raw units.
    kernel, bias = standardize.fold_out(*trained, columns)
    _warn_if_rounded(kernel, columns, weight_dtype)
    model = dense.build(
        len(source.columns), num_classes, output=output, bias=config.model.bias, dtype=weight_dtype
    )
    dense.set_weights(model, kernel, bias)
    numbers, arrays = evaluate_model(config, model, source, rows, strategy)
    with tf.summary.create_file_writer(f"{workdir}/events").as_default(step=result.iterations):
        for role, values in numbers.items():
            for name in ("log_loss", "accuracy"):
                tf.summary.scalar(f"{role}/{name}", values[name])
    clock.lap("evaluate")

    directory.write_with(workdir, "model.keras", model.save)
    names = {"feature_names": np.array(source.columns), "class_names": np.array(source.class_names)}
    directory.write_arrays(workdir, "coefficients.npz", {"kernel": kernel, "bias": bias, **names})
    directory.write_arrays(workdir, "metrics.npz", arrays)
    directory.write_with(
        workdir, "export", lambda path: export.save(export.serving_module(model, source.class_names), path)
    )
    clock.lap("export")

    penalised = trained[0].astype(np.float64)
    penalty = config.l2 / 2 * np.square(penalised).sum() + config.l1 * np.abs(penalised).sum()
    found = {
        "status": result.status,
        "message": result.status.explain(),
        "objective": numbers["train"]["log_loss"] + float(penalty),
        "certified_gap": None,
        "certificate": "none: minibatch training makes no claim about the optimum",
        "solver": "minibatch",
        "iterations": result.iterations,
        "passes": result.passes,
        "num_rows": int(rows["train"].size),
        "num_features": len(source.columns),
        "num_classes": num_classes,
        "metrics": numbers,
        "seconds": clock.seconds,
        "versions": {
            "tf_logreg": tf_logreg.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "strategy": type(strategy).__name__,
        "num_replicas": replicas,
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
    names = ("train_split", "validation_fraction", "test_fraction", "validation_split", "test_split")
    return source, split.split_rows(source, seed=config.seed, **{name: config.data[name] for name in names})


def global_batch_size(config: ConfigDict, num_rows: int) -> int:
    """Rows in a global batch: the config's, all when it says 0, never more than there are."""
    return min(config.minibatch.batch_size or num_rows, num_rows)


def fit_minibatch(
    config: ConfigDict,
    model: keras.Sequential,
    source: Source,
    rows: np.ndarray,
    columns: standardize.Affine,
    strategy: tf.distribute.Strategy,
    dtype: str,
    workdir: str,
) -> FitResult:
    """Trains the model on rows, in training units."""
    options = config.minibatch
    batch_size = global_batch_size(config, len(rows))
    steps_per_epoch = pipeline.steps_per_epoch(len(rows), batch_size)
    batches = pipeline.training_batches(
        source,
        rows,
        batch_size=batch_size,
        replicas=strategy.num_replicas_in_sync,
        epochs=options.epochs,
        seed=config.seed,
        columns=columns,
        dtype=tf.as_dtype(dtype),
    )
    with strategy.scope():
        optimizer = optimizers.make(
            options.optimizer, options.learning_rate, options.optimizer_args, config.l1
        )
    steps = steps_per_epoch * options.epochs
    writer = tf.summary.create_file_writer(f"{workdir}/events")
    with progress.bar(steps) as show, writer.as_default():

        def report(step: int, objective: float, steps_per_second: float) -> None:
            show(step, objective, steps_per_second * batch_size)
            tf.summary.scalar("train/objective", objective, step=step)

        return minibatch.fit(
            model,
            pipeline.distribute(strategy, batches),
            strategy=strategy,
            optimizer=optimizer,
            l1=config.l1,
            l2=config.l2,
            clip_norm=options.clip_norm,
            steps=steps,
            steps_per_epoch=steps_per_epoch,
            steps_per_loop=options.steps_per_loop,
            report=report,
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
