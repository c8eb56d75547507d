"""The rows that a run's fits have not seen, beside the models that have not seen them."""

import numpy as np
from ml_collections import ConfigDict

from tf_logreg.data.dataset import Dataset
from tf_logreg.fit import class_weight
from tf_logreg.fit.path import scores
from tf_logreg.fit.result import Fit
from tf_logreg.model.model import Model


def held_out(settings: ConfigDict, fit: Fit, dataset: Dataset) -> list[tuple[Model, np.ndarray]]:
    """The fit with the validation rows; or of a cross-validation each fold's fit with that fold.

    Args:
        settings: a config with validation rows or cv.folds.
        fit: of the training rows, by `learn`.
        dataset: the rows.

    Returns:
        Models in raw units, at the chosen strength of a path, as they would be saved; and row ids.
    """
    rows, path, found = rows_of(dataset), fit.path, []
    if "validation" in dataset.rows:
        return [(fit.model, *rows)]
    for f, ids in enumerate(rows):
        bias = path.bias[path.choice, f] - _prior_shift(settings, fit, dataset, f)
        found.append((_replaced(fit.model, path.kernel[path.choice, f], bias), ids))
    return found


def rows_of(dataset: Dataset) -> list[np.ndarray]:
    """Ids of the rows that `held_out` gives, in its order."""
    return list(scores.held_out_rows(dataset, by_folds="validation" not in dataset.rows))


def _replaced(model: Model, kernel: np.ndarray, bias: np.ndarray) -> Model:
    """A model of other coefficients, [p, m] and [m]."""
    described = model.feature_names, model.class_names, model.head, model.has_bias
    return Model(kernel, bias, *described, dtype=model.dtype, sparse=model.sparse)


def _prior_shift(settings: ConfigDict, fit: Fit, dataset: Dataset, fold: int) -> np.ndarray:
    """By how much the class weights of a fold's training rows have moved its bias, [m]; zeros without."""
    head, sums = fit.model.head, dataset.moments[fold].class_weight_sum
    weights = class_weight.parse(settings.class_weight, dataset.source.class_names, sums, head)
    if weights is None or not settings.correct_prior:
        return np.zeros(head.outputs)
    return head.prior_shift(weights)
