"""data.refit='all': what was chosen and measured is fitted again, to all rows, and that fit is saved.

Features stay as they are, so that what was measured and what is saved differ in their coefficients alone. The
penalty stays too, in the unit in which it was given: l2 of the mean loss, or C of the sum.
"""

import dataclasses
import logging

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data import dataset as datasets
from tf_logreg.data.dataset import Dataset
from tf_logreg.devices.devices import Devices
from tf_logreg.fit import learn, penalties
from tf_logreg.fit.monitor import Monitor
from tf_logreg.fit.result import Fit, Status

log = logging.getLogger(__name__)

FOLDER = "refit"  # of its checkpoints, and before the names of what it records


def dataset_of(settings: ConfigDict, dataset: Dataset, devices: Devices) -> Dataset:
    """The rows that the saved model is fitted to: all of them with data.refit='all', else the dataset itself.

    Raises:
        InputError: the rows cannot be used together.
    """
    if settings.data.refit != "all":
        return dataset
    return datasets.with_all_rows(dataset, _of_one_penalty(settings), devices)


def refit(settings: ConfigDict, fit: Fit, dataset: Dataset, devices: Devices, monitor: Monitor) -> Fit:
    """The fit that is saved: the same model, fitted to all rows, or `fit` itself where it was fitted to them.

    Args:
        settings: a config.
        fit: of the training rows, by `learn`.
        dataset: from `dataset_of`.
        devices: where passes over the rows are made.
        monitor: that of the first fit. The second one has checkpoints of its own: a run that is killed in it
            repeats the end of the first fit, to the same bits, and resumes the second.

    Raises:
        RunError, InterruptError: as of `learn`.
    """
    if settings.data.refit != "all":
        return fit
    log.info("data.refit='all': the model is fitted again, to all %d rows.", len(dataset.train))

    def record(name: str, value: float, step: int) -> None:
        monitor.record(f"{FOLDER}/{name}", value, step)

    own = dataclasses.replace(monitor.below(FOLDER), record=record)
    # From coefficients that run off there is no good start.
    start = fit.model if fit.status is Status.OPTIMAL else None
    found = learn.learn(_chosen(settings, fit, dataset), dataset, devices, own, start)
    model = dataclasses.replace(found.model, threshold=fit.model.threshold)
    return dataclasses.replace(found, model=model, path=fit.path, threshold=fit.threshold)


def _chosen(settings: ConfigDict, fit: Fit, dataset: Dataset) -> ConfigDict:
    """The settings of a single fit of the penalty that was chosen, or given."""
    path = fit.path
    if path is not None:
        if settings.path.C:
            weight_sum = penalties.sum_of_weights(settings.class_weight, dataset.source, dataset.all_moments)
            path = dataclasses.replace(path, values=np.asarray(penalties.strength_of(path.C, weight_sum)))
        settings = path.chosen(settings)
    return _of_one_penalty(settings)


def _of_one_penalty(settings: ConfigDict) -> ConfigDict:
    """The settings without a path and its folds."""
    settings = settings.copy_and_resolve_references()
    settings.path.penalty, settings.path.C, settings.cv.folds = "", (), 0
    return settings
