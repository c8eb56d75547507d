"""Features dropped one after another, chosen by their coefficients, and added while a score rises."""

import numpy as np
from sklearn.datasets import make_classification
from sklearn.feature_selection import RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression

x, y = make_classification(n_samples=300, n_features=8, n_informative=3, n_redundant=2, random_state=1)
model = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-12)

dropped = RFECV(model, cv=3, scoring="neg_log_loss", min_features_to_select=2).fit(x, y)
chosen = SelectFromModel(model, threshold="1.25*median").fit(x, y)
added = SequentialFeatureSelector(model, n_features_to_select=2, cv=2, scoring="neg_log_loss").fit(x, y)

numbers = {
    "ranks": dropped.ranking_,
    "scores": dropped.cv_results_["mean_test_score"],
    "threshold": chosen.threshold_,
    "kept": np.stack([chosen.get_support(), added.get_support()]),
}
