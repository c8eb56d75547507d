"""`learn`: from checked rows to a fitted model, by whichever method the settings name."""

import dataclasses
import logging

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import moments
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.engines import load as engines
from tf_logreg.errors import InterruptError, RunError
from tf_logreg.fit import class_weight
from tf_logreg.fit.full_batch import memory, optimum
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.path import choice
from tf_logreg.fit.result import Fit, Status
from tf_logreg.model import head as heads
from tf_logreg.model.model import Model

log = logging.getLogger(__name__)

_MOST_ROUNDING = 1e-4  # of logits, by the dtype of what is saved


def check(settings: ConfigDict, dataset: Dataset, devices: Devices) -> None:
    """Looks whether the settings can be fitted to the rows, before anything is written.

    Raises:
        InputError: they cannot.
    """
    head = heads.resolve(settings.model.output, dataset.num_classes)
    _class_weight(settings, dataset, head)
    if settings.solver.name == "minibatch":
        from tf_logreg.fit.minibatch import training  # trains a Keras model, which nothing else here needs

        training.length_of_run(settings, len(dataset.train), devices.replicas)
        training.columns_of(settings, dataset)
        return
    method = optimum.method_name(settings.solver.name, l1=_has_l1(settings))
    optimum.penalty_factor(settings.penalty_factor, dataset.source.columns)
    memory.check(method, head, dataset, devices, bias=settings.model.bias)
    if settings.path.penalty:
        choice.check(settings, dataset, devices, head)


def learn(
    settings: ConfigDict, dataset: Dataset, devices: Devices, monitor: Monitor, start: Model | None = None
) -> Fit:
    """Fits a model to the training rows.

    Args:
        settings: a config; its section data but for the offset is not looked at, the dataset is what it says.
        dataset: from `data.dataset.prepare` or `of_rows`.
        devices: where passes over the rows are made.
        monitor: where states are saved and found, who is told and may end the fit.
        start: a model in raw units to begin at; None for the method's own start.

    Raises:
        InputError: what `check` refuses; a checkpoint that does not fit, or cannot be written.
        RunError: the fit diverged, or no strength of a path could be scored.
        InterruptError: the monitor ended the fit; its state is saved.
    """
    head = heads.resolve(settings.model.output, dataset.num_classes)
    weights, path = _class_weight(settings, dataset, head), None
    common = {"head": head, "class_weight": weights}
    if settings.solver.name == "minibatch":
        from tf_logreg.fit.minibatch import training

        solver, columns = "minibatch", training.columns_of(settings, dataset)

        def validation_metric(kernel: np.ndarray, bias: np.ndarray) -> float | None:
            return monitor.validation_metric(
                _model(settings, dataset, devices, columns, weights, kernel, bias)
            )

        trained = training.fit(
            settings,
            dataset,
            devices,
            monitor,
            columns=columns,
            validation_metric=validation_metric,
            **common,
        )
    else:
        solver = optimum.method_name(settings.solver.name, l1=_has_l1(settings))
        columns = optimum.columns_of(settings, dataset)
        start = None if start is None else start.in_units(dataset.exponent)
        at_once = choice.problems_at_once(settings, dataset, devices, head) if settings.path.penalty else 1
        folds = dataset.folds.fold if settings.path.penalty else None
        engine = engines.engine(devices, dataset.source, dataset.train, columns, folds)
        if settings.path.penalty:
            scored = engine
            if not settings.cv.folds:
                scored = engines.streamed(devices, dataset.source, dataset.rows["validation"], columns)
            path = choice.fit(
                settings, dataset, devices, monitor,
                head=head, engine=engine, scored=scored, columns=columns, at_once=at_once,
            )  # fmt: skip
            settings = path.chosen(settings)
            start = Model(*path.start, dataset.source.columns, dataset.source.class_names, head)
        trained = optimum.fit(
            settings, dataset, devices, monitor, engine=engine, columns=columns, start=start, **common
        )
    if trained.status is Status.DIVERGED:
        raise RunError(f"The fit diverged at step {trained.iterations}: {trained.status.explain()}.")
    if trained.status is Status.INTERRUPTED:
        explained = trained.status.explain()
        raise InterruptError(f"Interrupted after {trained.passes:.1f} passes over the rows: {explained}.")
    model = _model(settings, dataset, devices, columns, weights, trained.kernel, trained.bias)
    path = None if path is None else path.in_raw_units(dataset.exponent)
    return _finished(
        Fit(model, trained.status, trained.message, trained, solver, trained.relative_gap, path),
        dataset,
        devices,
    )


def _has_l1(settings: ConfigDict) -> bool:
    return settings.l1 > 0 or settings.path.penalty == "l1"


def _class_weight(settings: ConfigDict, dataset: Dataset, head: heads.Head) -> np.ndarray | None:
    """[C], of one-vs-rest [C, C], or None."""
    sums = dataset.all_moments.class_weight_sum
    return class_weight.parse(settings.class_weight, dataset.source.class_names, sums, head)


def _model(
    settings: ConfigDict,
    dataset: Dataset,
    devices: Devices,
    columns: moments.Affine,
    weights: np.ndarray | None,
    kernel: np.ndarray,
    bias: np.ndarray,
) -> Model:
    """The model in raw units, with the prior put right.

    Args:
        settings, dataset, devices: those of the fit.
        columns: the training columns. weights: the class weights, or None.
        kernel, bias: [p, m] and [m], in training columns.
    """
    source, head = dataset.source, heads.resolve(settings.model.output, dataset.num_classes)
    kernel, bias = moments.fold_out(kernel, bias, columns)
    if weights is not None and settings.correct_prior:
        bias = bias - head.prior_shift(weights)
    dtype = devices.weight_dtype
    if dataset.exponent.any() or moments.rounding(kernel, bias, dataset.all_moments, dtype) > _MOST_ROUNDING:
        dtype = "float64"  # what is saved must score as what was fitted
    kernel, has_bias = np.ldexp(kernel, -dataset.exponent[:, None]), settings.model.bias
    return Model(kernel, bias, source.columns, source.class_names, head, has_bias, dtype)


def _finished(fit: Fit, dataset: Dataset, devices: Devices) -> Fit:
    """The fit with its last words, and `rounded` where what is saved cannot score as what was fitted."""
    model, status = fit.model, fit.status
    if model.dtype != devices.weight_dtype:
        log.info("float32 cannot hold these coefficients: they are saved in float64, for float64 features.")
    kernel = np.ldexp(model.kernel, dataset.exponent[:, None])
    rounding = moments.rounding(kernel, model.bias, dataset.all_moments, model.dtype)
    if rounding > _MOST_ROUNDING and status in (Status.OPTIMAL, Status.FINISHED, Status.STOPPED_EARLY):
        status = Status.ROUNDED
        message = f"{status.explain()}. In raw units its logits are off by up to {rounding:.0e}"
        log.warning(message)
        return dataclasses.replace(fit, status=status, message=message, relative_gap=None)
    return dataclasses.replace(fit, message=fit.message or status.explain())
