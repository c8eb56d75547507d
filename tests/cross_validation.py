"""scikit-learn's own cross-validation, for tests beside ours."""

import warnings

import numpy as np
from sklearn import linear_model

CS = [1e-2, 10.0, 0.1]  # neither sorted
NEW = {"use_legacy_attributes": False}


def peer(x, y, weight=None, **options):
    """scikit-learn's own, as exact as it goes; its scores are [F, S, R] here."""
    given = {"Cs": CS, "solver": "newton-cholesky", "tol": 1e-12, "max_iter": 10_000} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = linear_model.LogisticRegressionCV(**given).fit(x, y, weight)
    scores = np.array(
        next(iter(found.scores_.values())) if isinstance(found.scores_, dict) else found.scores_
    )
    return found, scores.reshape(*scores.shape[:2], -1)
