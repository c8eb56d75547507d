"""The whole story, read top to bottom: data -> fit -> evaluate -> save -> export."""

import contextlib
import dataclasses
import json
import logging
import math

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

import tf_logreg
from tf_logreg import config as configs
from tf_logreg.data import dataset, digest, moments, units
from tf_logreg.data.names import describe
from tf_logreg.data.source import Source
from tf_logreg.devices import workers
from tf_logreg.devices.strategies import check_surroundings, make_strategy
from tf_logreg.errors import InputError, InterruptError, RunError
from tf_logreg.export import coefficients, saved_model
from tf_logreg.fit import checkpoint, class_weight, progress
from tf_logreg.fit.full_batch import optimum
from tf_logreg.fit.minibatch import training
from tf_logreg.fit.path import choice
from tf_logreg.fit.result import Status
from tf_logreg.model import keras_model
from tf_logreg.results import events, measurement, metrics
from tf_logreg.results import path as path_files
from tf_logreg.results import workdir as directory

log = logging.getLogger(__name__)

_MOST_OF_START = 10  # times the loss at weights of zero, beyond which minibatch training has diverged
DTYPES = ("float32", "float64", "bfloat16")
_MOST_ROUNDING = 1e-4  # of logits, by the dtype of what is saved


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
    with contextlib.ExitStack() as held:
        try:
            return _train_and_evaluate(
                config,
                workdir,
                held,
                strategy=strategy or make_strategy(),
                dtype=dtype,
                device_memory_fraction=device_memory_fraction,
                overwrite=overwrite,
                record=record or {},
            )
        except InterruptError as error:
            if overwrite:
                raise InterruptError(f"{error} Leave --overwrite out: it would begin again.") from None
            raise


def _train_and_evaluate(
    config: ConfigDict,
    workdir: str,
    held: contextlib.ExitStack,
    *,
    strategy: tf.distribute.Strategy,
    dtype: str,
    device_memory_fraction: float,
    overwrite: bool,
    record: dict,
) -> dict:
    """The story; `held` lets go of the work directory when it ends, however it ends."""
    clock = progress.Clock()
    team = workers.of(strategy)
    team.together(lambda: _check(config, dtype, device_memory_fraction))
    # As JSON gives it back, so that it equals what an earlier run wrote.
    record = json.loads(json.dumps({"config": config.to_dict(), "dtype": dtype, **record}))
    team.same({key: record[key] for key in ("config", "dtype")}, "--config, --dtype")

    def digests(known: dict) -> dict:
        return dataset.digests(config, known)

    run = directory.of(workdir)
    finished = team.from_chief(lambda: directory.find_run(run, record, digests, overwrite=overwrite))
    if finished:
        log.info("%s holds this run, finished.", workdir)
        return finished
    clock.lap("setup")

    # Everything that bad data can break happens before the directory is touched.
    source, rows, record["data"] = team.together(lambda: dataset.read_unchanged(config))
    sizes, what = {role: len(ids) for role, ids in rows.items()}, digest.summary(record["data"])
    team.same((sizes, source.columns, source.class_names, what), "data")
    shape, absent = _shape(config, source), source.absent_classes
    if absent:
        log.warning("%s", _without_rows(absent, source))
    path = None
    minibatch = config.solver.name == "minibatch"
    if minibatch:
        length = training.length_of_run(config, len(rows["train"]), strategy.num_replicas_in_sync)
    scans = {role: dataset.scan_rows(source, ids, team) for role, ids in rows.items()}
    dataset.check_training_classes(source, rows, scans["train"])
    # From here to what is saved, columns are in units in which nothing over- or underflows.
    exponent = units.exponents(scans["train"].largest)
    source, scan = units.in_units(source, exponent), scans["train"].in_units(exponent)
    if minibatch:
        columns = training.training_columns(config, source, scan, exponent)
    else:
        solver = optimum.choose(config.solver.name, l1=config.l1 > 0 or config.path.penalty == "l1")
        optimum.penalty_factor(config.penalty_factor, source.columns)
        optimum.check_memory(
            config, source, len(rows["train"]), solver=solver, output=shape["output"], strategy=strategy
        )
        columns = optimum.training_columns(config, source, scan, exponent)
    if config.path.penalty:
        prepared = choice.prepare(config, source, rows["train"], output=shape["output"], strategy=strategy)
    weight_of_class = class_weight.parse(
        config.class_weight,
        source.class_names,
        scan.class_weight_sum,
        one_vs_rest=shape["output"] == "one_vs_rest",
    )
    start = None
    if config.solver.warm_start:
        start = team.from_chief(
            lambda: coefficients.read_start(
                directory.of(config.solver.warm_start, "solver.warm_start"),
                source.columns,
                source.class_names,
                shape["output"],
            )
        )
        start = np.ldexp(start[0], exponent[:, None]), start[1]

    def take_directory() -> dict | None:
        nonlocal run
        run = held.enter_context(run.owned())
        # Another process may have been there while the data were read.
        if (finished := directory.find_run(run, record, digests, overwrite=overwrite)) is None:
            directory.start_run(run, record, overwrite=overwrite)
        return finished

    if finished := team.from_chief(take_directory):
        log.info("%s holds this run, finished.", workdir)
        return finished
    clock.lap("data")

    # Fit in training columns; the weights are float32 even when X is kept in 16 bit. What comes out is
    # one plain model of the source's columns, with the prior put right.
    weight_dtype = "float64" if dtype == "float64" else "float32"
    raw_model = keras_model.build(**shape, dtype=weight_dtype)

    def set_raw_weights(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kernel, bias = moments.fold_out(kernel, bias, columns)
        if weight_of_class is not None and config.correct_prior:
            bias = class_weight.correct_prior(bias, weight_of_class)
        keras_model.set_weights(raw_model, kernel, bias)
        return kernel, bias

    with strategy.scope():
        model = keras_model.build(**shape, dtype=weight_dtype)

    def validation_metric() -> float | None:
        set_raw_weights(*keras_model.get_weights(model))
        metric, validation = config.minibatch.early_stopping.metric, {"validation": rows["validation"]}
        options = config.evaluate if metric == "roc_auc" else measurement.NO_AREAS
        numbers, _ = measurement.evaluate_model(options, raw_model, source, validation, strategy)
        return numbers["validation"][metric]

    checkpoints = checkpoint.Checkpoints(
        folder=run.below("checkpoints"),
        fingerprint={
            "config": record["config"],
            "dtype": dtype,
            "data": what,
            "shape": [shape["num_features"], shape["num_classes"]],
            "TensorFlow major version": tf.__version__.split(".")[0],
        },
        every_steps=config.checkpoint.every_steps,
        keep=config.checkpoint.keep,
        team=team,
    )

    def recorder() -> contextlib.AbstractContextManager[events.Record]:
        return events.recorder(run) if team.is_chief else contextlib.nullcontext(events.silent)

    with recorder() as note:
        common = {
            "strategy": strategy,
            "dtype": dtype,
            "device_memory_fraction": device_memory_fraction,
            "weight_of_class": weight_of_class,
            "checkpoints": checkpoints,
        }
        if minibatch:
            result = training.fit_minibatch(
                config,
                model,
                source,
                rows["train"],
                columns,
                length=length,
                validation_metric=validation_metric,
                record=note,
                **common,
            )
        else:
            if config.path.penalty:
                path = choice.fit_path(
                    config,
                    source,
                    rows,
                    columns,
                    prepared,
                    solver=solver,
                    output=shape["output"],
                    strategy=strategy,
                    dtype=dtype,
                    checkpoints=checkpoints,
                    device_memory_fraction=device_memory_fraction,
                )
                config, start = path.chosen(config), path.start
            result = optimum.fit_full_batch(
                config,
                model,
                source,
                rows["train"],
                columns,
                solver=solver,
                class_weight_sum=scan.class_weight_sum,
                start=start,
                record=note,
                **common,
            )
    if result.status is Status.DIVERGED:
        raise RunError(f"The fit diverged at step {result.iterations}: {result.status.explain()}.")
    if result.status is Status.INTERRUPTED:
        raise InterruptError(
            f"Interrupted after {result.passes:.1f} passes over the rows: {result.status.explain()}."
        )
    trained = result.weights or keras_model.get_weights(model)
    kernel, bias = set_raw_weights(*trained)
    status, message = result.status, result.message or result.status.explain()
    if exponent.any() or moments.rounding(kernel, bias, scan, weight_dtype) > _MOST_ROUNDING:
        # What is saved must score as what was fitted.
        log.info("float32 cannot hold these coefficients: they are saved in float64, for float64 features.")
        weight_dtype = "float64"
        raw_model = keras_model.build(**shape, dtype=weight_dtype)
        keras_model.set_weights(raw_model, kernel, bias)
    rounding = moments.rounding(kernel, bias, scan, weight_dtype)
    if rounding > _MOST_ROUNDING and status in (Status.OPTIMAL, Status.FINISHED, Status.STOPPED_EARLY):
        status = Status.ROUNDED
        message = f"{status.explain()}. In raw units its logits are off by up to {rounding:.0e}"
        log.warning(message)
    clock.lap("fit")

    numbers, arrays = measurement.evaluate_model(config.evaluate, raw_model, source, rows, strategy)
    if minibatch and not config.data.offset:
        _refuse_nonsense(numbers["train"]["log_loss"], shape["num_classes"], result.iterations)
    clock.lap("evaluate")

    kernel = np.ldexp(kernel, -exponent[:, None])
    keras_model.set_weights(raw_model, kernel, bias)

    def write_artefacts() -> None:
        names = source.columns, source.class_names
        with events.recorder(run) as note:
            for role, values in numbers.items():
                for name in ("log_loss", "accuracy"):
                    if values[name] is not None:
                        note(f"{role}/{name}", values[name], result.iterations)
        run.write_with("model.keras", raw_model.save)
        coefficients.write(
            run, coefficients.Coefficients(kernel, bias, *names, shape["output"], weight_dtype)
        )
        run.write_arrays("metrics.npz", arrays)
        if path is not None:
            raw_path = dataclasses.replace(path, kernel=np.ldexp(path.kernel, -exponent[:, None]))
            path_files.write(run, raw_path, *names)
        module = saved_model.serving_module(raw_model, *names)
        run.publish("export", lambda folder: saved_model.save(module, folder), saved_model.MARKER)

    # Only the chief writes; when its disk refuses, the others are told.
    team.from_chief(write_artefacts)
    clock.lap("export")

    certificate = result.certificate
    if certificate is not None:
        objective = certificate.objective
    else:
        objective = measurement.minibatch_objective(
            config, numbers, trained, source, rows, columns, weight_of_class, strategy
        )
    relative_gap = None if status is Status.ROUNDED else result.relative_gap
    found = {
        "status": status,
        "message": "; ".join([message] + [_without_rows(absent, source)] * bool(absent)),
        "objective": objective,
        # Both bounds hold for the weights in float64. What is saved rounds them to weights_dtype, which
        # moves logits by 1e-4 at most.
        "certified_gap": certificate.gap if relative_gap is not None else None,
        "relative_gap": relative_gap,
        "gradient_bound": certificate.gradient_bound if certificate else None,
        "certificate": certificate.reason
        if certificate
        else "none: minibatch training makes no claim about the optimum",
        "solver": "minibatch" if minibatch else solver,
        "iterations": result.iterations,
        "passes": result.passes,
        "num_rows": int(rows["train"].size),
        "num_features": shape["num_features"],
        "num_classes": shape["num_classes"],
        "absent_classes": list(absent),
        "weights_dtype": weight_dtype,
        "dependence": result.dependence,
        "path": None if path is None else path_files.summary(path),
        "metrics": numbers,
        "seconds": clock.seconds,
        "versions": {
            "tf_logreg": tf_logreg.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "strategy": type(strategy).__name__,
        "num_replicas": strategy.num_replicas_in_sync,
        "num_workers": team.count,
        "communication": None,
    }
    if team.count > 1:
        numbers_a_pass, reductions = (
            kernel.size + bias.size,
            result.iterations if minibatch else result.passes,
        )
        seconds = team.seconds_to_reduce(numbers_a_pass) * reductions
        found["communication"] = min(1.0, seconds / clock.seconds["fit"])
    found = metrics.finite(found)
    team.from_chief(lambda: run.write_json("result.json", found))
    return found


def _check(config: ConfigDict, dtype: str, device_memory_fraction: float) -> None:
    """What can be said of the arguments before any data are read."""
    configs.validate(config)
    if dtype not in DTYPES:
        raise InputError(f"--dtype: expected one of {', '.join(DTYPES)}. Received: {dtype!r}.")
    if not 0 <= device_memory_fraction <= 1:
        raise InputError(
            f"--device_memory_fraction: expected a share in [0, 1]. Received: {device_memory_fraction}."
        )


def _shape(config: ConfigDict, source: Source) -> dict:
    """The keyword arguments of `keras_model.build` but for the dtype."""
    num_classes = len(source.class_names)
    if num_classes < 2:
        raise InputError(f"y: expected at least two classes. Received: only {describe(source.class_names)}.")
    output = keras_model.resolve_output(config.model.output, num_classes)
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


def _without_rows(absent: tuple[str, ...], source: Source) -> str:
    """Which declared classes are not in the model, for people."""
    declared = len(absent) + len(source.class_names)
    return f"{len(absent)} of {declared} declared classes have no rows and are left out: {describe(absent)}"


def _refuse_nonsense(log_loss: float | None, num_classes: int, steps: int) -> None:
    """Refuses minibatch training that ran away with finite numbers, as with a rate of 1e10.

    It begins at weights of zero, whose loss is log C whatever the rows are. Ten times that is a model that is
    sure of what is false; noise in the labels or in the last steps does not come near it.

    Raises:
        RunError: the training rows' log loss, nats, is more than ten times that of the start.
    """
    start = math.log(num_classes)
    log_loss = math.inf if log_loss is None else log_loss
    if not log_loss <= _MOST_OF_START * start:
        raise RunError(
            f"The fit diverged: after {steps} steps the log loss of the training rows is {log_loss:.3g}, "
            f"where weights of zero have {start:.3g} nats: lower minibatch.learning_rate or standardise."
        )
