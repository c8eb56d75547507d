"""Reliability of probabilities: a classifier as it is, and calibrated by a sigmoid and by an isotonic curve."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.model_selection import train_test_split

x, y = make_classification(n_samples=1200, n_features=10, n_informative=3, n_redundant=3, random_state=42)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.4, random_state=42)

plain = LogisticRegression(C=0.01, solver="newton-cholesky", tol=1e-12)
models = {
    "plain": plain,
    "sigmoid": CalibratedClassifierCV(plain, method="sigmoid", cv=3),
    "isotonic": CalibratedClassifierCV(plain, method="isotonic", cv=3),
}
numbers = {}
for name, model in models.items():
    probability = model.fit(x_train, y_train).predict_proba(x_test)[:, 1]
    observed, predicted = calibration_curve(y_test, probability, n_bins=5)
    numbers[f"{name}: curve"] = np.concatenate([observed, predicted])
    numbers[f"{name}: scores"] = [brier_score_loss(y_test, probability), log_loss(y_test, probability)]
