"""The threshold of a run: given, or chosen on rows that the fit has not seen."""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.errors import InputError, RunError
from tf_logreg.fit import held_out, threshold_settings
from tf_logreg.fit.result import Fit
from tf_logreg.model import thresholds
from tf_logreg.results import evaluate, record


def check(config: ConfigDict, dataset: Dataset) -> None:
    """Checks that a threshold can be chosen, before anything is fitted.

    Raises:
        InputError: there are more than two classes, or the rows to choose by lack one or are too many.
    """
    if not (name := threshold_settings.asked(config)):
        return
    field = f"threshold.{name}"
    if dataset.num_classes != 2:
        raise InputError(
            f"{field}: expected none with several classes: the most probable one is the answer. Received: "
            f"{config.threshold[name]!r} for {dataset.num_classes} classes."
        )
    if name == "value":
        return
    role = _role(dataset)
    rows = np.concatenate(held_out.rows_of(dataset))
    most = min(config.evaluate.max_rows, config.evaluate.max_bytes // 8)
    if len(rows) > most:
        raise InputError(
            f"{field}: expected at most {most} rows to choose by (evaluate.max_rows, evaluate.max_bytes), as "
            f"their scores are sorted in memory. Received: {len(rows)} {role} rows."
        )
    counts = np.bincount(dataset.source.labels(rows), minlength=2)
    if not counts.all():
        raise InputError(
            f"{field}: expected {role} rows of both classes to choose by. Received: none of "
            f"{dataset.source.class_names[int(counts.argmin())]!r}."
        )


def with_threshold(config: ConfigDict, fit: Fit, dataset: Dataset, devices: Devices) -> Fit:
    """The fit, whose model has the threshold that the section threshold asks for; unchanged without one.

    Args:
        config: checked by `check`.
        fit: of the training rows, by `learn`.
        dataset, devices: those of the fit.

    Raises:
        InputError: no threshold reaches what was asked for.
        RunError: the scores of some rows are infinite or no number.
    """
    if not (name := threshold_settings.asked(config)):
        return fit
    if name == "value":
        found = record.Threshold(
            value=config.threshold.value, rule="value", chosen_on="", num_rows=0, best=None, precision=None,
            recall=None, rate=None,
        )  # fmt: skip
    else:
        found = _chosen(config, name, _cuts(config, fit, dataset, devices), _role(dataset))
        found["num_rows"] = sum(map(len, held_out.rows_of(dataset)))
    model = dataclasses.replace(fit.model, threshold=found["value"])
    return dataclasses.replace(fit, model=model, threshold=found)


def _role(dataset: Dataset) -> str:
    """What the rows are called that choose."""
    return "validation" if "validation" in dataset.rows else "held-out"


def _cuts(config: ConfigDict, fit: Fit, dataset: Dataset, devices: Devices) -> thresholds.Cuts:
    """What each threshold would give on the rows that were held out."""
    scored = [
        evaluate.scores(model.in_units(dataset.exponent), dataset.source, rows, devices)
        for model, rows in held_out.held_out(config, fit, dataset)
    ]
    score, y, weight = (np.concatenate(part) for part in zip(*scored, strict=True))
    if not np.isfinite(score).all():
        raise RunError("threshold: the logits of some held-out rows are infinite or no number.")
    if len(np.unique(y)) < 2:
        raise InputError("threshold: expected rows of both classes with a weight > 0 to choose by.")
    return thresholds.cuts(y == 1, score, weight)


def _chosen(config: ConfigDict, name: str, found: thresholds.Cuts, role: str) -> record.Threshold:
    """The threshold by a rule, and what it gives on the rows that chose it."""
    options, asked, best = config.threshold, config.threshold[name], None
    if name == "metric":
        index = thresholds.best(found, asked, options.cost_fp, options.cost_fn)
        best = float(found.metric(asked, options.cost_fp, options.cost_fn)[index])
    else:
        index = getattr(thresholds, name)(found, asked)
    if index is None:
        raise InputError(_unreached(name, asked, found, role))
    precision = float(found.precision[index])
    return record.Threshold(
        value=float(found.threshold[index]),
        rule=asked if name == "metric" else f"{name}={asked:g}",
        chosen_on=role,
        num_rows=0,
        best=best,
        precision=precision if np.isfinite(precision) else None,
        recall=float(found.recall[index]),
        rate=float(found.rate[index]),
    )


def _unreached(name: str, asked: float, found: thresholds.Cuts, role: str) -> str:
    """Message about a share that no threshold has."""
    if name == "at_precision":
        most = np.nanmax(found.precision)
        at = found.recall[np.nanargmax(found.precision)]
        return (
            f"threshold.at_precision: expected at most {most:.4g}, the greatest precision in the {role} "
            f"rows, at recall {at:.4g}. Received: {asked:g}."
        )
    return (
        f"threshold.at_rate: expected at least {found.rate[1]:.4g}, the share of the {role} rows with the "
        f"highest score. Received: {asked:g}."
    )
